"""The detector as its users see it: what it calls a leak, and that a verdict can be repeated."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.leak import Assessment, LeakDetector, bin_seconds_for

MIB = 1 << 20
DAY = 86_400


def judge(
    memory_mb: Callable[[float], float], hours: float = 24, horizon: float = DAY, seed: int = 1
) -> list[Assessment]:
    """Feed one value per bin and return every distinct assessment."""
    noise = random.Random(seed)
    width = bin_seconds_for(horizon)
    detector = LeakDetector(horizon)
    seen: list[Assessment] = []
    for i in range(1, int(hours * 3600 / width) + 1):
        hour = i * width / 3600
        detector.observe(i * width, (memory_mb(hour) + noise.gauss(0, 1)) * MIB)
        if not seen or detector.assess() is not seen[-1]:
            seen.append(detector.assess())
    return seen


def test_before_the_shortest_window_it_is_inconclusive() -> None:
    assessment = judge(lambda hour: 100 + 50 * hour, hours=2)[-1]
    assert assessment.score is None
    assert "130 min" in assessment.reason


def test_a_warm_up_is_no_leak() -> None:
    scores = [a.score for a in judge(lambda hour: 100 + 60 * (1 - math.exp(-hour / 0.5)))]
    assert max(score for score in scores if score is not None) < 0.5


@pytest.mark.parametrize(("rate", "within_hours"), [(2, 12.0), (5, 5.0), (20, 3.0)])
def test_a_steady_leak_is_found(rate: float, within_hours: float) -> None:
    last = judge(lambda hour: 100 + rate * hour, hours=within_hours)[-1]
    assert last.score is not None
    assert last.score > 0.8
    assert last.low is not None
    assert last.high is not None
    assert last.low < rate < last.high


def test_a_score_above_conviction_is_latched() -> None:
    last = judge(lambda hour: 100 + 20 * min(hour, 6))[-1]
    assert last.score is not None
    assert last.score > 0.8
    assert last.current_score is not None
    assert last.current_score < 0.8


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), horizon=st.sampled_from([3600.0, DAY]))
def test_minima_per_bin_repeat_every_assessment(seed: int, horizon: float) -> None:
    source = random.Random(seed)
    live, again = LeakDetector(horizon), LeakDetector(horizon)
    width = bin_seconds_for(horizon)
    rows: dict[int, tuple[int, float, bool]] = {}
    at, total = 0.0, 0.0
    for _ in range(1200):
        at += source.expovariate(4 / width)
        total += source.randrange(1000)
        memory = int((100 + at / 600 + source.gauss(0, 2)) * MIB)
        rotation = source.random() < 0.01
        live.observe(at, memory, total, rotation)
        index = math.ceil(at / width) - 1
        lowest, _, rotated = rows.get(index, (memory, 0.0, False))
        rows[index] = (min(lowest, memory), total, rotated or rotation)
    rows.pop(max(rows))  # the bin that has not ended
    for index, (lowest, messages, rotated) in rows.items():
        again.observe((index + 1) * width, lowest, messages, rotated)
    assert again.assess() == live.assess()
    assert live.assess().score is not None


@pytest.mark.parametrize("elapsed", [-1.0, math.nan, math.inf])
def test_a_time_that_cannot_be_is_refused(elapsed: float) -> None:
    with pytest.raises(ValueError, match="elapsed_seconds"):
        LeakDetector(DAY).observe(elapsed, MIB)


def test_a_horizon_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="horizon_seconds"):
        LeakDetector(0)
