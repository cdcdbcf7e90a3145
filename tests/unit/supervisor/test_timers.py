from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.timers import Every


def test_it_is_due_once_per_period() -> None:
    every = Every(1.0, first_at=10.0)
    assert [at for at in (9.9, 10.0, 10.5, 11.0, 11.1) if every.due(at)] == [10.0, 11.0]


def test_what_was_missed_is_not_made_up_for() -> None:
    every = Every(1.0, first_at=0.0)
    assert every.due(100.4)
    assert every.next_at == 101.0


def test_a_new_period_counts_from_the_change() -> None:
    every = Every(60.0, first_at=60.0)
    every.change(5.0, now=10.0)
    assert every.next_at == 15.0
    every.change(5.0, now=12.0)
    assert every.next_at == 15.0


@given(st.floats(0.01, 100), st.lists(st.floats(0, 1000), max_size=50))
def test_the_next_time_is_at_most_a_period_ahead(period: float, gaps: list[float]) -> None:
    every, now = Every(period, first_at=0.0), 0.0
    for gap in gaps:
        now += gap
        every.due(now)
        assert every.next_at > now - 1e-6
        assert every.next_at <= now + period + 1e-6
