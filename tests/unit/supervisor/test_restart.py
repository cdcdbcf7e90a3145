from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.restart import (
    RestartHistory,
    RestartPolicy,
    delay_of_start,
    grant,
    grant_later,
    remaining,
)

POLICY = RestartPolicy(
    limit=5,
    window_seconds=600,
    backoff_initial_seconds=1,
    backoff_max_seconds=10,
    healthy_after_seconds=300,
)


def test_delays_double_up_to_the_longest() -> None:
    history, delays = RestartHistory(), []
    for launch in range(5):
        history, delay = grant(POLICY, history, launch, lived_seconds=1, jitter=0.0)
        delays.append(delay)
    assert delays == [1, 2, 4, 8, 10]


def test_the_sixth_in_ten_minutes_is_refused_and_the_first_leaves_the_window() -> None:
    history = RestartHistory()
    for launch in range(5):
        history, _ = grant(POLICY, history, launch, lived_seconds=1, jitter=0.0)
    refused, delay = grant(POLICY, history, 599.0, lived_seconds=1, jitter=0.0)
    assert delay is None
    assert refused.restarts == history.restarts
    _, delay = grant(POLICY, history, 600.0, lived_seconds=1, jitter=0.0)
    assert delay is not None


def test_a_healthy_life_makes_the_first_delay_the_next_one() -> None:
    history = RestartHistory((), in_a_row=7)
    _, delay = grant(POLICY, history, 0.0, lived_seconds=300, jitter=0.0)
    assert delay == 1


def test_a_limit_of_zero_allows_no_restart() -> None:
    policy = RestartPolicy(
        limit=0,
        window_seconds=600,
        backoff_initial_seconds=1,
        backoff_max_seconds=10,
        healthy_after_seconds=300,
    )
    assert grant(policy, RestartHistory(), 0.0, lived_seconds=1e6, jitter=0.5)[1] is None


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 10_000))
def test_jitter_takes_up_to_half_and_no_history_overflows(jitter: float, in_a_row: int) -> None:
    _, delay = grant(POLICY, RestartHistory((), in_a_row), 0.0, lived_seconds=0, jitter=jitter)
    assert delay is not None
    longest = min(10, 2.0 ** min(in_a_row, 10))
    assert longest / 2 <= delay <= longest


@given(st.lists(st.floats(0.0, 200.0), min_size=1, max_size=60))
def test_no_window_ever_holds_more_than_the_limit(gaps: list[float]) -> None:
    now, history, granted = 0.0, RestartHistory(), []
    for gap in gaps:
        now += gap
        history, delay = grant(POLICY, history, now, lived_seconds=gap, jitter=0.3)
        if delay is not None:
            granted.append(now)
    for start in granted:
        assert sum(start <= at < start + POLICY.window_seconds for at in granted) <= POLICY.limit


@pytest.mark.parametrize("lived", [0, 299.9])
def test_a_short_life_does_not_reset(lived: float) -> None:
    _, delay = grant(POLICY, RestartHistory((), 2), 0.0, lived_seconds=lived, jitter=0.0)
    assert delay == 4


def test_a_start_waits_after_failures_in_a_row_but_not_after_one() -> None:
    assert [delay_of_start(POLICY, failed) for failed in range(8)] == [0, 0, 1, 2, 4, 8, 10, 10]
    assert delay_of_start(POLICY, 10**8) == 10


def test_what_is_left_of_the_budget_comes_back_with_the_window() -> None:
    history = RestartHistory(restarts=(10.0, 20.0))
    policy = replace(POLICY, limit=3, window_seconds=100.0)
    assert remaining(policy, history, 30.0) == 1
    assert remaining(policy, history, 110.0) == 2
    assert remaining(policy, history, 120.0) == 3
    assert remaining(replace(policy, limit=1), history, 30.0) == 0


@given(st.lists(st.floats(0, 3000), max_size=30))
def test_who_waits_for_its_budget_never_has_more_than_the_limit_in_a_window(
    gaps: list[float],
) -> None:
    history, now, granted = RestartHistory(), 0.0, []
    for gap in gaps:
        now += gap
        history, delay = grant(POLICY, history, now, lived_seconds=1.0, jitter=0.0)
        if delay is None:
            history, wait = grant_later(POLICY, history, now)
            assert wait is not None
            now += wait
        granted.append(now)
    limit, window = POLICY.limit, POLICY.window_seconds
    for first, after in zip(granted, granted[limit:], strict=False):
        assert after - first >= window - 1e-6


def test_without_a_budget_there_is_nothing_to_wait_for() -> None:
    assert grant_later(replace(POLICY, limit=0), RestartHistory((1.0,)), 5.0)[1] is None
