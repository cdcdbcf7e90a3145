"""Gives freed memory back once a peak is over: a burst, a rotation, records that waited."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from streamer.memory.heap import trim_memory

LOOK_EVERY_SECONDS = 10.0  # /proc/self/statm takes 50 µs to read
SHORTEST_WAIT_SECONDS = 60.0  # from one trim to the next: it takes milliseconds of the feed's time
LONGEST_WAIT_SECONDS = 600.0  # after trims that gave nothing back
WORTH_BYTES = 1 << 20
"""Growth that is worth a trim, which takes milliseconds and what is used again faults back in."""
STILL_BYTES = WORTH_BYTES // 8
"""Growth between two looks that is none: caches that fill, pages that are touched for once."""

_STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_memory() -> tuple[int, int]:
    """Return this process's resident memory in bytes, and what of it are pages of files.

    Raises OSError where there is no /proc.
    """
    _, resident, shared, *_ = _STATM.read_bytes().split()
    return int(resident) * _PAGE_BYTES, int(shared) * _PAGE_BYTES


def resident_bytes() -> int:
    """Return this process's resident memory. Raises OSError where there is no /proc."""
    return resident_memory()[0]


class HeapTrimmer:
    """Trims when the memory is larger than at its lowest, and has stopped growing.

    At most once a minute. After a trim that gave nothing back the next one comes later and later:
    a process that grows for good, or whose memory goes up and down by what it uses, costs a trim
    each ten minutes. What is told to be `free` since the last trim does not wait for that, but
    for as much as a trim was told before and did not give back: it is another peak, and what stayed
    of the one before says nothing of it.
    """

    def __init__(
        self,
        resident: Callable[[], int] = resident_bytes,
        trim: Callable[[], bool] = trim_memory,
        free: Callable[[], int] = lambda: 0,
    ) -> None:
        self._resident = resident
        self._trim = trim
        self._free = free
        self._look_at = self._again_at = 0.0
        self._wait_seconds = SHORTEST_WAIT_SECONDS
        self._lowest: int | None = None
        self._latest = 0  # at the last look
        self._trimmed_at = 0.0
        self._in_vain = 0  # of what was told to be free at the last trim, what it did not give

    def turn(self, now: float) -> bool:
        """Look if it is time to, by a monotonic clock; return whether the heap was trimmed."""
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_EVERY_SECONDS
        try:
            resident = self._resident()
        except OSError:
            self._look_at = float("inf")
            return False
        self._lowest = min(resident, self._lowest or resident)
        settled = resident < self._latest + STILL_BYTES
        self._latest = resident
        if not settled or resident < self._lowest + WORTH_BYTES or not self._is_time(now):
            return False
        told = self._free()
        self._trim()
        self._latest = self._resident()
        self._in_vain = max(told - (resident - self._latest), 0)
        self._lowest = min(self._lowest, self._latest)
        if resident - self._latest >= WORTH_BYTES:
            self._wait_seconds = SHORTEST_WAIT_SECONDS
        self._trimmed_at = now
        self._again_at = now + self._wait_seconds
        self._wait_seconds = min(2 * self._wait_seconds, LONGEST_WAIT_SECONDS)
        return True

    def _is_time(self, now: float) -> bool:
        """Return whether the last trim was long enough ago."""
        if now >= self._again_at:
            return True
        return (
            now >= self._trimmed_at + SHORTEST_WAIT_SECONDS
            and self._free() >= self._in_vain + WORTH_BYTES
        )
