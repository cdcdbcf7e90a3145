"""How far apart the frames are that we send on one connection. Pure: no clock.

The exchange counts PING, PONG and JSON alike, closes with 1008 beyond 5 within a second, and bans
who does it again. How it cuts its seconds is not documented, and a network that holds frames back
delivers them in a burst: even 1.5 s of them are 4 at the first distance.
"""

from __future__ import annotations

from typing import Final

SPACING_SECONDS: Final = 0.5
SPACING_SECONDS_MAX: Final = 2.0
"""A tenth of the limit; a slot's 1000 streams take 9 frames, and a pong may wait for 60 s."""
RECOVERY_SECONDS: Final = 600.0
"""Without another complaint, after which the distance is halved."""
_POLICY_VIOLATION = 1008


class FramePace:
    """The distance of frames on every connection, slower after each complaint of the exchange."""

    def __init__(self) -> None:
        self.seconds = SPACING_SECONDS
        self._changed_at = 0.0

    def hear_close(self, code: int, now: float) -> bool:
        """Note the code that a connection ended with; return whether it is slower from now on."""
        if code != _POLICY_VIOLATION:
            return False
        self._changed_at = now
        before, self.seconds = self.seconds, min(2 * self.seconds, SPACING_SECONDS_MAX)
        return self.seconds > before

    def recover(self, now: float) -> None:
        """Be faster again when there was no complaint for long."""
        if self.seconds > SPACING_SECONDS and now - self._changed_at >= RECOVERY_SECONDS:
            self._changed_at = now
            self.seconds = max(self.seconds / 2, SPACING_SECONDS)
