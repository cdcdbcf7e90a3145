"""Which gap is asked about next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.repair.repair_order import IN_A_ROW, OLDEST_SHARE, Need, RepairOrder


def choose(order: RepairOrder[str], needs: dict[str, Need]) -> str:
    key = order.choose(needs)
    order.asked()
    return key


def test_what_most_events_wait_for_comes_first_and_of_the_rest_the_oldest() -> None:
    needs = {"quiet": Need(0, 1.0), "older": Need(0, 0.0), "btc": Need(900, 5.0), "eth": Need(9, 0)}
    order: RepairOrder[str] = RepairOrder()

    assert choose(order, needs) == "btc"
    order.forget("btc")
    del needs["btc"]
    assert choose(order, needs) == "older"  # its share: the first question was the busiest's
    order.forget("older")
    del needs["older"]
    assert choose(order, needs) == "eth"
    order.forget("eth")
    del needs["eth"]
    assert choose(order, needs) == "quiet"


def test_a_gap_is_finished_before_the_next_one_though_others_grow_more_urgent() -> None:
    order: RepairOrder[str] = RepairOrder()
    assert choose(order, {"eth": Need(5, 0.0)}) == "eth"

    for _ in range(IN_A_ROW - 1):
        assert choose(order, {"eth": Need(5, 1.0), "btc": Need(900, 0.0)}) == "eth"
    assert choose(order, {"eth": Need(5, 1.0), "btc": Need(900, 0.0)}) == "btc"


def test_a_gap_that_has_to_wait_for_its_answer_keeps_no_other_one_waiting() -> None:
    order: RepairOrder[str] = RepairOrder()
    assert choose(order, {"btc": Need(900, 0.0)}) == "btc"
    assert choose(order, {"eth": Need(5, 0.0)}) == "eth"


@given(st.integers(1, 60), st.integers(1, 500))
def test_a_gap_without_end_leaves_the_small_ones_their_share(small: int, busy: int) -> None:
    """Each of them is asked about once, and then closed."""
    order: RepairOrder[int] = RepairOrder()
    needs = {key: Need(1, 0.0) for key in range(small)} | {-1: Need(busy + 1, 0.0)}
    asked = 0
    while len(needs) > 1:
        key = order.choose(needs)
        order.asked()
        asked += 1
        if key == -1:
            needs[-1] = Need(busy + 1, float(asked))
        else:
            del needs[key]
            order.forget(key)

    assert asked <= small / OLDEST_SHARE + 2 * IN_A_ROW
