from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streamer.audit.order import Contiguous, Increasing

IDS = st.lists(st.integers(0, 30), min_size=1, max_size=40)


def lates(ids) -> int:
    """How many first occurrences are below an earlier one."""
    firsts = list(dict.fromkeys(ids))
    highest = itertools.accumulate(firsts, max)
    return sum(number < top for number, top in zip(firsts, highest, strict=True))


@given(IDS)
def test_contiguous_counts_what_a_set_would(ids):
    order = Contiguous()
    for number in ids:
        order.take(number, number)
    assert order.records == len(ids)
    assert order.copies == len(ids) - len(set(ids))
    assert order.disorder == lates(ids)
    assert (order.first_id, order.last_id) == (min(ids), max(ids))
    assert order.ids.total == len(set(ids))
    again = {number for number in ids if ids.count(number) > 1}
    assert {one for first, last in order.again for one in range(first, last + 1)} == again
    assert not order.overlaps


@given(IDS)
def test_increasing_tells_what_did_not_grow(ids):
    order = Increasing()
    for number in ids:
        order.take(number, number)
    assert order.records == len(ids)
    assert (order.first_id, order.last_id) == (min(ids), max(ids))
    times_late = {
        number: back for number, back in order.backwards.items() if back == ids.count(number)
    }
    assert len(times_late) == lates(ids)
    copies = sum(order.backwards.values()) - len(times_late)
    assert copies == len(ids) - len(set(ids))


def test_what_covers_numbers_may_not_cover_them_in_part():
    order = Contiguous()
    for first, last in [(1, 3), (4, 9), (4, 9), (8, 12), (13, 13)]:
        order.take(first, last)
    assert (order.records, order.copies, order.overlaps, order.disorder) == (5, 1, 1, 0)
    assert list(order.ids) == [(1, 13)]
