"""When which book is asked for, and which answer serves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.repair.snapshot_plan import RETRY_MAX_SECONDS, SnapshotDue, SnapshotPlan


def test_a_book_is_asked_for_at_once_and_again_after_the_interval():
    plan = SnapshotPlan(3600.0)
    assert plan.next(0.0) is None
    assert plan.need("A", "start", 10)
    assert plan.next(0.0) == SnapshotDue("A", "start")
    assert plan.serves("A", 10, 1.0)
    assert plan.latest_id("A") == 10
    assert plan.next(3600.9) is None
    assert plan.next(3601.0) == SnapshotDue("A", "interval")
    assert plan.serves("A", 10, 3601.0)
    assert plan.next(7201.0) == SnapshotDue("A", "interval")


def test_without_an_interval_time_alone_asks_for_nothing():
    plan = SnapshotPlan(0.0)
    plan.need("A", "start", 10)
    assert plan.serves("A", 12, 1.0)
    assert plan.next(1e9) is None


def test_one_that_is_older_than_the_changes_is_asked_for_again_ever_more_rarely():
    plan = SnapshotPlan(3600.0)
    plan.need("A", "start", 10)
    assert not plan.serves("A", 9, 0.0)
    assert plan.next(0.4) is None
    assert plan.next(0.5) == SnapshotDue("A", "start")
    for _ in range(20):
        plan.failed("A", 1.0)
    assert plan.next(1.0 + RETRY_MAX_SECONDS - 0.1) is None
    assert plan.next(1.0 + RETRY_MAX_SECONDS) is not None
    assert plan.serves("A", 10, 61.0)


def test_one_of_a_replica_that_lags_behind_the_one_before_does_not_serve():
    plan = SnapshotPlan(5.0)
    plan.need("A", "start", 10)
    assert plan.serves("A", 20, 0.0)
    assert not plan.serves("A", 19, 5.0)
    assert plan.serves("A", 20, 6.0)


def test_a_gap_that_the_latest_snapshot_is_above_needs_no_other_one():
    plan = SnapshotPlan(0.0)
    plan.need("A", "start", 10)
    plan.serves("A", 30, 0.0)
    assert not plan.need("A", "gap", 30)
    assert plan.need("A", "gap", 31)
    assert plan.next(0.0) == SnapshotDue("A", "gap")
    assert not plan.serves("A", 30, 0.0)


def test_what_is_needed_twice_has_to_reach_both_and_is_told_as_the_first():
    plan = SnapshotPlan(0.0)
    plan.need("A", "start", 10)
    plan.need("A", "gap", 20)
    plan.need("A", "gap", 15)
    assert plan.next(0.0) == SnapshotDue("A", "start")
    assert not plan.serves("A", 19, 0.0)
    assert plan.serves("A", 20, 1.0)


def test_lost_books_come_before_those_whose_time_it_is():
    plan = SnapshotPlan(10.0)
    for symbol in "AB":
        plan.need(symbol, "start", 10)
        plan.serves(symbol, 10, 0.0)
    assert plan.next(50.0) == SnapshotDue("A", "interval")
    plan.need("B", "gap", 11)
    assert plan.next(50.0) == SnapshotDue("B", "gap")


def test_nothing_is_known_of_a_symbol_that_is_forgotten():
    plan = SnapshotPlan(10.0)
    plan.need("A", "start", 10)
    plan.forget("A")
    plan.failed("A", 0.0)
    assert plan.next(99.0) is None
    assert not plan.serves("A", 10, 0.0)
    assert plan.need("A", "start", 3), "ids may have begun anew"


def test_of_many_that_are_due_only_the_first_is_looked_at():
    plan, looks = SnapshotPlan(3600.0), []
    for number in range(1500):
        plan.need(f"S{number}", "start", 10)
    holds = plan._holds
    plan._holds = lambda entry: looks.append(entry) or holds(entry)
    assert plan.next(0.0) == SnapshotDue("S0", "start")
    plan.failed("S0", 0.0)
    assert plan.next(0.0) == SnapshotDue("S1", "start")
    assert plan.next(5.0) == SnapshotDue("S1", "start"), "what waits longest comes first"
    assert len(looks) <= 5


def test_what_no_longer_holds_does_not_pile_up():
    plan = SnapshotPlan(3600.0)
    for number in range(2000):
        plan.need("A", "gap", number)
        assert plan.next(0.0) == SnapshotDue("A", "gap")
        assert plan.serves("A", number, 0.0)
    assert len(plan._by_time) < 200
    assert plan.next(3600.0) == SnapshotDue("A", "interval")


@given(st.lists(st.tuples(st.sampled_from(["gap", "answer"]), st.integers(0, 50)), max_size=30))
def test_a_need_ends_with_a_snapshot_that_reaches_it_and_snapshots_never_go_back(steps):
    plan = SnapshotPlan(0.0)
    wanted, latest = None, -1
    for now, (step, number) in enumerate(steps):
        if step == "gap":
            if plan.need("A", "gap", number):
                wanted = max(wanted or 0, number)
            else:
                assert latest >= number
        elif plan.serves("A", number, float(now)):
            assert wanted is not None
            assert number >= max(wanted, latest)
            wanted, latest = None, number
        assert (plan.next(1e9) is not None) == (wanted is not None)
