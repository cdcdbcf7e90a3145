"""What the feed counts, and the report made of it."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, deque

from streamer.messages import LATENCY_BUCKETS_SECONDS, RECENT_NOTICES, Histogram, Notice
from streamer.printable import printable

NOTICE_TEXT_BYTES_MAX = 1024  # with all that are kept, far below the 1 MiB of a message


class LatencyTally:
    """A histogram while it is counted."""

    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCY_BUCKETS_SECONDS) + 1)
        self._sum_seconds = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count a latency `times` times; a negative one (clocks differ) counts as none."""
        self._counts[bisect_left(LATENCY_BUCKETS_SECONDS, seconds)] += times
        self._sum_seconds += max(seconds, 0.0) * times

    def histogram(self) -> Histogram:
        """Return the frozen state."""
        return Histogram(tuple(self._counts), self._sum_seconds)


class FeedCounters:
    """The feed's counters by label, and the latest notices."""

    def __init__(self) -> None:
        self.message_errors: Counter[str] = Counter()
        self.connection_errors: Counter[str] = Counter()
        self.reconnects: Counter[str] = Counter()
        self.rotations: Counter[str] = Counter()
        self.unsupported: Counter[str] = Counter()
        self.rest_errors: Counter[str] = Counter()
        self.rotations_failed_total = 0
        self.pong_timeouts_total = 0
        self.dead_letters_total = 0
        self.dead_letters_dropped_total = 0
        self.shed_total = 0
        self.reconnect_delay_seconds = 0.0
        self.clock_offset_seconds: float | None = None  # the exchange's clock less ours
        self.receive_latency = LatencyTally()
        self.notices: deque[Notice] = deque(maxlen=RECENT_NOTICES)
        self._noticed = 0

    def notice(self, kind: str, **detail: str | int | float | bool | None) -> None:
        """Keep a notice, under the next number, for the reports to come.

        Text is made printable and cut: it may be foreign, and all notices go into one message.
        """
        self._noticed += 1
        shown = {
            key: printable(value, NOTICE_TEXT_BYTES_MAX) if isinstance(value, str) else value
            for key, value in detail.items()
        }
        self.notices.append(Notice(self._noticed, time.time(), kind, shown))
