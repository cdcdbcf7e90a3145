"""Whether to read, while the sink takes nothing: the exchange's patience is never used up. Pure.

Unread data waits in the kernel's buffers, and behind it wait the exchange's pings: who does not
answer one within a minute is hung up on. So reading pauses for some seconds at most; after that
the feed reads on, answers, and lets the events go, which is a gap like any other once the sink
takes records again.
"""

from __future__ import annotations

from typing import Literal

Mode = Literal["reading", "paused", "letting_go"]

PAUSE_SECONDS = 10.0
"""Unread data is never older: half of the exchange's 20 s between two pings, of 60 s patience."""


class Backpressure:
    """What the feed does with what the exchange sends. Times are monotonic seconds."""

    def __init__(self, pause_seconds: float = PAUSE_SECONDS) -> None:
        self.mode: Mode = "reading"
        self.since = 0.0  # of a pause or of letting go
        self._pause_seconds = pause_seconds
        self._unread_since = 0.0

    def turn(self, *, accepting: bool, unread_since: float | None, now: float) -> Mode | None:
        """Tell which mode begins now; None when nothing changes.

        `unread_since` is when everything that had come was last known to be read; None when that
        is so now, as far as one can tell. A pause that follows upon another before all was read is
        the same pause: pings wait behind the backlog of both.
        """
        if accepting:
            return self._enter("reading", now)
        if self.mode == "reading":
            self._unread_since = now if unread_since is None else unread_since
        if self.mode == "letting_go" or now - self._unread_since >= self._pause_seconds:
            return self._enter("letting_go", now)
        return self._enter("paused", now)

    def _enter(self, mode: Mode, now: float) -> Mode | None:
        if mode == self.mode:
            return None
        self.mode, self.since = mode, now
        return mode
