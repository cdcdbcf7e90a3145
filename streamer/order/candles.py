"""The order of a kline's stream of one symbol, out of any number of connections. Pure.

An event tells the state of a candle; the last one of a candle says that it is closed, and the
next candle begins where it ends. Updates of an open candle are each superseded by the next, so
that one of them is never missed; a candle of which the closing is not seen is a suspected gap:
what came after it waits, because another connection or a repair may still bring it. In short:

- candles are forwarded in the order of their open times, each one's updates in that of their
  event times, and nothing of it after it was closed;
- from the first candle on, each is forwarded closed or is in exactly one declared gap, but for
  the one that is still open.

Ids are open times in microseconds; a gap is a span of time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple

from streamer.data.intervals import candles_between, open_time_at
from streamer.order.sequence import EMPTY, HELD_LIMIT, Gap, Item


class Mark(NamedTuple):
    """What orders an event; times in microseconds."""

    open_time: int
    next_open_time: int
    event_time: int
    is_closed: bool


@dataclass(frozen=True, slots=True)
class CandleGap(Gap):
    """Candles that are missing: those that open from `first_id` to `last_id`."""

    candles: int = 0

    @property
    def missing(self) -> int:
        """How many candles are missing."""
        return self.candles


@dataclass(frozen=True, slots=True)
class _Held(Generic[Item]):
    mark: Mark
    since: float
    item: Item


class CandleSequence(Generic[Item]):
    """Updates of candles of one interval; `mark_of(item)` tells what orders them.

    The first event starts the sequence, unless `last_id` says when the last known event was made:
    then the candle that was open at that time does.
    At most `pending_limit` events wait above a gap. `expire` declares the gap below after
    `wait_seconds`; where there is a repair, `suspected` tells of it instead.
    """

    def __init__(
        self,
        mark_of: Callable[[Item], Mark],
        interval: str,
        *,
        last_id: int | None = None,
        wait_seconds: float = 1.0,  # another connection is rarely further behind
        pending_limit: int = HELD_LIMIT,  # hours of one candle's updates, 10 MiB
    ) -> None:
        self.interval = interval
        self.wait_seconds = wait_seconds
        self.pending_limit = pending_limit
        self.events_total = 0
        self.duplicates_total = 0
        self.gaps_total = 0
        self.missing_total = 0
        self.empty_total = 0  # candles that the exchange shows not to exist
        self._mark_of = mark_of
        self.first_id: int | None = None  # when the first candle opens that is asked of this
        self._started_after = last_id
        self._open_time: int | None = None  # of the lowest candle that is not closed
        self._event_time = -1  # of its last update
        self._latest = -1  # event time of what was forwarded last
        self._missed_below = -1  # what is missing below was told by `suspected`
        self._pending: list[_Held[Item]] = []  # ascending by `_key`

    @property
    def last_id(self) -> int | None:
        """When the last event that was forwarded was made, or the last known candle was over."""
        if self._open_time is None:
            return self._started_after
        return max(self._latest, self._open_time)

    @property
    def next_id(self) -> int | None:
        return self._open_time

    @property
    def pending(self) -> int:
        return len(self._pending)

    def start_after(self, last_id: int) -> None:
        self._started_after = last_id

    def start_anew(self, reason: str) -> list[Item | Gap]:
        return []  # ids that are times do not

    def reaches(self, event_id: int) -> bool:
        if self._open_time is None:
            return False
        reached = max(self._open_time, self._missed_below)
        for pending in self._pending:
            if pending.mark.open_time > reached:
                break
            reached = max(reached, _end(pending.mark))
        return reached > event_id

    def wants(self, event_id: int) -> bool:
        """Return whether the closing of the candle that opens then is missing so far."""
        return (
            self._open_time is not None
            and event_id >= self._open_time
            and not any(
                pending.mark.is_closed and pending.mark.open_time == event_id
                for pending in self._pending
            )
        )

    def advance(self, event_id: int) -> bool:
        return False  # an open time alone does not tell; one event a second needs no fast path

    def take(self, event_id: int, item: Item, now: float) -> list[Item | Gap]:
        mark = self._mark_of(item)
        if self._open_time is None:
            self.first_id = self._open_time = self._begin(mark)
        if mark.open_time <= self._open_time:
            return [item, *self._release()] if self._forward(mark) else []
        pending = _Held(mark, now, item)
        index = bisect_left(self._pending, _key(pending), key=_key)
        if index < len(self._pending) and _key(self._pending[index]) == _key(pending):
            self.duplicates_total += 1
            return []
        self._pending.insert(index, pending)
        if len(self._pending) > self.pending_limit:
            return self._skip(self._pending[0].mark.open_time, "no_room")
        return []

    def held_above(self) -> Item | None:
        """Return the event right above the lowest gap."""
        return self._pending[0].item if self._pending else None

    def release(self) -> list[Item | Gap]:
        """Return what a closed gap has freed: nothing, since that comes out with it."""
        return []

    def suspected(self, now: float) -> tuple[Gap, float] | None:
        """Return the lowest gap when it has waited long enough for the other connections.

        With it comes when it was first missed.
        """
        for end, since in self._holes():
            if now < since + self.wait_seconds:
                break
            self._missed_below = max(self._missed_below, end)
        if not self._pending or self._open_time is None:
            return None
        lowest, since = next(self._holes())
        if lowest > self._missed_below:
            return None
        return self._gap(lowest), since

    def give_up(self, last_id: int, reason: str) -> list[Item | Gap]:
        """Declare what is missing up to this time; return what is to be forwarded, in order."""
        declared: list[Item | Gap] = []
        while self._open_time is not None and self._open_time <= last_id:
            end = last_id + 1
            if self._pending:
                end = min(end, self._pending[0].mark.open_time)
            declared += self._skip(end, reason)
        return declared

    def expire(self, now: float) -> list[Item | Gap]:
        declared: list[Item | Gap] = []
        while self._pending:
            end, since = next(self._holes())
            if now < since + self.wait_seconds:
                break
            declared += self._skip(end, "not_repaired")
        return declared

    def _begin(self, mark: Mark) -> int:
        """Return the open time to start with: the first event's, or of when others ended."""
        if self._started_after is None:
            return mark.open_time
        self._event_time = self._started_after
        return open_time_at(self.interval, self._started_after, mark.open_time)

    def _holes(self) -> Iterator[tuple[int, float]]:
        """Yield where each hole ends, lowest first, and since when it has been missed.

        That is the first arrival of anything above it.
        """
        since: list[float] = []
        earliest = float("inf")
        for pending in reversed(self._pending):
            earliest = min(earliest, pending.since)
            since.append(earliest)
        reached = self._open_time or 0
        for pending, missed_since in zip(self._pending, reversed(since), strict=True):
            if pending.mark.open_time > reached:
                yield pending.mark.open_time, missed_since
            reached = max(reached, _end(pending.mark))

    def _forward(self, mark: Mark) -> bool:
        """Return whether an event of a candle that is not above the open one has something new."""
        if mark.open_time != self._open_time or (
            mark.event_time <= self._event_time and not mark.is_closed
        ):
            self.duplicates_total += 1
            return False
        self.events_total += 1
        self._event_time = self._latest = mark.event_time
        if mark.is_closed:
            self._open_time, self._event_time = mark.next_open_time, -1
        return True

    def _gap(self, end: int, reason: str = "not_repaired") -> CandleGap:
        begin = self._open_time or 0
        return CandleGap(begin, end - 1, reason, candles_between(self.interval, begin, end))

    def _skip(self, end: int, reason: str) -> list[Item | Gap]:
        """Count the candles before `end` as missing; return the gap and what follows."""
        gap = self._gap(end, reason)
        if reason == EMPTY:
            self.empty_total += gap.missing
        else:
            self.gaps_total += 1
            self.missing_total += gap.missing
        self._open_time, self._event_time = end, -1
        return [gap, *self._release()]

    def _release(self) -> list[Item | Gap]:
        """Return what waits for nothing any more."""
        released: list[Item | Gap] = []
        count = 0
        for pending in self._pending:
            if self._open_time is None or pending.mark.open_time > self._open_time:
                break
            count += 1
            if self._forward(pending.mark):
                released.append(pending.item)
        del self._pending[:count]
        return released


def _end(mark: Mark) -> int:
    """Return up to where nothing is missing below or in this candle."""
    return mark.next_open_time if mark.is_closed else mark.open_time


def _key(pending: _Held[Item]) -> tuple[int, bool, int]:
    mark = pending.mark
    return mark.open_time, mark.is_closed, 0 if mark.is_closed else mark.event_time
