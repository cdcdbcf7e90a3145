"""How far the exchange's clock is from ours. Pure: times are passed in.

The offset is measured by a question over REST. Between two measurements our own clock may be set:
that shows, since the monotonic clock is not.
"""

from __future__ import annotations

TRIP_SECONDS = 1.0  # an answer that took longer says too little about the clock
STEP_SECONDS = 0.5  # our clock was set: slewing it, as NTP does, takes minutes for as much
LARGE_SECONDS = 1.0  # REST itself refuses signed requests that are off by more than that


class ExchangeClock:
    """The exchange's clock less ours: `offset_seconds`, None before the first measurement."""

    def __init__(self) -> None:
        self.offset_seconds: float | None = None
        self._apart: float | None = None  # our wall clock less the monotonic one

    @property
    def is_far(self) -> bool:
        """Whether the clocks are so far apart that people should know."""
        return self.offset_seconds is not None and abs(self.offset_seconds) > LARGE_SECONDS

    def measure(self, exchange_time: float, asked_at: float, answered_at: float) -> bool:
        """Take an answer, all in Unix seconds; False when it took too long to tell anything."""
        if not 0 <= answered_at - asked_at <= TRIP_SECONDS:
            return False
        self.offset_seconds = exchange_time - (asked_at + answered_at) / 2
        return True

    def follow(self, unix_time: float, now: float) -> bool:
        """Correct the offset by what our clock was set; tell whether it was. To be called often.

        `now` is monotonic.
        """
        apart, before = unix_time - now, self._apart
        self._apart = apart
        if before is None or abs(apart - before) < STEP_SECONDS:
            return False
        if self.offset_seconds is not None:
            self.offset_seconds -= apart - before
        return True
