"""What every sink keeps account of: latencies of acknowledgement, and errors without a flood."""

from __future__ import annotations

import errno
from collections import deque

from streamer.feed_counters import LatencyTally
from streamer.messages import Histogram
from streamer.sinks import SinkError

_MARKS_LIMIT = 4096  # of polls whose records are not acknowledged; beyond, they share the last one
_REPEAT_SECONDS = 30.0  # an error that lasts is told this often

DISK_ERROR_TYPES = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.EROFS: "permission",
}
"""Labels of what a disk may refuse a record for; anything else is `io`."""


class AcknowledgeClock:
    """Measures from accepted to acknowledged by watermarks: one look per poll, none per record.

    Records count as accepted at the poll before they came and as acknowledged at the poll that
    sees it, so a latency is told too long by up to two intervals, never too short.
    """

    def __init__(self) -> None:
        self._counters = LatencyTally()
        self._marks: deque[tuple[int, float]] = deque()  # accepted_total and since when at most
        self._marked = 0
        self._acknowledged = 0
        self._polled_at: float | None = None

    def observe(self, accepted_total: int, acknowledged_total: int, now: float) -> None:
        """Take both totals at the time of a poll, monotonic."""
        since = now if self._polled_at is None else self._polled_at
        self._polled_at = now
        if accepted_total > self._marked:
            if len(self._marks) >= _MARKS_LIMIT:
                since = self._marks.pop()[1]
            self._marks.append((accepted_total, since))
            self._marked = accepted_total
        while self._marks and self._acknowledged < acknowledged_total:
            upto, since = self._marks[0]
            done = min(upto, acknowledged_total)
            self._counters.observe(now - since, done - self._acknowledged)
            self._acknowledged = done
            if done == upto:
                self._marks.popleft()

    def histogram(self) -> Histogram:
        """Return the latencies so far."""
        return self._counters.histogram()


class Errors:
    """Errors for notices, each type once in a while."""

    def __init__(self) -> None:
        self._told_at: dict[str, float] = {}
        self._waiting: list[SinkError] = []

    def note(self, error_type: str, error: str, now: float) -> None:
        """Keep an error, unless one of its type was kept lately. `now` is monotonic."""
        told_at = self._told_at.get(error_type)
        if told_at is None or now - told_at >= _REPEAT_SECONDS:
            self._told_at[error_type] = now
            self._waiting.append(SinkError(error_type, error))

    def take(self) -> list[SinkError]:
        """Return what was kept since the last call."""
        waiting, self._waiting = self._waiting, []
        return waiting
