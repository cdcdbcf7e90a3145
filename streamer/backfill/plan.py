"""What is to be fetched, and which recorded gaps are closed by it. Pure.

Ids are those of trades and of aggregate trades; of klines they are times in microseconds, and a
candle covers those from its open time to the last one before the next candle's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamer.audit.ranges import IdRanges, Range
from streamer.data.events import FILLED, GapRecord
from streamer.data.intervals import candles_between, interval_of
from streamer.data.kinds.kline import Kline


@dataclass(slots=True)
class Holding:
    """What a sink has of one stream of one symbol, in the latest numbering of its ids."""

    stream: str
    symbol: str
    epoch: int = 0
    present: IdRanges = field(default_factory=IdRanges)  # recorded, by whatever way
    brought: IdRanges = field(default_factory=IdRanges)  # of these, by a back-fill
    lost: IdRanges = field(default_factory=IdRanges)  # in gap records that are a loss
    empty: IdRanges = field(default_factory=IdRanges)  # of which it is known that there are none
    closed: IdRanges = field(default_factory=IdRanges)  # in records that close gaps

    @property
    def name(self) -> str:
        """The stream and symbol, for people."""
        return f"{self.stream} {self.symbol}"

    def missing(self, within: IdRanges) -> IdRanges:
        """Return those of the ids that are not there, and are not known to be none.

        What the settings were without exists, and may be asked for.
        """
        return within.without(self.present).without(self.empty)

    def has(self, event: Any) -> bool:  # noqa: ANN401 - an event of any kind
        """Return whether an event is there."""
        return self.present.has(*span(event))

    def bring(self, event: Any) -> None:  # noqa: ANN401 - an event of any kind
        """Note that an event is stored."""
        first, last = span(event)
        self.present.add(first, last)
        self.brought.add(first, last)

    def closings(self) -> list[GapRecord]:
        """Return the records that close what is brought of recorded gaps and is not closed yet."""
        open_ranges = self.lost.without(self.closed)
        still_missing = open_ranges.without(self.brought)
        return [gap_record(self, FILLED, one) for one in open_ranges.without(still_missing)]


def gap_record(holding: Holding, reason: str, ids: Range) -> GapRecord:
    """Return a gap record about ids of a holding."""
    first, last = ids
    if holding.stream.startswith("kline_"):
        count = candles_between(interval_of(holding.stream), first, last + 1)
        return GapRecord(first, holding.symbol, holding.stream, reason, missing=count,
                         from_time=first, to_time=last + 1, later=1)  # fmt: skip
    return GapRecord(first, holding.symbol, holding.stream, reason, first, last,
                     last - first + 1, epoch=holding.epoch, later=1)  # fmt: skip


def span(event: Any) -> Range:  # noqa: ANN401 - an event of any kind
    """Return the first and the last id that an event covers."""
    if isinstance(event, Kline):
        return event.candle.open_time, event.candle.next_open_time - 1
    return event.id, event.id


@dataclass(frozen=True, slots=True)
class Step:
    """What an answer of the exchange brings of a range of ids."""

    events: list[Any]
    empty: list[Range]  # ids that do not exist: the exchange tells those around them at once
    untold: list[Range]  # ids that it does not tell, without saying that there are none
    next_id: int  # where to ask from for the rest


def take_page(
    page: Sequence[Any], first_id: int, last_id: int, unusable: Iterable[int] = ()
) -> Step:
    """Return what a page, ascending, tells of the ids from `first_id` to `last_id`.

    Only whole candles are taken that are closed. Ids of a page between two neighbours are `empty`
    unless they are `unusable`: told, but nothing that a record can be made of.
    """
    events: list[Any] = []
    empty, untold = IdRanges(), IdRanges()
    position = first_id
    below: int | None = None  # the last id that the page has told of
    for event in page:
        begin, end = span(event)
        if isinstance(event, Kline) and not event.candle.is_closed:
            break
        first_between = max(position, first_id)
        is_hole = begin > first_between and first_between <= last_id
        if isinstance(event, Kline):  # between times there need not be a whole candle
            is_hole = is_hole and begin - first_between > end - begin
        if is_hole:
            is_proven = below is not None and below < first_between
            between = first_between, min(begin - 1, last_id)
            (empty if is_proven and not isinstance(event, Kline) else untold).add(*between)
        below = end
        position = max(position, end + 1)
        if first_id <= begin and end <= last_id:
            events.append(event)
    for one in unusable:
        if first_id <= one <= last_id:
            untold.add(one, one)
            position = max(position, one + 1)
    if position <= first_id:  # nothing of it: there is no more
        untold.add(first_id, last_id)
        position = last_id + 1
    return Step(events, list(empty.without(untold)), list(untold), position)
