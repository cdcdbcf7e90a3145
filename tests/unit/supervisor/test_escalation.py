from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.escalation import Graces, Step, advance, begin, hurry

GRACES = Graces(drain_seconds=10, term_seconds=5, abort_seconds=3, kill_seconds=5)


def test_every_step_comes_after_the_grace_of_the_one_before() -> None:
    escalation = begin(GRACES, 100.0)
    seen = []
    for tenth in range(300):
        now = 100.0 + tenth / 10
        before, escalation = escalation, advance(escalation, now)
        if escalation is not before:
            seen.append((now, escalation.step))
    assert seen == [
        (110.0, Step.TERM),
        (115.0, Step.ABORT),
        (118.0, Step.KILL),
        (123.0, Step.GIVE_UP),
    ]


def test_after_a_long_sleep_each_step_still_gets_its_grace() -> None:
    escalation = advance(begin(GRACES, 0.0), 1000.0)
    assert (escalation.step, escalation.deadline) == (Step.TERM, 1005.0)


def test_giving_up_is_the_last_step() -> None:
    escalation = begin(GRACES, 0.0, Step.GIVE_UP)
    assert advance(escalation, 1e9) is escalation


def test_hurrying_goes_forward_only() -> None:
    escalation = begin(GRACES, 0.0, Step.TERM)
    assert hurry(escalation, 1.0, Step.DRAIN) is escalation
    assert hurry(escalation, 1.0, Step.TERM) is escalation
    killed = hurry(escalation, 1.0, Step.KILL)
    assert (killed.step, killed.deadline) == (Step.KILL, 6.0)


steps = st.sampled_from(list(Step))
graces = st.builds(
    Graces,
    drain_seconds=st.floats(0.01, 100),
    term_seconds=st.floats(0.01, 100),
    abort_seconds=st.floats(0.01, 100),
    kill_seconds=st.floats(0.01, 100),
)


@given(graces, steps, st.lists(st.tuples(st.floats(0, 50), st.none() | steps), max_size=30))
def test_it_never_goes_back_and_ends_within_the_sum_of_the_graces(
    graces: Graces, first: Step, moves: list[tuple[float, Step | None]]
) -> None:
    now, escalation = 0.0, begin(graces, 0.0, first)
    for later, wish in moves:
        now += later
        step = escalation.step
        escalation = advance(escalation, now) if wish is None else hurry(escalation, now, wish)
        assert escalation.step >= step
    began = now
    while escalation.step is not Step.GIVE_UP:
        now = max(now, escalation.deadline)
        escalation = advance(escalation, now)
    assert now - began <= graces.total_seconds + 1e-9
