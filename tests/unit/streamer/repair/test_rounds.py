"""Many things looked at in turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.repair.rounds import Rounds


def test_few_are_looked_at_each_time():
    rounds: Rounds[int] = Rounds(3)
    assert [rounds.next({1, 2, 3}) for _ in range(3)] == [[1, 2, 3]] * 3


def test_of_many_so_many_at_a_time_each_once_a_round():
    rounds: Rounds[int] = Rounds(2)
    present = dict.fromkeys(range(5))
    assert [rounds.next(present) for _ in range(4)] == [[0, 1], [2, 3], [4], [0, 1]]


def test_what_is_gone_is_passed_over_and_takes_no_place():
    rounds: Rounds[int] = Rounds(2)
    present = dict.fromkeys(range(5))
    rounds.next(present)
    del present[2], present[3]
    assert rounds.next(present) == [4]


def test_nothing_is_nothing():
    assert Rounds(1).next(()) == []


@given(
    st.integers(1, 5),
    st.lists(st.sets(st.integers(0, 12)), min_size=1, max_size=20),
)
def test_what_stays_is_looked_at_within_two_rounds(at_once, states):
    rounds: Rounds[int] = Rounds(at_once)
    looked: set[int] = set()
    for present in states:
        chosen = rounds.next(present)
        assert len(chosen) <= at_once
        assert set(chosen) <= present
    stays = set.intersection(*states)
    for _ in range(2 * (13 // at_once + 1)):
        looked.update(rounds.next(states[-1]))
    assert stays <= looked
