"""The streams of a streamer at one moment, made when somebody looks. Pure.

Thousands of streams a second would cost more than all else that a supervisor does, for figures
that few ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from monitor.counters import Key
from streamer.messages import Report


@dataclass(frozen=True, slots=True)
class StreamSnapshot:
    """One stream of one symbol."""

    stream: str
    symbol: str
    events_total: int  # over all generations
    per_second: float  # mean of the last 10 s
    silent_seconds: float
    unavailable: str | None = None  # why the exchange does not serve it, see StreamCounts


class StreamSnapshots(Sequence[StreamSnapshot]):
    """What a report tells of the streams that are expected to stay.

    Rates are from an `earlier` report on, `seconds` before; `totals` are over all generations.
    """

    def __init__(
        self, report: Report, earlier: Report, seconds: float, totals: Mapping[Key, int]
    ) -> None:
        self._report = report
        self._earlier = earlier
        self._seconds = seconds
        self._totals = totals
        self._made: tuple[StreamSnapshot, ...] | None = None

    @overload
    def __getitem__(self, index: int) -> StreamSnapshot: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[StreamSnapshot]: ...

    def __getitem__(self, index: int | slice) -> StreamSnapshot | Sequence[StreamSnapshot]:
        return self._all[index]

    def __len__(self) -> int:
        return len(self._all)

    @property
    def _all(self) -> tuple[StreamSnapshot, ...]:
        if self._made is None:
            before = {(one.stream, one.symbol): one.events_total for one in self._earlier.streams}
            self._made = tuple(
                StreamSnapshot(
                    one.stream,
                    one.symbol,
                    self._totals["events", one.stream, one.symbol],
                    self._rate(one.events_total - before.get((one.stream, one.symbol), 0)),
                    self._report.silent_seconds(one),
                    one.unavailable,
                )
                for one in self._report.streams
                if not one.leaving
            )
        return self._made

    def _rate(self, events: int) -> float:
        # One that was removed and came back counts from 0 again.
        return max(events, 0) / self._seconds if self._seconds > 0 else 0.0
