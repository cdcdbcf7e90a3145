"""Events of a process over all of its streams, while streams come and go. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from streamer.messages import Report, StreamCounts


class EventTotal:
    """The sum of `events_total` over the reports of one process; it never falls.

    A stream that was removed is no longer in the reports: what it last told stays in the sum.
    """

    def __init__(self, streams: Collection[str] | None = None) -> None:
        """Count only these streams, such as `trade`; None: all."""
        self._streams = streams
        self._removed = 0
        self._latest: dict[tuple[str, str], int] = {}

    def take(self, report: Report) -> int:
        """Take a newer report and return the sum."""
        latest = {(one.stream, one.symbol): one.events_total for one in self._of(report.streams)}
        self._removed += sum(count for key, count in self._latest.items() if key not in latest)
        self._latest = latest
        return self._removed + sum(latest.values())

    def _of(self, streams: Iterable[StreamCounts]) -> Iterable[StreamCounts]:
        if self._streams is None:
            return streams
        return (one for one in streams if one.stream in self._streams)
