"""Puts the reports of one streamer process together again from their parts. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from streamer.messages import Report, StreamCounts, StreamsPart


class ReportAssembler:
    """Knows the streams of one process by what its parts have told so far.

    A stream of which nothing has changed is the same object in every report.
    """

    def __init__(self) -> None:
        self._streams: dict[int, StreamCounts] = {}
        self._in_order: tuple[StreamCounts, ...] | None = ()  # None: they have changed
        self._sequence = 0  # of the latest report

    def take(self, part: StreamsPart) -> None:
        """Take a part; one of a report that is over is a copy, and changes nothing."""
        if part.sequence <= self._sequence:
            return
        streams = self._streams
        gone = [number for number in part.removed if number in streams]
        if part.until > part.first:
            gone += [
                number
                for number in streams
                if part.first <= number < part.until and number not in part.streams
            ]
        for number in gone:
            streams.pop(number, None)
        before = len(streams)
        fresh = [
            (number, counts)
            for number, counts in part.streams.items()
            if streams.get(number) != counts
        ]
        if gone or fresh:
            streams.update(fresh)
            self._in_order = None
        if len(streams) != before:
            self._streams = dict(sorted(streams.items()))

    def whole(self, report: Report) -> Report:
        """Return a report as it came, with all streams that are known."""
        self._sequence = max(self._sequence, report.sequence)
        if self._in_order is None:
            self._in_order = tuple(self._streams.values())
        return replace(report, streams=self._in_order)
