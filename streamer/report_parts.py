"""Which streams of a report are told: those that changed, and some of the others in turn. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from streamer.messages import Report, StreamCounts, StreamsPart

STREAMS_PER_PART = 400  # 30 kB; with the longest names that there may be, just below 1 MiB
REFRESH_REPORTS = 30
"""Every stream is told at least once in so many reports: half a minute until a lost part heals."""


class ReportParts:
    """Remembers what the watcher was told of each stream.

    A part counts as told once `told` says so; until then its streams are in every report.
    """

    def __init__(self, streams_per_part: int = STREAMS_PER_PART) -> None:
        self._streams_per_part = streams_per_part
        self._numbers: dict[tuple[str, str], int] = {}
        self._told: dict[int, StreamCounts | None] = {}  # by number, ascending
        self._removed: dict[int, None] = {}  # not told yet
        self._next_number = 0
        self._refresh_from = 0

    def of(self, report: Report) -> Iterator[StreamsPart]:
        """Yield the parts that precede a report, each bounded in size."""
        now = {(one.stream, one.symbol): one for one in report.streams}
        self._renumber(now)
        first, until = self._range()
        due: dict[int, StreamCounts] = {}
        changed: dict[int, StreamCounts] = {}
        for key, counts in now.items():
            number = self._numbers[key]
            if first <= number < until:
                due[number] = counts
            elif self._told[number] != counts:
                changed[number] = counts
        size = self._streams_per_part
        removed, rest = list(self._removed), list(changed.items())
        room = size - len(due)
        if due or rest or removed or until > first:
            due.update(rest[:room])
            yield self._part(report, due, removed[:size], first, until)
        for begin in range(size, len(removed), size):
            yield self._part(report, {}, removed[begin : begin + size])
        for begin in range(room, len(rest), size):
            yield self._part(report, dict(rest[begin : begin + size]))

    def told(self, part: StreamsPart) -> None:
        """Take that a part was handed over."""
        for number, counts in part.streams.items():
            if number in self._told:
                self._told[number] = counts
        for number in part.removed:
            self._removed.pop(number, None)
        if part.until > part.first:
            self._refresh_from = part.until if part.until < self._next_number else 0

    def _renumber(self, now: dict[tuple[str, str], StreamCounts]) -> None:
        """Give new streams their numbers, and take those of removed ones away."""
        if now.keys() == self._numbers.keys():
            return
        for key in [key for key in self._numbers if key not in now]:
            number = self._numbers.pop(key)
            del self._told[number]
            self._removed[number] = None
        for key in now:
            if key not in self._numbers:
                self._numbers[key] = self._next_number
                self._told[self._next_number] = None
                self._next_number += 1

    def _range(self) -> tuple[int, int]:
        """Return the numbers that are told anew, changed or not."""
        count = min(-(-self._next_number // REFRESH_REPORTS), self._streams_per_part)
        return self._refresh_from, min(self._refresh_from + count, self._next_number)

    def _part(
        self,
        report: Report,
        streams: dict[int, StreamCounts],
        removed: list[int] = [],  # noqa: B006 - never changed
        first: int = 0,
        until: int = 0,
    ) -> StreamsPart:
        return StreamsPart(
            report.streamer,
            report.generation,
            report.sequence,
            report.pid,
            streams,
            tuple(removed),
            first,
            until,
        )
