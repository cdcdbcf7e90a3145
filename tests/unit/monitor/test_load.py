from __future__ import annotations

import pytest

from monitor.load import WINDOW_SECONDS, Load, LoadWatch


def turns(watch: LoadWatch, until: float, busy: float, begin: float = 0.0) -> None:
    """Let the loop turn once a second, busy for some of it."""
    at = begin
    while at < until:
        at += 1.0
        watch.turned(at - busy, at)


@pytest.mark.parametrize(("busy", "overloaded"), [(0.02, False), (0.9, False), (0.95, True)])
def test_a_loop_that_hardly_waits_is_overloaded(busy: float, overloaded: bool) -> None:
    watch = LoadWatch(0.0)
    turns(watch, 60.0, busy)
    load = watch.load(60.0)
    assert load.busy_ratio == pytest.approx(busy)
    assert load.is_overloaded is overloaded


def test_one_turn_that_takes_all_of_the_time_is_an_overload() -> None:
    watch = LoadWatch(0.0)
    turns(watch, 30.0, 0.01)
    watch.turned(30.5, 55.0)
    assert watch.load(55.0).busy_ratio == pytest.approx(24.5 / 25.0)
    assert watch.load(55.0).is_overloaded


def test_it_is_over_a_window_later() -> None:
    watch = LoadWatch(0.0)
    turns(watch, 60.0, 1.0)
    turns(watch, 60.0 + WINDOW_SECONDS + 1, 0.05, begin=60.0)
    assert not watch.load(60.0 + WINDOW_SECONDS + 1).is_overloaded


def test_reports_that_wait_are_an_overload_until_they_no_longer_do() -> None:
    watch = LoadWatch(0.0)
    watch.reported(4.0)
    assert watch.load(1.0).is_overloaded
    watch.reported(-0.2)  # the clock was set
    assert watch.load(2.0) == Load(0.0, 0.0)


def test_nothing_is_known_at_the_beginning() -> None:
    assert LoadWatch(5.0).load(5.0) == Load(0.0, 0.0)


def test_it_can_be_read() -> None:
    text = str(Load(0.974, 4.21))
    assert text == "busy for 97% of the time, reports are judged after 4.2 s"
