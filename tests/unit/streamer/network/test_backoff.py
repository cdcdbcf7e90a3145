import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.network.backoff import AttemptBudget, FullJitter


def test_bounds_double_up_to_the_maximum():
    backoff = FullJitter(0.5, 3.0, lambda: 1.0)
    assert [backoff.next_delay() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_reset_begins_with_the_initial_bound():
    backoff = FullJitter(0.5, 60.0, lambda: 1.0)
    backoff.next_delay()
    backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() == 0.5


def test_jitter_covers_the_whole_interval():
    backoff = FullJitter(8.0, 8.0, random.Random(1).random)
    delays = [backoff.next_delay() for _ in range(1000)]
    assert min(delays) < 0.1
    assert max(delays) > 7.9
    assert sum(delays) / len(delays) == pytest.approx(4.0, rel=0.1)


def test_endless_attempts_stay_finite():
    backoff = FullJitter(0.5, 60.0, lambda: 1.0)
    assert {backoff.next_delay() for _ in range(5000)} <= {0.5 * 2**n for n in range(7)} | {60.0}


def test_budget_allows_the_limit_and_then_waits_for_the_oldest():
    budget = AttemptBudget(2, 300.0)
    for now in (0.0, 10.0):
        assert budget.delay(now) == 0.0
        budget.spend(now)
    assert budget.delay(20.0) == 280.0
    assert budget.delay(300.0) == 0.0
    budget.spend(300.0)
    assert budget.delay(300.0) == 10.0


def test_what_the_exchange_has_told_holds_beside_the_budget():
    budget = AttemptBudget(1, 300.0)
    budget.hold(600.0)
    budget.hold(100.0)  # told later, of an attempt that was under way: the ban stands
    assert budget.delay(0.0) == 600.0
    assert budget.delay(600.0) == 0.0
    budget.spend(600.0)
    assert budget.delay(601.0) == 299.0


@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.floats(0, 20), max_size=60),
)
def test_no_window_ever_holds_more_than_the_limit(limit, steps):
    budget = AttemptBudget(limit, 30.0)
    now, spent = 0.0, []
    for step in steps:
        now += step
        if budget.delay(now) == 0.0:
            budget.spend(now)
            spent.append(now)
    for begin in spent:
        assert sum(begin <= moment < begin + 30.0 for moment in spent) <= limit
