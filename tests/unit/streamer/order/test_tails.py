from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.order.positions import DeclaredGap, Position
from streamer.order.tails import Tail

ROUTE = "btcusdt@trade"
ids = st.integers(0, 40)


def gap(first_id: int, last_id: int, route: str = ROUTE) -> DeclaredGap:
    return DeclaredGap(route, first_id, last_id, 0)


def tail_of(numbers: list[int], last_id: int | None = None, route: str = ROUTE) -> Tail:
    tail = Tail(route, None if last_id is None else Position(last_id, 0))
    for number in numbers:
        tail.take(number, 1000 + number)
    return tail


def test_without_records_the_position_stays():
    assert tail_of([], 7).position([]) == Position(7, 0)
    assert tail_of([]).position([]) is None


def test_copies_change_nothing():
    assert tail_of([6, 7, 8, 7, 8, 9], 7).position([]) == Position(9, 1009)


def test_a_hole_without_a_gap_is_where_to_go_on():
    tail = tail_of([8, 10, 13], 7)

    assert tail.position([]) == Position(8, 1008)
    assert tail.position([gap(9, 9)]) == Position(10, 1010)
    assert tail.position([gap(11, 12), gap(9, 9)]) == Position(13, 1013)
    assert tail.position([gap(9, 9, "ethusdt@trade")]) == Position(8, 1008)


def test_ids_that_jump_by_themselves_have_no_holes():
    assert tail_of([8, 20, 35], 7, "btcusdt@bookTicker").position([]) == Position(35, 1035)


@given(st.none() | ids, st.lists(ids), st.lists(st.tuples(ids, ids)))
def test_nothing_up_to_the_position_is_unaccounted_for(last_id, numbers, gaps):
    """And it is as far as that goes, or as a gap's own record may still move it."""
    gaps = [gap(*each) for each in gaps]
    numbers = sorted(numbers)
    position = tail_of(numbers, last_id).position(gaps)
    begin = last_id if last_id is not None else numbers[0] if numbers else None
    if begin is None:
        assert position is None
        return
    assert position is not None
    declared = {number for each in gaps for number in range(each.first_id, each.last_id + 1)}
    assert set(range(begin + 1, position.last_id + 1)) <= declared | set(numbers)
    higher = [number for number in numbers if number > position.last_id]
    if higher:
        assert set(range(position.last_id + 1, higher[0])) - declared


def test_what_is_there_and_was_not_read_is_no_hole():
    tail = tail_of([8], 7)
    tail.skip()
    tail.take(20, 1020)
    assert tail.position([]) == Position(20, 1020)

    tail.take(22, 1022)
    assert tail.position([]) == Position(20, 1020)
