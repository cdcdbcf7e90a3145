"""Memory over time in bins: the series that growth and leak score are judged by.

The watcher and the judge of a saved profile go through the same functions with the same bins, so
that both come to the same score.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from monitor.leak import Assessment


@dataclass(frozen=True, slots=True)
class Bin:
    """What was seen of one process in the interval (index, index + 1] × bin_seconds."""

    index: int
    rss_min_bytes: int
    rss_max_bytes: int
    rss_last_bytes: int
    messages_total: int  # unique events of this process up to the end of the bin
    rotations_total: int


class Detector(Protocol):
    """What is asked of a leak detector."""

    def observe(
        self,
        elapsed_seconds: float,
        memory_bytes: float,
        messages_total: float | None = None,
        rotation: bool = False,
    ) -> None:
        """Take one observation."""
        ...

    def assess(self) -> Assessment:
        """Return the latest judgement."""
        ...


DetectorFactory = Callable[[float], Detector]
"""Makes a detector for a horizon in seconds."""


class Binner:
    """Puts the samples of one process into bins. The time origin is its first sample."""

    def __init__(self, bin_seconds: float) -> None:
        self.bin_seconds = bin_seconds
        self.messages_total = 0  # kept current by the owner, as reports come in
        self.rotations_total = 0
        self.origin: float | None = None
        self.open: Bin | None = None  # the incomplete bin: for the record; the score waits

    def add(self, at: float, rss_bytes: int) -> Bin | None:
        """Take a sample; return the bin that it completed by being the first of a later one."""
        if self.origin is None:
            self.origin = at
        index = max(math.ceil((at - self.origin) / self.bin_seconds) - 1, 0)
        before = self.open
        low = high = rss_bytes
        if before is not None and before.index == index:
            low = min(before.rss_min_bytes, rss_bytes)
            high = max(before.rss_max_bytes, rss_bytes)
        self.open = Bin(index, low, high, rss_bytes, self.messages_total, self.rotations_total)
        return before if before is not None and before.index != index else None


class LeakTrack:
    """Feeds the completed bins of one process to a detector of its own."""

    def __init__(
        self, bin_seconds: float, horizon_seconds: float, detector: DetectorFactory
    ) -> None:
        self.latest: Assessment | None = None
        self._bin_seconds = bin_seconds
        self._detector = detector(horizon_seconds)
        self._rotations = 0

    def add(self, completed: Bin) -> Assessment:
        """Take a bin and return the judgement after it."""
        rotated = completed.rotations_total > self._rotations
        self._rotations = completed.rotations_total
        self._detector.observe(
            (completed.index + 1) * self._bin_seconds,
            completed.rss_min_bytes,
            messages_total=completed.messages_total,
            rotation=rotated,
        )
        self.latest = self._detector.assess()
        return self.latest
