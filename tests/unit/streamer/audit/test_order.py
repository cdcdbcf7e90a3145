from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audit.candles import Candles
from streamer.audit.order import Aggregates, Contiguous, Increasing

IDS = st.lists(st.integers(0, 30), min_size=1, max_size=40)


def lates(ids) -> int:
    """How many first occurrences are below an earlier one."""
    firsts = list(dict.fromkeys(ids))
    highest = itertools.accumulate(firsts, max)
    return sum(number < top for number, top in zip(firsts, highest, strict=True))


def numbers_of(ranges) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@pytest.mark.parametrize(
    ("aggregates", "apart"),
    [
        ([(1, 10, 12), (2, 13, 13), (3, 14, 20)], set()),
        ([(1, 10, 12), (2, 14, 14), (3, 15, 15)], {2}),  # 13 is in none of them
        ([(1, 10, 12), (2, 12, 13), (3, 14, 14)], {2}),  # 12 is in both
        ([(1, 10, 12), (3, 20, 20), (4, 22, 22)], {4}),  # between 1 and 3 there was another one
        ([(1, 10, 12), (1, 10, 12), (2, 13, 13)], set()),  # a copy
        ([(1, 10, 12), (2, 13, 13), (1, 10, 12), (3, 14, 14)], set()),
        ([(0, 10, 12), (1, 14, 14)], {1}),
        ([(0, 10, 12)], set()),
    ],
)
def test_aggregates_follow_each_other_by_their_trades_too(aggregates, apart):
    order = Aggregates()
    for one in aggregates:
        order.take(*one)
    assert numbers_of(order.apart) == apart
    assert order.records == len(aggregates)
    assert numbers_of(order.ids) == {number for number, _, _ in aggregates}


@pytest.mark.parametrize("order_type", [Contiguous, Increasing])
@given(ids=IDS)
def test_counts_are_what_a_set_would_tell(order_type, ids):
    order = order_type()
    for number in ids:
        order.take(number)
    times = Counter(ids)
    assert order.records == len(ids)
    assert order.copies(times) == len(ids) - len(set(ids))
    assert order.disorder(times) == lates(ids)
    assert (order.first_id, order.last_id) == (min(ids), max(ids))
    assert {number for number in ids if times[number] > 1} <= numbers_of(order.again)
    if order_type is Contiguous:
        assert numbers_of(order.ids) == set(ids)
        assert numbers_of(order.holes()) == set(range(min(ids), max(ids))) - set(ids)
    else:
        assert not order.ids
        assert not order.holes()


def test_what_covers_numbers_may_not_cover_them_in_part():
    order = Contiguous()
    for first, last in [(1, 3), (4, 9), (4, 9), (8, 12), (13, 13), (20, 25)]:
        order.take(first, last)
    assert (order.records, order.copies({}), order.disorder({})) == (6, 1, 1)
    assert list(order.ids) == [(1, 13), (20, 25)]
    assert list(order.again) == [(9, 9)]
    assert list(order.holes()) == [(14, 19)]


# Candles of a second: open time in seconds, event time in ms within it, closed or not -------------


def candles(*states: tuple[int, int, bool]) -> Candles:
    order = Candles()
    for second, milliseconds, is_closed in states:
        begin = second * 1_000_000
        order.take(begin, begin + 999_000, begin + milliseconds * 1000, is_closed)
    return order


def seconds_missing(order: Candles) -> list[int]:
    return sorted({first // 1_000_000 for first, _ in order.holes()})


ORDERLY = ((1, 500, False), (1, 900, False), (1, 1000, True), (2, 1000, True), (3, 10, False))


def test_an_open_candle_at_the_end_is_not_missed():
    order = candles(*ORDERLY)
    assert (order.records, order.copies({}), order.disorder({})) == (5, 0, 0)
    assert not order.holes()
    assert (order.first_id, order.last_id) == (1_000_000, 3_000_000)
    assert list(order.ids) == [(1_000_000, 2_999_999)]


@pytest.mark.parametrize(
    ("states", "missing"),
    [
        (((1, 1000, True), (3, 1000, True)), [2]),
        (((1, 500, False), (2, 1000, True)), [1]),
        (((1, 1000, True), (3, 10, False)), [2]),
    ],
)
def test_a_candle_that_is_never_closed_is_missing(states, missing):
    assert seconds_missing(candles(*states)) == missing


@given(st.lists(st.sampled_from(ORDERLY), max_size=6))
def test_what_comes_again_is_a_copy(again):
    order = candles(*ORDERLY, *again)
    times = Counter(second * 1_000_000 + ms * 1000 for second, ms, _ in (*ORDERLY, *again))
    assert order.records == len(ORDERLY) + len(again)
    assert order.copies(times) == len(again)
    assert order.disorder(times) == 0


def test_an_update_after_its_candle_was_closed_comes_late():
    order = candles(*ORDERLY, (2, 700, False))
    assert (order.copies({2_700_000: 1}), order.disorder({2_700_000: 1})) == (0, 1)
    late = candles((1, 1000, True), (3, 1000, True), (2, 1000, True))
    assert (late.copies({}), late.disorder({})) == (0, 1)
    assert not late.holes()
