"""From bins to floors: what remains at the low points of each block of a window."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import sub

from monitor.leak.bins import Bins

_BLOCKS = 36  # enough for five regressors, few enough to be cheap
_FEWEST_BLOCKS = 10
_FLOOR_QUANTILE = 0.1  # one odd low bin does not make a floor
_SMALLEST_DROP_MB = 1.0
_SAWTOOTH_DROPS = 3


@dataclass(frozen=True, slots=True)
class Floors:
    """One row per block, oldest first. Hours count from the start of the window."""

    hours: list[float]
    floor_mb: list[float]  # above the reference's, when there is one; of what is unexplained
    explained_mb: list[float] | None  # what the process accounts for, in the block's mean
    rate: list[float] | None  # messages per second in the block
    peak_rate: list[float] | None  # running maximum of the smoothed rate
    messages: list[float] | None  # cumulative at the block's end
    rotations: list[float]  # cumulative at the block's end
    reference_mb: list[float] | None  # floors of a known-good run at the same ages
    level_mb: float  # the last floor itself
    given_back_mb: float  # by collections in the window
    window_hours: float
    age_hours: float  # of the process at the window's start
    noise_mb: float  # of a bin about its block's floor


def floors_of(bins: Bins, window_bins: int, reference: Bins | None = None) -> Floors | None:
    """Condense the last bins of a history; None when too few of them have samples."""
    end = bins.end_bin
    first = bisect_left(bins.index, end - window_bins)
    index = bins.index[first:]
    minimum = bins.minimum_mb[first:]
    if len(index) < window_bins // 2:
        return None
    accounted: array[float] | None = None
    unexplained = bins.unexplained_mb[first:]
    # A reference is a curve of all memory: beside one, so is what it is compared with.
    if reference is None and not math.isnan(sum(unexplained)):
        accounted, minimum = array("d", map(sub, minimum, unexplained)), unexplained
    steps = list(map(sub, minimum[1:], minimum))
    noise = _spread(steps) / math.sqrt(2)
    size = _block_size(index, steps, noise, window_bins)
    count = window_bins // size
    start = end - count * size
    hours: list[float] = []
    floor: list[float] = []
    rate: list[float] = []
    peak: list[float] = []
    messages: list[float] = []
    rotations: list[float] = []
    known_good: list[float] = []
    explained: list[float] = []
    hour_per_bin = bins.width_seconds / 3600
    low = bisect_left(index, start)
    for block in range(count):
        until = start + (block + 1) * size
        high = bisect_left(index, until, low)
        if high == low:
            continue  # the machine slept: no floor here
        hours.append((block + 0.5) * size * hour_per_bin)
        floor.append(_low_point(minimum[low:high]))
        if accounted is not None:
            explained.append(sum(accounted[low:high]) / (high - low))
        before, after = max(first + low - 1, 0), first + high - 1
        seconds = (bins.index[after] - bins.index[before]) * bins.width_seconds
        total = bins.messages[after]
        rate.append((total - bins.messages[before]) / seconds if seconds else 0.0)
        peak.append(bins.peak_rate[after])
        messages.append(total)
        rotations.append(float(bisect_left(bins.rotations, until)))
        if reference is not None:
            known_good.append(_known_good(reference, until - size, until))
        low = high
    if len(floor) < _FEWEST_BLOCKS:
        return None
    level = floor[-1]
    if reference is not None:
        floor = list(map(sub, floor, known_good))
    counted = not math.isnan(sum(rate)) and messages[-1] > messages[0]
    return Floors(
        hours=hours,
        floor_mb=floor,
        explained_mb=explained or None,
        rate=rate if counted else None,
        peak_rate=peak if counted else None,
        messages=messages if counted else None,
        rotations=rotations,
        reference_mb=known_good or None,
        level_mb=level,
        given_back_mb=sum(mb for at, mb in bins.given_back if start <= at < end),
        window_hours=count * size * hour_per_bin,
        age_hours=start * hour_per_bin,
        noise_mb=noise,
    )


def _low_point(values: Sequence[float]) -> float:
    return sorted(values)[int(_FLOOR_QUANTILE * len(values))]


def _known_good(reference: Bins, start: int, end: int) -> float:
    """Return the reference's floor at an age; beyond its end it stays what it was."""
    low, high = bisect_left(reference.index, start), bisect_left(reference.index, end)
    if low == high:
        low = max(min(low, len(reference.index)) - (end - start), 0)
        high = max(high, low + 1)
    return _low_point(reference.minimum_mb[low:high])


def _block_size(
    index: Sequence[int], steps: Sequence[float], noise_mb: float, window_bins: int
) -> int:
    """Bins per block: longer than the period of a saw-tooth, so that each holds a low point."""
    size = max(2, window_bins // _BLOCKS)
    drop = -max(6 * noise_mb, _SMALLEST_DROP_MB)
    drops = [index[i + 1] for i, step in enumerate(steps) if step < drop]
    if len(drops) < _SAWTOOTH_DROPS:
        return size
    gaps = sorted(b - a for a, b in pairwise(drops))
    period = 1.15 * gaps[int(0.8 * len(gaps))]
    widest = window_bins // 12
    # Drops hours apart are rotations, not the period of a collector.
    return max(size, min(math.ceil(period), widest)) if period <= 2 * widest else size


def _spread(values: Sequence[float]) -> float:
    """Robust standard deviation: 1.4826 × the median distance from the median."""
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    distances = sorted(abs(value - middle) for value in ordered)
    return 1.4826 * distances[len(distances) // 2]
