"""Events of a process over all of its streams, while streams come and go. Pure."""

from __future__ import annotations

from collections.abc import Collection

from monitor.stream_changes import StreamChanges, events_since


class EventTotal:
    """The sum of `events_total` over the reports of one process; it never falls.

    A stream that was removed is no longer in the reports: what it last told stays in the sum.
    """

    def __init__(self, streams: Collection[str] | None = None) -> None:
        """Count only these streams, such as `trade`; None: all."""
        self._streams = streams
        self._total = 0

    def take(self, changes: StreamChanges) -> int:
        """Take what a report has changed, every one in turn, and return the sum."""
        streams = self._streams
        self._total += sum(
            events_since(before, now)
            for before, now in changes.changed
            if streams is None or now.stream in streams
        )
        return self._total
