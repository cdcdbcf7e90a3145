"""Estimates with intervals: means and ratios of series whose neighbours resemble each other. Pure.

All intervals hold 90 %, 5 % being left out at each end, so that a statement about one side, such as
"it is worse", is wrong in 5 % of the cases at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, fmean

Z = NormalDist().inv_cdf(0.95)
FEWEST_VALUES = 30  # below, neither the spread nor the resemblance of neighbours is known
FEWEST_BLOCKS = 8  # fewer means of blocks tell no spread of their own


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and the interval of 90 % that it lies in."""

    value: float
    low: float
    high: float

    def __sub__(self, other: Estimate) -> Estimate:
        """Return the difference of two independent estimates.

        The distances to the ends are added in quadrature, each on its own side (MOVER, after Zou
        and Donner, 2008): intervals may be lopsided, and no shape is assumed.
        """
        value = self.value - other.value
        return Estimate(
            value,
            value - math.hypot(self.value - self.low, other.high - other.value),
            value + math.hypot(self.high - self.value, other.value - other.low),
        )

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate in another unit; the factor is above 0."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


def mean_of(values: Sequence[float]) -> Estimate | None:
    """Return the mean of a series in order of time; None for fewer than `FEWEST_VALUES`.

    Its variance is that of the means of blocks, which are made longer until their number is
    `FEWEST_BLOCKS`; the largest counts (Flyvbjerg and Petersen, 1989). As long as values resemble
    their neighbours it grows with the length of the blocks. It is widened further by the
    resemblance that is left between the longest blocks.
    """
    if len(values) < FEWEST_VALUES:
        return None
    half = max(_half_widths(values))
    mean = fmean(values)
    return Estimate(mean, mean - half, mean + half)


def ratio_of(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate | None:
    """Return the sum of the one over the sum of the other; None where there is too little.

    Linearised: the residuals numerator − ratio × denominator are a series like any other.
    """
    total = sum(denominators)
    if total <= 0:
        return None
    ratio = sum(numerators) / total
    rest = mean_of([a - ratio * b for a, b in zip(numerators, denominators, strict=True)])
    if rest is None:
        return None
    half = (rest.high - rest.value) * len(denominators) / total
    return Estimate(ratio, ratio - half, ratio + half)


def rate_of(count: int, exposure: float) -> Estimate:
    """Return events per unit of exposure, by Byar's approximation of Poisson's exact interval."""
    low = 0.0
    if count:
        low = count * max(1 - 1 / (9 * count) - Z / (3 * math.sqrt(count)), 0.0) ** 3
    more = count + 1
    high = more * (1 - 1 / (9 * more) + Z / (3 * math.sqrt(more))) ** 3
    return Estimate(count, low, high).scaled(1 / exposure)


def _half_widths(values: Sequence[float]) -> Iterator[float]:
    """Yield half the width of the mean's interval, by blocks of 1, 2, 4, … values."""
    blocks = list(values)
    while len(blocks) >= FEWEST_BLOCKS:
        mean = fmean(blocks)
        rest = [one - mean for one in blocks]
        squares = sum(one * one for one in rest)
        alike = sum(a * b for a, b in pairwise(rest)) / squares if squares else 0.0
        # As for slopes (`monitor.leak.trend`): the estimate is too low by some 2/n.
        alike = min(max(alike + 2 / len(rest), 0.0), 0.9)
        freedom = max((len(rest) - 1) * (1 - alike) / (1 + alike), 2.0)
        variance = squares / (len(rest) - 1) / len(rest) * (1 + alike) / (1 - alike)
        yield _student(freedom) * math.sqrt(variance)
        blocks = [fmean(pair) for pair in zip(blocks[::2], blocks[1::2], strict=False)]


def _student(freedom: float) -> float:
    """Return the quantile of 95 % of Student's t (expansion by Fisher and Cornish)."""
    first = (Z**3 + Z) / (4 * freedom)
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * freedom**2)
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / (384 * freedom**3)
    return Z + first + second + third
