"""Things that are due again and again."""

from __future__ import annotations


class Every:
    """A period on a monotonic clock; what was missed is not made up for in a burst."""

    def __init__(self, period_seconds: float, first_at: float) -> None:
        self.period_seconds = period_seconds
        self.next_at = first_at

    def due(self, now: float) -> bool:
        """Say whether it is time, and if so set the next time, on the same grid."""
        if now < self.next_at:
            return False
        missed = (now - self.next_at) // self.period_seconds
        self.next_at += (missed + 1) * self.period_seconds
        return True

    def change(self, period_seconds: float, now: float) -> None:
        """Use another period from now on."""
        if period_seconds != self.period_seconds:
            self.period_seconds = period_seconds
            self.next_at = now + period_seconds
