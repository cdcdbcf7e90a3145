from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.repair.weight import WeightBudget


def test_a_share_of_the_limit_is_for_us() -> None:
    budget = WeightBudget(100, 0.5)
    budget.spend(25, 65.0)

    assert budget.delay(25, 65.0) == 0
    budget.spend(25, 65.0)
    assert budget.delay(1, 70.0) == 51.0  # the next minute, and a second for the clocks
    assert budget.delay(1, 121.0) == 0


def test_what_others_use_counts() -> None:
    budget = WeightBudget(6000, 0.5)
    budget.observe(2990, 65.0)

    assert budget.delay(10, 66.0) == 0
    assert budget.delay(25, 66.0) > 0
    assert budget.delay(25, 121.0) == 0


def test_an_answer_that_comes_in_the_next_minute_tells_of_the_one_before() -> None:
    budget = WeightBudget(6000, 0.5)
    budget.spend(25, 119.0)
    budget.observe(2990, 121.5)
    assert budget.delay(25, 121.5) == 0
    budget.spend(25, 121.5)
    budget.observe(2990, 122.0)  # others have used it
    assert budget.delay(25, 122.0) > 0


def test_one_question_a_minute_is_allowed_whatever_the_share() -> None:
    budget = WeightBudget(6000, 0.001)

    assert budget.delay(25, 65.0) == 0
    budget.spend(25, 65.0)
    assert budget.delay(25, 65.1) > 0


def test_what_is_bulk_leaves_a_part_of_the_share_to_small_questions() -> None:
    budget = WeightBudget(1000, 0.5)
    budget.spend(25, 65.0, bulk=True)
    while budget.delay(25, 65.0, bulk=True) == 0:
        budget.spend(25, 65.0, bulk=True)

    assert budget.delay(1, 65.0, bulk=True) > 0
    assert budget.delay(50, 65.0) == 0
    assert budget.delay(51, 65.0) > 0
    assert budget.delay(25, 121.0, bulk=True) == 0


@given(st.lists(st.tuples(st.sampled_from([1, 4, 25]), st.floats(0, 30)), max_size=60))
def test_never_more_than_the_share_in_a_minute_of_either_clock(
    requests: list[tuple[int, float]],
) -> None:
    budget, time = WeightBudget(200, 0.5), 600.0
    spent: dict[int, int] = {}
    for weight, pause in requests:
        time += pause
        time += budget.delay(weight, time)
        assert budget.delay(weight, time) == 0
        budget.spend(weight, time)
        minute = int((time - 1.0) // 60)
        spent[minute] = spent.get(minute, 0) + weight
    assert all(weight <= 100 for weight in spent.values())


def test_a_back_fill_ends_when_its_weight_can_have_been_asked() -> None:
    budget = WeightBudget(1000, 0.5)  # 450 for a back-fill
    budget.spend(50, 71.0, bulk=True)

    assert budget.seconds_for(400, 71.0) == 0.0
    assert budget.seconds_for(401, 71.0) == 50.0  # the next minute, and a second for the clocks
    assert budget.seconds_for(850, 71.0) == 50.0
    assert budget.seconds_for(851, 71.0) == 110.0
    assert budget.seconds_for(50, 121.0) == 0.0


def test_what_is_reserved_does_not_grow_with_the_limit() -> None:
    budget = WeightBudget(6000, 1.0)
    budget.spend(5795, 65.0, bulk=True)
    assert budget.delay(25, 65.0, bulk=True) == 0
    budget.spend(25, 65.0, bulk=True)
    assert budget.delay(25, 65.0, bulk=True) > 0
    assert budget.delay(25, 65.0) == 0


def test_while_bulk_waits_small_questions_keep_to_what_is_reserved_for_them() -> None:
    budget = WeightBudget(1000, 0.5)  # 50 of it reserved
    budget.bulk_waits = True
    for _ in range(12):
        assert budget.delay(4, 65.0) == 0
        budget.spend(4, 65.0)
    assert budget.delay(4, 65.0) == 56.0
    assert budget.delay(25, 65.0, bulk=True) == 0
    budget.spend(25, 65.0, bulk=True)
    assert budget.delay(2, 65.0) == 0  # what is bulk takes nothing of it
    assert budget.delay(4, 121.0) == 0

    budget.bulk_waits = False
    assert budget.delay(4, 65.0) == 0


def test_while_bulk_waits_one_small_question_a_minute_is_allowed_whatever_the_reserve() -> None:
    budget = WeightBudget(60, 0.5)  # 3 of it reserved
    budget.bulk_waits = True
    budget.spend(20, 65.0, bulk=True)

    assert budget.delay(4, 65.0) == 0
    budget.spend(4, 65.0)
    assert budget.delay(4, 65.0) > 0
    assert budget.delay(4, 121.0) == 0


def test_what_small_questions_took_of_their_part_is_not_left_to_them_a_second_time() -> None:
    budget = WeightBudget(1000, 0.5)  # 50 of it reserved
    budget.spend(48, 65.0)
    spent = 0
    while budget.delay(25, 65.0, bulk=True) == 0:
        budget.spend(25, 65.0, bulk=True)
        spent += 25

    assert spent == 450
    assert budget.seconds_for(1, 71.0) == 50.0
    assert budget.delay(2, 65.0) == 0
    assert budget.delay(3, 65.0) > 0


def test_small_questions_beyond_their_part_are_taken_from_that_of_the_bulk() -> None:
    budget = WeightBudget(1000, 0.5)
    budget.spend(100, 65.0)
    assert budget.delay(400, 65.0, bulk=True) == 0
    assert budget.delay(401, 65.0, bulk=True) > 0


def test_who_is_not_told_what_others_use_keeps_to_a_part() -> None:
    budget = WeightBudget(1200, 0.5, processes=3)
    budget.spend(150, 601.0, bulk=True)
    assert budget.delay(450, 610.0) == 0.0, "the exchange is expected to tell"
    budget.observe(None, 611.0)
    assert budget.delay(50, 612.0) == 0.0
    assert budget.delay(51, 612.0) > 0.0, "a third of 600"
    assert budget.seconds_for(100, 612.0) == 49.0, "30 now, the rest in the next minute"
    budget.observe(160, 613.0)
    assert budget.delay(440, 614.0) == 0.0
    assert budget.delay(441, 614.0) > 0.0
