from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from monitor.evidence import evidence_of
from monitor.leak import LeakDetector
from monitor.replay import replay
from monitor.report.memory import Memory, memories
from monitor.soak_plans import PROFILES
from monitor.verdict import concluded
from tests import profiles
from tests.unit.monitor.runs import Run

HOUR = 3600


def memory_of(document: profiles.Document) -> Memory:
    evidence = evidence_of(document)
    (found,) = memories(evidence, replay(evidence, LeakDetector))
    return found


@cache
def leaking() -> Memory:
    return memory_of(profiles.leaking_day(5.0))


def test_the_band_is_the_lowest_and_highest_of_each_bin() -> None:
    found = leaking()
    bins = profiles.leaking_day(5.0)["streamers"][0]["generations"][0]["bins"]
    assert list(found.low_mib) == [one / 2**20 for one in bins["rss_min_bytes"][:-1]]
    assert list(found.high_mib) == [one / 2**20 for one in bins["rss_max_bytes"][:-1]]
    assert found.seconds[0] == pytest.approx(60)
    assert found.seconds[-1] == pytest.approx(24 * HOUR, abs=120)


def test_floors_lie_on_the_low_side_of_the_band_at_their_times() -> None:
    found = leaking()
    assert len(found.floor_seconds) >= 30
    for at, floor in zip(found.floor_seconds, found.floor_mib, strict=True):
        near = [
            (low, high)
            for then, low, high in zip(found.seconds, found.low_mib, found.high_mib, strict=True)
            if abs(then - at) < 1200
        ]
        assert min(low or 0 for low, _ in near) <= floor < max(high or 0 for _, high in near)


def test_the_trend_shows_the_leak_within_its_interval_and_says_when_it_ends() -> None:
    found = leaking()
    assert found.trend is not None
    assert found.trend.low < 5.0 < found.trend.high
    start, end = found.trend.at(found.trend.slope)
    hours = (found.trend.end_seconds - found.trend.start_seconds) / HOUR
    assert (end - start) / hours == pytest.approx(found.trend.slope)
    assert any("450 MiB in" in one for one in found.said)
    assert found.scores[-1] == pytest.approx(1.0, abs=0.01)


def test_without_lasting_growth_no_end_is_foretold() -> None:
    said = " ".join(memory_of(profiles.passing_day()).said)
    assert "That it ever reaches the ceiling of 450 MiB is not shown" in said


def test_a_short_run_has_no_trend_and_a_pause_interrupts_the_band() -> None:
    evidence = evidence_of(profiles.smoke())
    (process,) = evidence.processes
    slept = replace(process, bins=process.bins[:20] + process.bins[60:])
    evidence = replace(evidence, processes=(slept,))
    (found,) = memories(evidence, replay(evidence, LeakDetector))
    assert found.trend is None
    assert found.low_mib[20] is None
    assert found.low_mib.count(None) == found.high_mib.count(None) == 1
    assert "too early" in found.said[0]


@pytest.mark.parametrize("seconds", [20, 35])
def test_the_first_bins_have_a_band_and_no_floors_yet(seconds: int) -> None:
    run = Run(PROFILES["1h"]).seconds(seconds).end()
    found = memory_of(concluded(run.document())[0])
    assert (len(found.seconds), found.floor_mib, found.trend) == (seconds // 15, (), None)
