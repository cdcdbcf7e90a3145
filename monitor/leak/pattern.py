"""What kind of growth it is: asked only when there is a suspicion."""

from __future__ import annotations

import math
from operator import mul

from monitor.leak.assessment import Pattern
from monitor.leak.evidence import Evidence

_GAIN = 6.0  # of BIC: strong, by the usual reading
_FASTER = 1.3  # the last quarter's slope against the first's, to be called accelerating


def pattern_of(evidence: Evidence) -> tuple[Pattern, float | None]:
    """Name the growth; for growth per message also give the MB per million messages."""
    floors = evidence.floors
    if evidence.rotation is not None:
        return "per_rotation", None
    if "logarithm" in evidence.fits[0].terms:
        return "fragmentation", None
    if evidence.late:
        return "late", None
    size = len(floors.hours)
    level = floors.floor_mb
    by_time = _explained(level, floors.hours)
    if floors.messages is not None:
        by_message = _explained(level, floors.messages)
        if size * math.log(by_time[1] / by_message[1]) > _GAIN:
            return "per_message", 1e6 * by_message[0]
    middle = floors.window_hours / 2
    bend = [(hour - middle) ** 2 for hour in floors.hours]
    # The bend is nearly independent of time in a window of even blocks: one after the other.
    left = [value - by_time[0] * hour for value, hour in zip(level, floors.hours, strict=True)]
    curve, rest = _explained(left, bend)
    gain = size * math.log(by_time[1] / rest) - math.log(size)
    early, late = by_time[0] - 1.5 * curve * middle, by_time[0] + 1.5 * curve * middle
    if gain > _GAIN and late > _FASTER * max(early, 0.0):
        return "accelerating", None
    return "steady", None


def _explained(y: list[float], x: list[float]) -> tuple[float, float]:
    """Slope of y on x, and the sum of squares that is left."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    x = [value - mean_x for value in x]
    y = [value - mean_y for value in y]
    slope = sum(map(mul, x, y)) / sum(map(mul, x, x))
    # Half a page of memory per block is the resolution: nothing fits better.
    left = sum((b - slope * a) ** 2 for a, b in zip(x, y, strict=True)) + len(x) * 0.002**2
    return slope, left
