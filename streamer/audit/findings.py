"""What the looks at a sink come to, per stream and symbol, and whether all is explained. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from streamer.audit.auditor import Auditor, Key, Lane
from streamer.audit.copies import SecondLook
from streamer.audit.gaps import DeclaredGaps, TimeGap
from streamer.audit.order import Aggregates, Order, Times
from streamer.audit.pattern import number
from streamer.audit.ranges import IdRanges, Range
from streamer.data.catalogue import kind_of
from streamer.data.intervals import candles_between, interval_of, next_open_time

LISTED = 20
"""Missing ranges and differing ids that are named; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found for one stream of one symbol; ids in ascending order."""

    stream: str
    symbol: str
    records: int
    first_id: int | None  # None: there is nothing but declared gaps
    last_id: int | None
    first_received_us: int | None
    last_received_us: int | None
    missing: int  # ids neither recorded nor declared
    missing_ranges: tuple[Range, ...]  # the first `LISTED`
    copies: int
    differing: int  # ids whose copies say something else
    differing_ids: tuple[int, ...]  # the first `LISTED`
    disorder: int  # first occurrences below an earlier one
    apart: int  # aggregate trades whose trades do not follow those of the one before
    apart_ids: tuple[int, ...]  # the first `LISTED`
    untimely: int  # back-filled, and more than a second out of time between their neighbours
    untimely_ids: tuple[int, ...]  # the first `LISTED`
    backfilled: int
    gap_records: dict[str, int]  # by reason
    gap_ids: dict[str, int]  # by reason, where the stream has contiguous ids
    gap_times: tuple[TimeGap, ...]  # where it has none
    declared_missing: int  # ids in gaps that are a loss, and not recorded all the same
    partitions: tuple[int, ...]
    end_id: int | None = None  # the last id of the stream itself, or declared missing
    foreign_ids: int = 0  # records whose `record_id` is that of another one
    filled: int = 0  # ids in gaps that are a loss, which a back-fill brought later

    def problems(self, *, no_copies: bool = False) -> list[str]:
        """Return what is not explained, in words."""
        counts = {
            "missing": self.missing,
            "out of order": self.disorder,
            "copies that differ": self.differing,
            "whose trades do not follow the one before": self.apart,
            "back-filled that do not fit their neighbours in time": self.untimely,
            "whose record_id is not theirs": self.foreign_ids,
        }
        if no_copies:
            counts["copies"] = self.copies
        return [f"{count} {what}" for what, count in counts.items() if count]

    def as_json(self) -> dict[str, Any]:
        """Return the finding for machines."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain["gap_times"] = [
            {"from_us": time.from_us, "to_us": time.to_us, "reason": time.reason}
            for time in self.gap_times
        ]
        return plain


def numbers_again(auditor: Auditor) -> dict[Key, IdRanges]:
    """Return what wants a second look."""
    found: dict[Key, IdRanges] = {}
    for key, lanes in auditor.lanes.items():
        again = IdRanges() if kind_of(key[0]) == "kline" else _shared(lanes.values())
        for lane in lanes.values():
            for first, last in lane.order.again:
                again.add(first, last)
        if again:
            found[key] = again
    return found


def candles_again(auditor: Auditor) -> dict[Key, IdRanges]:
    """Return the open times of closed candles that are in more than one lane.

    Each has a number of its own there: how it came decides which `event_time` it has.
    """
    found: dict[Key, IdRanges] = {}
    for key, lanes in auditor.lanes.items():
        if kind_of(key[0]) == "kline":
            for first, last in _shared(lanes.values()):
                open_time = first
                while open_time <= last:
                    found.setdefault(key, IdRanges()).add(open_time, open_time)
                    open_time = next_open_time(interval_of(key[0]), open_time)
    return found


def _shared(lanes: Iterable[Lane]) -> IdRanges:
    """Return what more than one lane has."""
    shared, known = IdRanges(), IdRanges()
    for lane in lanes:
        for first, last in lane.order.ids:
            for one in _both(known, first, last):
                shared.add(*one)
            known.add(first, last)
    return shared


def _both(ids: IdRanges, first: int, last: int) -> IdRanges:
    asked = IdRanges()
    asked.add(first, last)
    rest = asked.without(ids)
    return asked.without(rest)


def conclude(auditor: Auditor, looks: Iterable[SecondLook]) -> list[Finding]:
    """Return a finding for each stream and symbol, in their order."""
    differing: dict[Key, list[int]] = {}
    times: dict[Key, dict[int, int]] = {}
    for look in looks:
        for key, event_id in look.differing():
            differing.setdefault(key, []).append(event_id)
        for key, event_id, count in look.times():
            times.setdefault(key, {})[event_id] = count
    lanes = auditor.lanes
    return [
        _finding(
            key,
            lanes.get(key, {}),
            auditor.gaps.get(key, DeclaredGaps()),
            sorted(differing.get(key, ())),
            times.get(key, {}),
        )
        for key in sorted(lanes.keys() | auditor.gaps.keys())
    ]


def _finding(
    key: Key,
    lanes: Mapping[int, Lane],
    gaps: DeclaredGaps,
    differing: list[int],
    times: Times,
) -> Finding:
    orders = [lane.order for lane in lanes.values()]
    in_order = [lane.order for which, lane in lanes.items() if which >= 0]
    ids, later, streamed = IdRanges(), IdRanges(), IdRanges()
    apart, untimely = IdRanges(), IdRanges()
    for lane in lanes.values():
        for first, last in lane.untimely:
            untimely.add(first, last)
    copies = 0
    disorder = sum(order.disorder(times) for order in in_order)
    for which, lane in lanes.items():
        for first, last in lane.order.ids:
            (later if which < 0 else streamed).add(first, last)
    holes = _holes(in_order, later)
    for order in orders:
        copies += order.copies(times)
        for one in order.apart if isinstance(order, Aggregates) else ():
            apart.add(*one)
        for first, last in order.ids:
            copies += _count(key[0], _both(ids, first, last))  # in another partition as well
            ids.add(first, last)
    # What a record says to be filled must be there.
    missing = holes.without(gaps.lost.without(gaps.filled)).without(gaps.no_loss)
    declared = gaps.lost.without(ids).without(gaps.no_loss)
    filled = gaps.lost.without(gaps.lost.without(later))
    return Finding(
        stream=key[0],
        symbol=key[1],
        records=sum(order.records for order in orders),
        first_id=min((order.first_id for order in orders), default=None),
        last_id=max((order.last_id for order in orders), default=None),
        first_received_us=min(map(_first_received, lanes.values()), default=None),
        last_received_us=max(map(_last_received, lanes.values()), default=None),
        missing=_count(key[0], missing),
        missing_ranges=tuple(missing)[:LISTED],
        copies=copies,
        differing=len(differing),
        differing_ids=tuple(differing[:LISTED]),
        disorder=disorder,
        apart=apart.total,
        apart_ids=tuple(first for first, _ in apart)[:LISTED],
        untimely=untimely.total,
        untimely_ids=tuple(first for first, _ in untimely)[:LISTED],
        backfilled=sum(lane.backfilled for lane in lanes.values()),
        gap_records=gaps.records_by_reason,
        gap_ids=gaps.ids_by_reason,
        gap_times=tuple(gaps.times),
        declared_missing=_count(key[0], declared),
        partitions=tuple(sorted(which for which in lanes if which >= 0)),
        end_id=max((one.last for one in (streamed, gaps.lost, gaps.no_loss) if one), default=None),
        foreign_ids=sum(lane.foreign_ids for lane in lanes.values()),
        filled=_count(key[0], filled),
    )


def _holes(in_order: list[Order], later: IdRanges) -> IdRanges:
    """Return what is missing between the first and the last record of the lanes in order.

    `later` is what a back-fill brought: it closes holes there, and outside of that it is what
    somebody asked for, with nothing between it and the rest that anybody wanted.
    """
    if len(in_order) == 1:
        return in_order[0].holes().without(later)
    if not in_order:
        return IdRanges()
    ids = IdRanges()
    for order in in_order:
        for first, last in order.ids:
            ids.add(first, last)
    return ids.between().without(later)


def _first_received(lane: Lane) -> int:
    return number(lane.first_received)


def _last_received(lane: Lane) -> int:
    return number(lane.last_received)


def _count(stream: str, ids: IdRanges) -> int:
    """Return how many ids there are; of a kline, how many candles in these times."""
    if kind_of(stream) != "kline":
        return ids.total
    interval = interval_of(stream)
    return sum(candles_between(interval, first, last + 1) for first, last in ids)
