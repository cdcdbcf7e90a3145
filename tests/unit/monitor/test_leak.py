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


@pytest.mark.parametrize("period", [60, 80, 240])
def test_two_rotations_show_a_leak_per_rotation(period: int) -> None:
    detector = LeakDetector(DAY)
    noise = random.Random(3)
    for minute in range(1, 3 * period):
        turns = minute // period
        memory = 100 + 20 * turns + noise.gauss(0, 1)
        detector.observe(minute * 60, memory * MIB, None, minute % period == 0)
    assessment = detector.assess()
    assert assessment.score is not None
    assert assessment.score > 0.8
    assert assessment.pattern == "per_rotation"
    assert assessment.mb_per_rotation == pytest.approx(20, abs=2)


def test_what_rotations_leave_ever_less_of_is_no_leak() -> None:
    detector = LeakDetector(DAY)
    noise = random.Random(3)
    for minute in range(1, 24 * 60 + 1):
        memory = 100 + sum(20 * 0.4**turn for turn in range(minute // 240)) + noise.gauss(0, 1)
        detector.observe(minute * 60, memory * MIB, None, minute % 240 == 0)
    score = detector.assess().score
    assert score is not None
    assert score < 0.5


def test_growth_that_follows_the_messages_is_told_per_message() -> None:
    detector = LeakDetector(DAY)
    noise = random.Random(4)
    total = 0.0
    for minute in range(1, 16 * 60):
        total += 6000 * (1 + 0.9 * math.sin(minute / 100))
        memory = 100 + total * 10e-6 + noise.gauss(0, 0.5)
        detector.observe(minute * 60, memory * MIB, total)
    assessment = detector.assess()
    assert assessment.pattern == "per_message"
    assert assessment.mb_per_million_messages == pytest.approx(10, rel=0.1)


def test_an_accelerating_leak_is_told() -> None:
    assert judge(lambda hour: 100 + 0.4 * hour**2)[-1].pattern == "accelerating"


def test_a_late_leak_is_told() -> None:
    alarm = next(
        a for a in judge(lambda hour: 100 + 15 * max(hour - 12, 0)) if (a.score or 0) > 0.8
    )
    assert alarm.pattern == "late"
    assert 12 * 3600 < alarm.elapsed_seconds < 16 * 3600


def test_load_explains_growth_that_follows_it() -> None:
    detector = LeakDetector(DAY)
    total = 0.0
    for minute in range(1, 10 * 60):
        rate = 100 + 20 * minute / 60 + 40 * math.sin(minute / 20)  # a busy morning
        total += 60 * rate
        detector.observe(minute * 60, (100 + 0.2 * rate + minute % 3) * MIB, total)
    told = detector.assess().score
    untold = judge(lambda hour: 120 + 4 * hour, hours=10)[-1].score
    assert told is not None
    assert told < 0.5
    assert untold is not None
    assert untold > 0.8


def test_one_step_is_no_leak() -> None:
    scores = [a.score for a in judge(lambda hour: 100 + 60 * (hour > 7))]
    assert max(score for score in scores if score is not None) < 0.8


def test_what_only_returns_to_a_level_of_before_is_no_leak() -> None:
    # A tooth is longer than the shortest window, so its rise is all that this window sees.
    assessments = judge(lambda hour: 100 + 24 * (hour / 2.9 % 1))
    assert max(a.score for a in assessments if a.score is not None) < 0.8


def test_a_leak_above_what_was_reached_before_is_found_among_returns() -> None:
    last = judge(lambda hour: 100 + 24 * (hour / 2.9 % 1) + 5 * hour)[-1]
    assert last.score is not None
    assert last.score > 0.8


def test_an_hour_allows_that_its_growth_settles() -> None:
    # A bounded cache fills evenly: that it will be full is not to be seen yet.
    last = judge(lambda hour: 100 + 10 * hour, hours=1, horizon=3600.0)[-1]
    assert last.low is not None
    assert last.high is not None
    assert last.low < 0 < 10 < last.high


def test_a_reference_lets_an_hour_tell_a_leak_from_a_warm_up() -> None:
    def warm_up(hour: float) -> float:
        return 80 + 60 * (1 - math.exp(-hour / 0.5))

    known_good = [(15.0 * i, warm_up(15 * i / 3600) * MIB) for i in range(1, 241)]
    scores = []
    for leak in (0, 25):
        noise = random.Random(5)
        detector = LeakDetector(3600, known_good)
        for i in range(1, 241):
            hour = 15 * i / 3600
            memory = warm_up(1.05 * hour) + leak * hour + noise.gauss(0, 0.5)
            detector.observe(15 * i, memory * MIB)
        scores.append(detector.assess().score)
    healthy, leaking = scores
    assert healthy is not None
    assert healthy < 0.5
    assert leaking is not None
    assert leaking > 0.8


def test_the_time_to_a_limit_is_a_range() -> None:
    assessment = judge(lambda hour: 100 + 10 * hour, hours=5)[-1]
    assert assessment.level_mb == pytest.approx(149, abs=3)
    hours = assessment.hours_to(450)
    assert hours is not None
    assert hours[0] < 30 < hours[1] < 40
    growth = assessment.projected_growth_24h_mb
    assert growth is not None
    assert growth[0] < 240 < growth[2]


def test_without_growth_a_limit_may_never_be_reached() -> None:
    hours = judge(lambda hour: 100.0)[-1].hours_to(450)
    assert hours is not None
    assert hours[1] == math.inf


def test_an_unplanned_end_forgets_what_is_older_than_a_day() -> None:
    assert judge(lambda hour: 100.0 + 5 * min(hour, 30), hours=70)[-1].current_score == (
        pytest.approx(0, abs=0.01)
    )


@pytest.mark.parametrize(("given_back", "leaks"), [(25.0, False), (2.0, True)])
def test_what_a_collection_gives_back_was_no_leak(given_back: float, leaks: bool) -> None:
    detector = LeakDetector(DAY)
    noise = random.Random(6)
    lowered = 0.0
    for minute in range(1, 9 * 60):
        level = 100 + 4 * minute / 60
        if minute == 450:
            lowered = given_back
            detector.collected(minute * 60, level * MIB, (level - lowered) * MIB)
        detector.observe(minute * 60, (level - lowered + noise.gauss(0, 0.5)) * MIB)
    assessment = detector.assess()
    assert assessment.current_score is not None
    assert (assessment.current_score > 0.8) is leaks
    assert (assessment.pattern == "fragmentation") is not leaks
