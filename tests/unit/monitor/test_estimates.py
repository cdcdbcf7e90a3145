from __future__ import annotations

import math
import random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.estimates import FEWEST_VALUES, Estimate, mean_of, rate_of, ratio_of

NUMBERS = st.floats(-1e6, 1e6)
SERIES = st.lists(NUMBERS, min_size=FEWEST_VALUES, max_size=70)


def correlated(noise: random.Random, count: int, memory: float) -> list[float]:
    """Return a series around 0 in which each value keeps a share of the one before."""
    at = noise.gauss(0, 1) / math.sqrt(1 - memory**2)
    values = []
    for _ in range(count):
        at = memory * at + noise.gauss(0, 1)
        values.append(at)
    return values


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("count", [54, 240])
def test_an_interval_of_90_percent_holds_the_mean_of_a_correlated_series(
    count: int, memory: float
) -> None:
    noise = random.Random(count)
    held = [
        found.low <= 0 <= found.high
        for _ in range(300)
        if (found := mean_of(correlated(noise, count, memory)))
    ]
    assert sum(held) / len(held) >= 0.88  # 90 %, less two standard errors of 300 series
    if not memory:
        assert sum(held) / len(held) <= 0.99  # and is no wider than it must be


def test_an_interval_that_takes_values_as_independent_would_not_hold_it() -> None:
    noise = random.Random(7)
    held = 0
    for _ in range(200):
        values = correlated(noise, 240, 0.8)
        mean = fmean(values)
        spread = math.sqrt(sum((one - mean) ** 2 for one in values) / 239 / 240)
        held += abs(mean) <= 1.645 * spread
    assert held / 200 < 0.6


def test_the_difference_of_two_means_is_held_too() -> None:
    noise = random.Random(3)
    held = 0
    for _ in range(200):
        new, old = (mean_of(correlated(noise, 60, 0.5)) for _ in range(2))
        assert new is not None
        assert old is not None
        held += (new - old).low <= 0 <= (new - old).high
    assert held / 200 >= 0.88


def test_a_drift_widens_the_interval() -> None:
    noise = random.Random(1)
    flat = [noise.gauss(0, 1) for _ in range(240)]
    calm, drifting = mean_of(flat), mean_of([one + at / 24 for at, one in enumerate(flat)])
    assert calm is not None
    assert drifting is not None
    assert drifting.high - drifting.low > 5 * (calm.high - calm.low)


def test_too_few_values_have_no_mean() -> None:
    assert mean_of([1.0] * (FEWEST_VALUES - 1)) is None
    assert ratio_of([1.0] * (FEWEST_VALUES - 1), [1.0] * (FEWEST_VALUES - 1)) is None
    assert mean_of([1.0] * FEWEST_VALUES) == Estimate(1.0, 1.0, 1.0)


def test_a_ratio_is_of_the_sums_not_the_mean_of_ratios() -> None:
    found = ratio_of([1.0, 9.0] * 20, [1.0, 3.0] * 20)
    assert found is not None
    assert found.value == 2.5
    assert found.low < 2.5 < found.high


def test_a_ratio_to_nothing_is_unknown() -> None:
    assert ratio_of([1.0] * 40, [0.0] * 40) is None


@pytest.mark.parametrize(
    ("count", "low", "high"),  # exact limits of Garwood, from tables of the Poisson distribution
    [(0, 0.0, 2.996), (1, 0.051, 4.744), (5, 1.970, 10.513), (30, 21.59, 40.69)],
)
def test_a_count_lies_in_the_interval_of_poisson(count: int, low: float, high: float) -> None:
    found = rate_of(count, 2.0)
    assert found.value == count / 2
    assert found.low == pytest.approx(low / 2, abs=0.03)
    assert found.high == pytest.approx(high / 2, abs=0.03)


@settings(max_examples=25)  # lists are slow to make
@given(SERIES)
def test_an_interval_holds_its_value(values: list[float]) -> None:
    found = mean_of(values)
    assert found is not None
    assert found.low <= found.value <= found.high


@settings(max_examples=25)
@given(SERIES, NUMBERS, st.floats(0.001, 1000))
def test_an_interval_moves_and_grows_with_its_series(
    values: list[float], shift: float, factor: float
) -> None:
    plain, moved = mean_of(values), mean_of([factor * (one + shift) for one in values])
    assert plain is not None
    assert moved is not None
    slack = 1e-6 * factor * (abs(shift) + max(map(abs, values)) + 1)
    assert moved.value == pytest.approx(factor * (plain.value + shift), abs=slack)
    assert moved.high - moved.low == pytest.approx(
        plain.scaled(factor).high - plain.scaled(factor).low, rel=1e-3, abs=100 * slack
    )


@given(
    st.tuples(NUMBERS, NUMBERS, NUMBERS).map(sorted),
    st.tuples(NUMBERS, NUMBERS, NUMBERS).map(sorted),
)
def test_a_difference_turns_round_with_its_sides(a: list[float], b: list[float]) -> None:
    first, second = (Estimate(value, low, high) for low, value, high in (a, b))
    there, back = first - second, second - first
    assert (there.value, there.low, there.high) == (-back.value, -back.high, -back.low)
    assert there.low <= there.value <= there.high
    widths = [one.high - one.low for one in (first, second, there)]
    assert widths[2] <= widths[0] + widths[1] + 1e-6
    assert widths[2] >= max(widths[:2]) - 1e-6
