"""What kind of growth it is: asked only when there is a suspicion."""

from __future__ import annotations

import math
from operator import mul

from monitor.leak.assessment import Pattern
from monitor.leak.evidence import Evidence
from monitor.leak.floors import Floors

_GAIN = 6.0  # of BIC: strong, by the usual reading
_FASTER = 1.3  # the last quarter's slope against the first's, to be called accelerating


def pattern_of(evidence: Evidence) -> tuple[Pattern, float | None]:
    """Name the growth; for growth per message also give the MB per million messages."""
    if evidence.rotation is not None:
        return "per_rotation", None
    per_million = _per_million_messages(evidence.floors)
    if per_million is not None:
        return "per_message", per_million
    if evidence.late:
        return "late", None
    if _accelerates(evidence.whole):
        return "accelerating", None
    if "logarithm" in evidence.fits[0].terms:
        return "fragmentation", None
    return "steady", None


def _per_million_messages(floors: Floors) -> float | None:
    if floors.messages is None:
        return None
    _, by_time = _explained(floors.floor_mb, floors.hours)
    slope, by_message = _explained(floors.floor_mb, floors.messages)
    gain = len(floors.hours) * math.log(by_time / by_message)
    return 1e6 * slope if gain > _GAIN else None


def _accelerates(floors: Floors) -> bool:
    slope, straight = _explained(floors.floor_mb, floors.hours)
    middle = floors.window_hours / 2
    bend = [(hour - middle) ** 2 for hour in floors.hours]
    # In a window of even blocks the bend is nearly independent of time: one after the other.
    rest = [y - slope * hour for y, hour in zip(floors.floor_mb, floors.hours, strict=True)]
    curve, bent = _explained(rest, bend)
    size = len(floors.hours)
    gain = size * math.log(straight / bent) - math.log(size)
    early, late = slope - 1.5 * curve * middle, slope + 1.5 * curve * middle
    return gain > _GAIN and late > _FASTER * max(early, 0.0)


def _explained(y: list[float], x: list[float]) -> tuple[float, float]:
    """Slope of y on x, and the sum of squares that is left."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    x = [value - mean_x for value in x]
    y = [value - mean_y for value in y]
    slope = sum(map(mul, x, y)) / sum(map(mul, x, x))
    # Half a page of memory per block is the resolution: nothing fits better.
    left = sum((b - slope * a) ** 2 for a, b in zip(x, y, strict=True)) + len(x) * 0.002**2
    return slope, left
