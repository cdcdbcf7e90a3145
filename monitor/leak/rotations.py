"""Growth at rotations: the level before and after each, against what happens between them."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

from monitor.leak.bins import Bins

_SETTLE_SECONDS = 300.0  # two connections live for minutes
_LONGEST_SIDE_SECONDS = 1800.0  # of what is looked at before and after
_SHORTEST_PERIOD_SECONDS = 1800.0  # more often is no rotation but noise
_LATEST = 4  # increments that are weighed
_ALIKE = 0.6  # a leak takes about as much each time; what settles takes less and less
_SMALLEST_MB = 3.0
_KEPT = 0.7  # of the sum of increments must still be there
_TOLERANCE_MB_PER_HOUR = 1.0
_QUANTILE = 0.25
_QUIET_BETWEEN = 4  # times between two rotations that are compared with them


@dataclass(frozen=True, slots=True)
class PerRotation:
    """What rotations left behind."""

    z: float
    mb_per_rotation: float
    count: int
    share: float  # of the growth between the first and the last level


def weigh_rotations(bins: Bins) -> PerRotation | None:
    """Compare the increments at the latest rotations; None when they show nothing.

    With three or more the first is left out: a second connection warms up too. Two must be alike.
    """
    width = bins.width_seconds
    marks = list(bins.rotations)[-_LATEST - 1 :]
    if len(marks) < 2:
        return None
    gaps = sorted(b - a for a, b in pairwise(marks))
    period = gaps[len(gaps) // 2]
    if period * width < _SHORTEST_PERIOD_SECONDS:
        return None
    side = int(min(_LONGEST_SIDE_SECONDS / width, period / 3))
    settle = int(_SETTLE_SECONDS / width)
    jumps = [jump for mark in marks if (jump := _jump(bins, mark, settle, side)) is not None]
    if len(jumps) < 2:
        return None
    if len(jumps) > 2:
        jumps = jumps[1:]
    lowest, highest = min(jumps), max(jumps)
    mean = sum(jumps) / len(jumps)
    if lowest < max(_SMALLEST_MB, _ALIKE * highest):
        return None
    quiet = _quiet_jumps(bins, marks, settle, side)
    if len(quiet) < 3:
        return None
    drift = sum(quiet) / len(quiet)
    spread = math.sqrt(sum((value - drift) ** 2 for value in quiet) / (len(quiet) - 1))
    own = (highest - lowest) / 2
    error = max(spread, own, 0.1 * mean, 0.5)
    excess = mean - max(drift, 0.0) - _TOLERANCE_MB_PER_HOUR * period * width / 3600
    level = _level(bins, bins.end_bin - side, bins.end_bin)
    first = marks[-len(jumps)]
    before = _level(bins, first - side, first)
    if level is None or before is None or level - before < _KEPT * sum(jumps):
        return None
    share = sum(jumps) / (level - before)
    return PerRotation(excess / error, mean, len(jumps), share)


def _jump(bins: Bins, mark: int, settle: int, side: int) -> float | None:
    """Return the floor after a bin less the floor before it."""
    if mark + settle + side > bins.end_bin:
        return None
    before = _level(bins, mark - side, mark)
    after = _level(bins, mark + settle, mark + settle + side)
    return None if before is None or after is None else after - before


def _quiet_jumps(bins: Bins, marks: list[int], settle: int, side: int) -> list[float]:
    """Return such differences where no rotation was: what chance and load do by themselves."""
    reach = settle + side
    out = []
    for i, mark in enumerate(marks):
        until = marks[i + 1] if i + 1 < len(marks) else bins.end_bin
        first, last = mark + reach, until - reach
        # They may overlap: two rotations an hour apart leave no room for more.
        apart = max((last - first) // (_QUIET_BETWEEN - 1), settle)
        for at in range(first, last + 1, apart):
            jump = _jump(bins, at, settle, side)
            if jump is not None:
                out.append(jump)
    return out


def _level(bins: Bins, start: int, end: int) -> float | None:
    low, high = bisect_left(bins.index, start), bisect_left(bins.index, end)
    if 2 * (high - low) < end - start or high == low:
        return None
    return sorted(bins.minimum_mb[low:high])[int(_QUANTILE * (high - low))]
