"""How much of the C library's free heap still takes memory: what a leak can never be.

`mallinfo2` counts free pages that a trim has given back as free heap as well. But what is free
beyond the least since the last trim has been in use meanwhile, so that it is resident: never more
than that is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from streamer.memory.heap import statistics, trim_memory
from streamer.memory.paced_look import PacedLook


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
        # A look walks all free chunks: 10 µs for few, 5 ms for 50,000.
        self._statistics = look
        self._look = PacedLook(self._looked, clock)
        self._trim = trim
        self._least: int | None = None  # free bytes since the last trim

    def trim(self) -> bool:
        """Give freed memory back to the system; False where the C library cannot."""
        trimmed = self._trim()
        self._least = None
        self._look.forget()
        return trimmed

    def free_bytes(self) -> int:
        """Return what a trim might give back, by the latest look; 0 where nobody tells."""
        found = self.use()
        return 0 if found is None else found.free

    def use(self) -> HeapUse | None:
        """Return the latest look; None: no glibc."""
        return self._look.latest()

    def _looked(self) -> HeapUse | None:
        found = self._statistics()
        if found is None:
            return None
        free = found["fordblks"]
        self._least = free if self._least is None else min(self._least, free)
        return HeapUse(found["uordblks"] + found["hblkhd"], free - self._least)
