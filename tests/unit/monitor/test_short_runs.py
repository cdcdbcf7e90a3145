"""Runs so short that little or nothing was seen of them."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.criteria import Criterion
from monitor.model import Tick
from monitor.soak_plans import PROFILES, scaled
from monitor.verdict import judge
from tests.unit.monitor.observations import sample, stream
from tests.unit.monitor.runs import SYMBOLS, Run

SMOKE = PROFILES["smoke"]


def criterion(document: dict[str, Any], name: str) -> Criterion:
    (found,) = [one for one in judge(document).criteria if one.name == name]
    return found


@pytest.mark.parametrize("seconds", [1, 2, 5, 8])
def test_a_rate_window_shorter_than_the_time_between_rows_is_judged_by_those(seconds: int) -> None:
    profile = scaled(SMOKE, float(seconds))
    rate = criterion(Run(profile).seconds(seconds).end().document(), "message rate")
    assert rate.samples == seconds - 1
    assert rate.observed == (100 if seconds > 1 else None)


def test_a_burst_does_not_hide_an_empty_second() -> None:
    def in_report(second: int) -> dict[str, Any]:
        return {"streams": tuple(stream(0 if second < 3 else 5000, one) for one in SYMBOLS)}

    profile = scaled(SMOKE, 5.0)
    rate = criterion(Run(profile).seconds(5, in_report).end().document(), "message rate")
    assert rate.observed == 0
    assert rate.outcome == "fail"


def after_a_launch_of(seconds: int, run: Run) -> Run:
    """Have nobody report for so long, as a busy machine takes to start a process."""
    for second in range(1, seconds + 1):
        run.now = float(second)
        run.feed(sample(run.now, rss_mib=60.0))
        run.feed(Tick())
    return run


@pytest.mark.parametrize("name", ["message rate", "stream outages"])
def test_what_a_launch_takes_is_no_outage(name: str) -> None:
    def since_then(second: int) -> dict[str, Any]:
        return {"streams": tuple(stream(50 * (second - 20), one) for one in SYMBOLS)}

    run = after_a_launch_of(20, Run(SMOKE)).seconds(100, since_then).end()
    assert criterion(run.document(), name).outcome == "pass"


@pytest.mark.parametrize("name", ["message rate", "stream outages"])
def test_what_comes_late_after_the_first_report_is_one(name: str) -> None:
    def later(second: int) -> dict[str, Any]:
        return {"streams": tuple(stream(50 * max(0, second - 40), one) for one in SYMBOLS)}

    run = after_a_launch_of(20, Run(SMOKE)).seconds(100, later).end()
    assert criterion(run.document(), name).outcome == "fail"


def nothing_yet(_second: int) -> dict[str, Any]:
    return {"streams": tuple(stream(0, symbol) for symbol in SYMBOLS)}


def test_a_soak_that_a_person_stops_before_the_first_event_is_inconclusive() -> None:
    run = Run(SMOKE).seconds(4, nothing_yet)
    run.recorder.ended("stopped", run.now, run.now)
    document = run.document()
    assert criterion(document, "every symbol").outcome == "inconclusive"
    assert judge(document).outcome == "inconclusive"
    assert not judge(document).failed


@pytest.mark.parametrize("seconds", [40, 120])
def test_a_symbol_that_had_time_enough_and_never_came_fails(seconds: int) -> None:
    def one_of_two(second: int) -> dict[str, Any]:
        return {"streams": (stream(100 * second, SYMBOLS[0]), stream(0, SYMBOLS[1]))}

    run = Run(SMOKE).seconds(seconds, one_of_two)
    run.recorder.ended("completed" if seconds == 120 else "stopped", run.now, run.now)
    symbols = criterion(run.document(), "every symbol")
    assert symbols.outcome == "fail"
    assert symbols.reason == f"never: trade:{SYMBOLS[1]}"
