"""A look that is repeated now and then, the more rarely the more it costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

LOOK_EVERY_SECONDS = 10.0
COST_SHARE = 1e-4  # of the loop's time at most: 5 ms each 50 s

Found = TypeVar("Found")


class PacedLook(Generic[Found]):
    """Keeps what the latest look found."""

    def __init__(
        self, look: Callable[[], Found], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._look = look
        self._clock = clock
        self._look_at: float | None = None
        self._found: Found

    def latest(self) -> Found:
        """Return the latest look, at most 10 s old unless a look is expensive."""
        began = self._clock()
        if self._look_at is None or began >= self._look_at:
            self._found = self._look()
            took = self._clock() - began
            self._look_at = began + max(LOOK_EVERY_SECONDS, took / COST_SHARE)
        return self._found

    def forget(self) -> None:
        """Have the next call look again."""
        self._look_at = None
