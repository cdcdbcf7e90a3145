"""How long to wait before the next read while little comes, so that a wake-up brings more. Pure."""

from __future__ import annotations

FEW_MESSAGES = 20
"""Fewer in one read are little: at 7 µs each a wake-up of 250 µs costs more than they do."""


class ReadPacing:
    """Times of a monotonic clock, in seconds. An interval of 0 never waits."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._read_at = 0.0

    def took(self, messages: int, now: float) -> None:
        """Note how many messages a read has brought."""
        if messages < FEW_MESSAGES:
            self._read_at = now + self._interval_seconds

    def seconds(self, now: float, until: float) -> float:
        """Return how long to wait from now on, at most until a time at which something is due."""
        return max(0.0, min(self._read_at, until) - now)
