"""The detector where the process tells what of its memory it accounts for."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from monitor.leak import Assessment, LeakDetector

MIB = 1 << 20
DAY = 86_400
Megabytes = Callable[[float], float]


def judged(
    memory_mb: Megabytes, explained_mb: Megabytes | None, hours: float, untold_minute: int = 0
) -> list[Assessment]:
    """Feed one value per minute and return every distinct assessment."""
    noise, counts = random.Random(1), random.Random(2)
    detector = LeakDetector(DAY, accounts_for_all=True)
    seen: list[Assessment] = []
    for minute in range(1, round(hours * 60) + 1):
        hour = minute / 60
        memory = (memory_mb(hour) + noise.gauss(0, 0.5)) * MIB
        told = None
        if explained_mb is not None and minute != untold_minute:
            told = (explained_mb(hour) + counts.gauss(0, 0.2)) * MIB
        detector.observe(minute * 60, memory, explained_bytes=told)
        if not seen or detector.assess() is not seen[-1]:
            seen.append(detector.assess())
    return seen


def highest(seen: list[Assessment]) -> float:
    return max(one.score for one in seen if one.score is not None)


def filling(hour: float) -> float:
    """Return a bounded cache that fills at a constant pace for four hours."""
    return 20 * min(hour, 4)


@pytest.mark.parametrize("share", [0.85, 1.0, 1.1])
def test_a_cache_that_is_accounted_for_is_no_leak(share: float) -> None:
    def memory(hour: float) -> float:
        return 100 + filling(hour)

    assert highest(judged(memory, None, hours=3.5)) > 0.8  # seen from outside it is one
    assert highest(judged(memory, lambda hour: share * filling(hour), hours=6)) < 0.5


def test_a_leak_beside_what_is_accounted_for_is_found_sooner() -> None:
    def memory(hour: float) -> float:
        return 100 + 10 * hour + filling(hour) / 4

    told = judged(memory, lambda hour: filling(hour) / 4, hours=2.75)[-1]
    assert told.score is not None
    assert told.score > 0.8
    assert told.slope_mb_per_hour == pytest.approx(10, abs=1)
    plain = judged(memory, lambda _: 0.0, hours=2.75, untold_minute=60)[-1]
    assert plain.score is not None
    assert plain.score < 0.8


def test_who_accounts_for_a_part_is_judged_as_strictly_as_all_memory_is() -> None:
    strict, lenient, plain = (
        LeakDetector(DAY, accounts_for_all=True),
        *map(LeakDetector, (DAY, DAY)),
    )
    for minute in range(1, 180):
        memory = (100 + minute / 6) * MIB  # 10 MB/h, of which nothing is told
        for detector in (strict, lenient):
            detector.observe(minute * 60, memory, explained_bytes=20 * MIB)
        plain.observe(minute * 60, memory)
    assert (lenient.assess().score or 1.0) == pytest.approx(plain.assess().score)
    assert (strict.assess().score or 0.0) > 0.8 > (plain.assess().score or 1.0)


def test_who_leaves_out_a_minute_has_told_nothing_in_that_window() -> None:
    def memory(hour: float) -> float:
        return 100 + filling(hour)

    plain = judged(memory, None, hours=3.5)
    partly = judged(memory, filling, hours=3.5, untold_minute=100)
    assert partly[-1] == plain[-1]


def test_minima_per_minute_repeat_the_assessment() -> None:
    source = random.Random(5)
    live, again = LeakDetector(DAY), LeakDetector(DAY)
    for minute in range(180):
        samples = []
        for second in (15, 30, 45, 60):
            memory = int((100 + minute / 5 + source.gauss(0, 1)) * MIB)
            explained = int((minute / 10 + source.gauss(0, 1)) * MIB)
            samples.append((memory, explained))
            live.observe(minute * 60 + second, memory, explained_bytes=explained)
        lowest = min(memory for memory, _ in samples)
        unexplained = min(memory - explained for memory, explained in samples)
        again.observe(minute * 60 + 60, lowest, explained_bytes=lowest - unexplained)
    assert again.assess() == live.assess()
    assert live.assess().score is not None


def test_the_interval_of_a_leak_whose_pace_changes_holds_its_mean() -> None:
    def memory(hour: float) -> float:
        return 100 + 24 * min(hour, 4) + 12 * max(hour - 4, 0)

    for one in judged(memory, None, hours=9):
        if one.score is None or one.score <= 0.8 or one.window_seconds is None:
            continue
        end = one.elapsed_seconds / 3600
        begun = end - one.window_seconds / 3600
        mean = (memory(end) - memory(begun)) / (end - begun)
        assert one.low is not None
        assert one.high is not None
        assert one.low <= mean <= one.high
