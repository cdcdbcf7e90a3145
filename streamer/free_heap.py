"""How much of the C library's free heap still takes memory: what a leak can never be.

`mallinfo2` counts free pages that a trim has given back as free heap as well. But what is free
beyond the least since the last trim has been in use meanwhile, so that it is resident: never more
than that is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from streamer.heap import statistics, trim_memory

LOOK_EVERY_SECONDS = 10.0
COST_SHARE = 1e-4
"""Of the loop's time at most: it walks all free chunks, 10 µs for few, 5 ms for 50,000."""


@dataclass(frozen=True, slots=True)
class HeapUse:
    """The C heap, in bytes. Python's small objects are not in it: they have arenas of their own."""

    in_use: int
    free: int  # and resident, as far as is sure


class FreeHeap:
    """Looks at the heap now and then, and trims it."""

    def __init__(
        self,
        look: Callable[[], dict[str, int] | None] = statistics,
        trim: Callable[[], bool] = trim_memory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._trim = trim
        self._clock = clock
        self._least: int | None = None  # free bytes since the last trim
        self._look_at = 0.0
        self._use: HeapUse | None = None

    def trim(self) -> bool:
        """Give freed memory back to the system; False where the C library cannot."""
        trimmed = self._trim()
        self._least = None
        self._look_at = 0.0
        return trimmed

    def use(self) -> HeapUse | None:
        """Return the latest look, at most 10 s old unless a look is expensive; None: no glibc."""
        began = self._clock()
        if began >= self._look_at:
            self._use = self._looked()
            took = self._clock() - began
            self._look_at = began + max(LOOK_EVERY_SECONDS, took / COST_SHARE)
        return self._use

    def _looked(self) -> HeapUse | None:
        found = self._look()
        if found is None:
            return None
        free = found["fordblks"]
        self._least = free if self._least is None else min(self._least, free)
        return HeapUse(found["uordblks"] + found["hblkhd"], free - self._least)
