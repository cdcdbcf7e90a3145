"""Memory over time in bins: the series that growth and leak score are judged by.

The watcher and the judge of a saved profile go through the same functions with the same bins, so
that both come to the same score.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from monitor.leak import Assessment

# Floors around a collection. The time before must be long enough for the low point of a saw-tooth.
# What is used again soon was no growth, so the time after begins late; it may be short, since a
# collected heap is at its low point, and must be over before evidence has lasted long enough for
# a conviction: 30 bins, or 12 in runs up to 1 h.
BEFORE_BINS = 60
SETTLE_BINS = 3
AFTER_BINS = 6
COLLECTIONS_KEPT = 1000  # one an hour is asked for; people may ask for more

Curve = Sequence[tuple[float, float]]
"""Elapsed seconds and memory in bytes, oldest first."""


def curve_of(bin_seconds: float, index: Sequence[int], rss_min_bytes: Sequence[int]) -> Curve:
    """Return the curve of minima, each at the end of its bin."""
    ends = [(one + 1) * bin_seconds for one in index]
    return list(zip(ends, map(float, rss_min_bytes), strict=True))


@dataclass(frozen=True, slots=True)
class Bin:
    """What was seen of one process in the interval (index, index + 1] × bin_seconds."""

    index: int
    rss_min_bytes: int
    rss_max_bytes: int
    rss_last_bytes: int
    messages_total: int  # unique events of this process up to the end of the bin
    rotations_total: int
    # Lowest RSS less what the process accounted for at the same time; None: it told nothing.
    unexplained_min_bytes: int | None = None


class Detector(Protocol):
    """What is asked of a leak detector."""

    accounts_for_all: bool  # what is told as explained holds every cache, and free heap

    def observe(
        self,
        elapsed_seconds: float,
        memory_bytes: float,
        messages_total: float | None = None,
        rotation: bool = False,
        explained_bytes: float | None = None,
    ) -> None:
        """Take one observation."""
        ...

    def collected(self, elapsed_seconds: float, before_bytes: float, after_bytes: float) -> None:
        """Take the floors before and after a garbage collection with a trim."""
        ...

    def assess(self) -> Assessment:
        """Return the latest judgement."""
        ...


class DetectorFactory(Protocol):
    """Makes a detector for a horizon, and for the curve of a known-good run if there is one."""

    def __call__(self, horizon_seconds: float, reference: Curve | None, /) -> Detector:
        """Return a detector for a new process."""
        ...


@dataclass(frozen=True, slots=True)
class Collection:
    """A garbage collection with a trim, and the lowest memory before and after it."""

    bin: int  # index of the bin in which it was done
    before_bytes: int
    after_bytes: int | None = None  # not known yet


class Binner:
    """Puts the samples of one process into bins. The time origin is its first sample."""

    def __init__(self, bin_seconds: float) -> None:
        self.bin_seconds = bin_seconds
        self.messages_total = 0  # kept current by the owner, as reports come in
        self.rotations_total = 0
        self.origin: float | None = None
        self.open: Bin | None = None  # the incomplete bin: for the record; the score waits

    def add(self, at: float, rss_bytes: int, explained_bytes: int | None = None) -> Bin | None:
        """Take a sample; return the bin that it completed by being the first of a later one."""
        if self.origin is None:
            self.origin = at
        index = max(math.ceil((at - self.origin) / self.bin_seconds) - 1, 0)
        before = self.open
        low = high = rss_bytes
        unexplained = None if explained_bytes is None else rss_bytes - explained_bytes
        if before is not None and before.index == index:
            low = min(before.rss_min_bytes, rss_bytes)
            high = max(before.rss_max_bytes, rss_bytes)
            known = before.unexplained_min_bytes
            if known is not None:
                unexplained = known if unexplained is None else min(known, unexplained)
        self.open = Bin(
            index, low, high, rss_bytes, self.messages_total, self.rotations_total, unexplained
        )
        return before if before is not None and before.index != index else None


class LeakTrack:
    """Feeds the completed bins of one process to a detector of its own."""

    def __init__(
        self,
        bin_seconds: float,
        horizon_seconds: float,
        detector: DetectorFactory,
        reference: Curve | None = None,
    ) -> None:
        self.latest: Assessment | None = None
        self.collections: deque[Collection] = deque(maxlen=COLLECTIONS_KEPT)
        self._bin_seconds = bin_seconds
        self._detector = detector(horizon_seconds, reference)
        self._rotations = 0
        self._lows: deque[int] = deque(maxlen=BEFORE_BINS)
        self._lows_after: list[int] = []

    @property
    def accounts_for_all(self) -> bool:
        """Whether the process tells every cache, and free heap. To be set before it tells any."""
        return self._detector.accounts_for_all

    @accounts_for_all.setter
    def accounts_for_all(self, value: bool) -> None:
        self._detector.accounts_for_all = value

    def collected(self, index: int) -> None:
        """Note that the process was collected and trimmed in a bin that is not completed yet.

        Its effect is told to the detector `SETTLE_BINS + AFTER_BINS` later. What comes before
        the first completed bin, or until the effect of the last one is known, is not weighed.
        """
        if self._lows and not self._weighing:
            self.collections.append(Collection(index, min(self._lows)))

    def add(self, completed: Bin) -> Assessment:
        """Take a bin and return the judgement after it."""
        if self._weighing:
            self._weigh(completed)
        self._lows.append(completed.rss_min_bytes)
        rotated = completed.rotations_total > self._rotations
        self._rotations = completed.rotations_total
        low, unexplained = completed.rss_min_bytes, completed.unexplained_min_bytes
        self._detector.observe(
            (completed.index + 1) * self._bin_seconds,
            low,
            messages_total=completed.messages_total,
            rotation=rotated,
            explained_bytes=None if unexplained is None else low - unexplained,
        )
        self.latest = self._detector.assess()
        return self.latest

    @property
    def _weighing(self) -> bool:
        return bool(self.collections) and self.collections[-1].after_bytes is None

    def _weigh(self, completed: Bin) -> None:
        collection = self.collections[-1]
        if completed.index <= collection.bin + SETTLE_BINS:
            return
        self._lows_after.append(completed.rss_min_bytes)
        if completed.index >= collection.bin + SETTLE_BINS + AFTER_BINS:
            after = min(self._lows_after)
            self._lows_after.clear()
            self.collections[-1] = replace(collection, after_bytes=after)
            self._detector.collected(
                (completed.index + 1) * self._bin_seconds, collection.before_bytes, after
            )
