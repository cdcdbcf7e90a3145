"""Detectors that are compared: what others do with the same bins."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.leaks.corpus import Run
from benchmarks.leaks.outcome import Trace

Array = NDArray[np.float64]
_MIB = 1 << 20
_EVERY_SECONDS = 300  # as Vigil's own
_SKIP_HOURS = 10 / 60  # as Vigil's own, for a fair comparison


def predecessor(run: Run) -> Trace:
    """Least squares over the last hour: slope/(50 MB/h), at most 1, times R²."""

    def score(hours: Array, memory: Array) -> float | None:
        late = hours > hours[-1] - 1
        if hours[-1] < 1:
            return None
        x, y = hours[late], memory[late]
        slope = float(np.polyfit(x, y, 1)[0])
        correlation = float(np.corrcoef(x, y)[0, 1]) if y.std() > 0 else 0.0
        return min(max(slope, 0.0) / 50, 1.0) * correlation**2

    return _every(run, score, skip_hours=0)


def mann_kendall(run: Run) -> Trace:
    """Mann-Kendall trend at 1 % with Sen's slope above 1 MB/h, on floors of a 36th of the run."""

    def score(hours: Array, memory: Array) -> float | None:
        if hours[-1] - hours[0] < 2:
            return None
        x, y = _blocks(hours, memory)
        rise = np.subtract.outer(y, y)
        apart = np.subtract.outer(x, x)
        later = apart > 0
        s = float(np.sign(rise[later]).sum())
        n = len(y)
        z = (s - math.copysign(1, s)) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18) if s else 0.0
        sen = float(np.median(rise[later] / apart[later]))
        return 1.0 if z > 2.326 and sen > 1 else 0.0

    return _every(run, score)


def backward_regression(run: Run) -> Trace:
    """Fit a line back from now over ever longer windows: a leak when one is straight.

    R² of at least 0.8 over at least a quarter of the run and 2 h, with 1 MB/h or more.
    """

    def score(hours: Array, memory: Array) -> float | None:
        age = hours[-1]
        if age - hours[0] < 2:
            return None
        best = 0.0
        for share in (1.0, 0.75, 0.5, 0.35, 0.25):
            length = max(share * age, 2)
            late = hours > age - length
            x, y = _blocks(hours[late], memory[late])
            slope, level = np.polyfit(x, y, 1)
            rest = y - slope * x - level
            fit = 1 - float(rest.var() / y.var()) if y.var() > 0 else 0.0
            if slope > 1:
                best = max(best, fit)
        return best

    return _every(run, score)


RIVALS: dict[str, Callable[[Run], Trace]] = {
    "predecessor": predecessor,
    "Mann-Kendall + Sen": mann_kendall,
    "backward regression": backward_regression,
}


def _blocks(hours: Array, memory: Array) -> tuple[Array, Array]:
    size = max(len(hours) // 36, 1)
    count = len(hours) // size
    x = hours[-count * size :].reshape(count, size).mean(axis=1)
    y = memory[-count * size :].reshape(count, size)
    return x, np.quantile(y, 0.1, axis=1)


def _every(
    run: Run, score: Callable[[Array, Array], float | None], skip_hours: float = _SKIP_HOURS
) -> Trace:
    hours = np.asarray(run.ends) / 3600
    memory = np.asarray(run.memory_bytes) / _MIB
    first = int(np.searchsorted(hours, skip_hours))
    step = _EVERY_SECONDS // run.bin_seconds
    return [
        (float(hours[end - 1]), score(hours[first:end], memory[first:end]))
        for end in range(step, len(hours) + 1, step)
        if end - first > 2
    ]
