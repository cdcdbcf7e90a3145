from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.order.pending import DiskStore
from streamer.order.sequence import (
    EMPTY,
    RELEASED_AT_ONCE,
    ContiguousSequence,
    Gap,
    IncreasingSequence,
)


def feed(sequence: Any, event_id: int, now: float) -> list[Any]:
    """Do as the feed does: the fast path first."""
    return [event_id] if sequence.advance(event_id) else sequence.take(event_id, event_id, now)


def check_order(forwarded: list[int | Gap], first: int, last: int) -> None:
    """Every id from first to last, forwarded or in a gap, each once and in order."""
    expected = first
    for step in forwarded:
        if isinstance(step, Gap):
            assert step.first_id == expected
            assert step.last_id >= step.first_id
            expected = step.last_id + 1
        else:
            assert step == expected
            expected += 1
    assert expected == last + 1


def test_contiguous_ids_take_the_fast_path() -> None:
    sequence = ContiguousSequence[int]()

    assert feed(sequence, 7, 0.0) == [7]
    assert sequence.advance(8)
    assert sequence.advance(9)
    assert (sequence.events_total, sequence.last_id) == (3, 9)


def test_a_resumed_sequence_goes_on_after_its_last_id() -> None:
    sequence = ContiguousSequence[int](last_id=6)

    assert sequence.last_id == 6
    assert feed(sequence, 6, 0.0) == []
    assert feed(sequence, 8, 0.0) == []
    assert feed(sequence, 7, 0.1) == [7, 8]


def test_copies_are_counted_not_forwarded() -> None:
    sequence = ContiguousSequence[int]()

    assert [feed(sequence, i, 0.0) for i in (1, 1, 2, 1, 2, 3)] == [[1], [], [2], [], [], [3]]
    assert (sequence.events_total, sequence.duplicates_total) == (3, 3)


def test_what_comes_after_a_jump_waits_for_the_missing_ids() -> None:
    sequence = ContiguousSequence[int]()

    assert [feed(sequence, i, 0.0) for i in (1, 4, 3)] == [[1], [], []]
    assert sequence.pending == 2
    assert feed(sequence, 4, 0.1) == []
    assert feed(sequence, 2, 0.2) == [2, 3, 4]
    assert (sequence.pending, sequence.gaps_total, sequence.duplicates_total) == (0, 0, 1)
    assert sequence.advance(5)


def test_a_gap_is_declared_after_the_wait_and_late_ids_are_duplicates() -> None:
    sequence = ContiguousSequence[int](wait_seconds=1.0)
    feed(sequence, 1, 0.0)
    feed(sequence, 4, 0.0)
    feed(sequence, 5, 0.5)

    assert sequence.expire(0.9) == []
    assert sequence.expire(1.0) == [Gap(2, 3), 4, 5]
    assert (sequence.gaps_total, sequence.missing_total, sequence.events_total) == (1, 2, 3)
    assert feed(sequence, 2, 1.1) == []
    assert sequence.duplicates_total == 1
    assert sequence.advance(6)


def test_each_gap_has_its_own_wait() -> None:
    sequence = ContiguousSequence[int](wait_seconds=1.0)
    feed(sequence, 1, 0.0)
    feed(sequence, 3, 0.0)
    feed(sequence, 5, 0.8)

    assert sequence.expire(1.0) == [Gap(2, 2), 3]
    assert sequence.expire(1.7) == []
    assert sequence.expire(1.8) == [Gap(4, 4), 5]


def test_a_gap_is_suspected_since_the_first_arrival_above_it() -> None:
    sequence = ContiguousSequence[int](wait_seconds=1.0)
    feed(sequence, 1, 0.0)
    feed(sequence, 7, 0.0)
    feed(sequence, 5, 0.8)
    feed(sequence, 3, 0.9)

    assert sequence.expire(1.0) == [Gap(2, 2), 3, Gap(4, 4), 5, Gap(6, 6), 7]


def test_waiting_is_bounded_in_number() -> None:
    sequence = ContiguousSequence[int](pending_limit=3)
    feed(sequence, 1, 0.0)

    assert [feed(sequence, i, 0.0) for i in (3, 4, 5)] == [[], [], []]
    assert feed(sequence, 6, 0.0) == [Gap(2, 2), 3, 4, 5, 6]
    assert sequence.pending == 0


@given(
    first=st.integers(0, 2**40),
    missing=st.sets(st.integers(1, 60)),
    order=st.randoms(use_true_random=False),
    copies=st.lists(st.integers(0, 60)),
    shuffle_width=st.integers(1, 40),
)
def test_whatever_comes_the_order_is_complete(
    first: int, missing: set[int], order: Any, copies: list[int], shuffle_width: int
) -> None:
    """Two connections' ids in nearly any order, some lost, some twice, with time passing."""
    arrivals = [i for i in [*range(61), *copies] if i not in missing]
    arrivals = sorted(arrivals[1:], key=lambda i: i + order.random() * shuffle_width)
    sequence = ContiguousSequence[int](wait_seconds=1.0, pending_limit=10)
    forwarded: list[int | Gap] = list(feed(sequence, first, 0.0))
    now = 0.0
    for i in arrivals:
        now += order.choice([0.0, 0.01, 0.4])
        forwarded += feed(sequence, first + i, now)
        assert sequence.pending <= 10
        if order.random() < 0.3:
            forwarded += sequence.expire(now)
    forwarded += sequence.expire(now + 1.0)

    assert sequence.last_id is not None
    check_order(forwarded, first, sequence.last_id)
    assert sequence.pending == 0
    assert sequence.last_id == first + max([0, *arrivals])
    gaps = [step for step in forwarded if isinstance(step, Gap)]
    assert sequence.gaps_total == len(gaps)
    assert sequence.missing_total == sum(gap.missing for gap in gaps)
    assert sequence.events_total == len(forwarded) - len(gaps)
    assert sequence.events_total + sequence.duplicates_total == 1 + len(arrivals)


@given(st.lists(st.integers(0, 50)))
def test_two_connections_in_order_lose_nothing_and_copy_nothing(cuts: list[int]) -> None:
    """However the two are interleaved, all of it comes out once, at once."""
    one, two = iter(range(51)), iter(range(51))
    sequence = ContiguousSequence[int]()
    forwarded: list[Any] = []
    for turn, cut in enumerate(cuts):
        for event_id in itertools.islice((one, two)[turn % 2], cut):
            forwarded += feed(sequence, event_id, 0.0)
    for event_id in [*one, *two]:
        forwarded += feed(sequence, event_id, 0.0)

    assert forwarded == list(range(51))
    assert sequence.duplicates_total == 51


def test_before_the_first_id_nothing_is_known() -> None:
    sequence = ContiguousSequence[int]()

    assert (sequence.events_total, sequence.last_id, sequence.pending) == (0, None, 0)
    assert not sequence.reaches(0)
    assert not sequence.wants(0)
    assert sequence.suspected(9.9) is None
    assert sequence.expire(9.9) == []
    assert sequence.give_up(5, EMPTY) == []


@given(
    arrivals=st.lists(st.tuples(st.integers(1, 30), st.sampled_from([0.0, 0.3, 0.6])), min_size=1),
    rest=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_sequence_reaches_what_nothing_is_waited_for_below(
    arrivals: list[tuple[int, float]], rest: float
) -> None:
    """An id that is missing is waited for until an id above it has been here for long enough."""
    sequence, now = ContiguousSequence[int](last_id=0, wait_seconds=1.0), 0.0
    came_at: dict[int, float] = {}
    for event_id, pause in arrivals:
        now += pause
        feed(sequence, event_id, now)
        came_at.setdefault(event_id, now)
    now += rest
    sequence.suspected(now)

    def waited_for(event_id: int) -> bool:
        above = [at for each, at in came_at.items() if each > event_id]
        return event_id not in came_at and (not above or now < min(above) + 1.0)

    for event_id in range(32):
        waits = any(waited_for(each) for each in range(1, event_id + 1))
        assert sequence.reaches(event_id) == (not waits), event_id


def test_a_gap_is_suspected_when_the_others_had_time_and_told_since_when() -> None:
    sequence = ContiguousSequence[int](last_id=0, wait_seconds=1.0)
    feed(sequence, 3, 0.5)

    assert sequence.suspected(1.4) is None
    assert sequence.suspected(1.5) == (Gap(1, 2), 0.5)
    feed(sequence, 1, 1.6)
    assert sequence.suspected(1.7) == (Gap(2, 2), 0.5)
    assert feed(sequence, 2, 1.8) == [2, 3]
    assert sequence.suspected(1.9) is None


def test_what_is_given_up_is_declared_in_its_place_and_empty_ids_are_no_loss() -> None:
    sequence = ContiguousSequence[int](last_id=0)
    for event_id in (3, 6, 7):
        feed(sequence, event_id, 0.0)

    assert sequence.give_up(4, EMPTY) == [Gap(1, 2), 3, Gap(4, 4)]
    assert (sequence.empty_total, sequence.missing_total, sequence.gaps_total) == (3, 0, 0)
    assert sequence.give_up(5, "lagging") == [Gap(5, 5), 6, 7]
    assert (sequence.empty_total, sequence.missing_total, sequence.gaps_total) == (3, 1, 1)
    assert sequence.events_total == 3
    assert sequence.give_up(5, "lagging") == []
    assert sequence.advance(8)


def test_a_call_returns_a_part_of_what_waited_for_long_and_the_next_ones_the_rest() -> None:
    sequence = ContiguousSequence[int](last_id=0, wait_seconds=1.0)
    last = RELEASED_AT_ONCE + 10
    for event_id in (*range(2, last + 1), last + 2):
        feed(sequence, event_id, 0.0)

    first = sequence.expire(1.0)
    assert first == [Gap(1, 1), *range(2, RELEASED_AT_ONCE + 2)]
    assert not sequence.advance(last + 1), "what waits comes first"
    assert sequence.suspected(1.0) is None
    assert sequence.release() == list(range(RELEASED_AT_ONCE + 2, last + 1))
    assert sequence.expire(1.0) == [Gap(last + 1, last + 1), last + 2]


def test_giving_up_releases_all_that_is_below() -> None:
    sequence = ContiguousSequence[int](last_id=0)
    last = 2 * RELEASED_AT_ONCE
    for event_id in (*range(2, last + 1), last + 2):
        feed(sequence, event_id, 0.0)

    given_up = sequence.give_up(last + 1, "lagging")
    assert given_up == [Gap(1, 1), *range(2, last + 1), Gap(last + 1, last + 1), last + 2]
    assert sequence.pending == 0


def on_disk(directory: Path, limit: int) -> DiskStore[int]:
    return DiskStore(
        limit, directory, lambda item: b"%d" % item, lambda data: (int(data), int(data))
    )


def test_with_a_store_of_its_own_nothing_is_given_up_for_want_of_room(tmp_path: Path) -> None:
    sequence = ContiguousSequence[int](last_id=0, pending_limit=3, store=on_disk(tmp_path, 2))

    assert [feed(sequence, event_id, 0.0) for event_id in range(2, 12)] == [[]] * 10
    assert sequence.pending == 10
    assert feed(sequence, 1, 0.1) == list(range(1, 12))


def test_what_a_full_disk_refuses_is_missing_and_may_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    sequence = ContiguousSequence[int](last_id=0, store=on_disk(tmp_path, 1))
    feed(sequence, 3, 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        assert feed(sequence, 4, 0.0) == []
        assert sequence.wants(4)
        assert sequence.pending == 1
        assert feed(sequence, 1, 0.1) == [1], "the next one needs no room"
    feed(sequence, 4, 0.2)
    assert feed(sequence, 2, 0.3) == [2, 3, 4]
    assert sequence.duplicates_total == 0


def test_an_increasing_sequence_forwards_what_is_newer() -> None:
    sequence = IncreasingSequence[int]()

    assert [feed(sequence, i, 0.0) for i in (0, 5, 5, 3, 9)] == [[0], [5], [], [], [9]]
    assert (sequence.events_total, sequence.duplicates_total, sequence.last_id) == (3, 2, 9)
    assert (sequence.pending, sequence.gaps_total, sequence.expire(9.9)) == (0, 0, [])
    assert sequence.reaches(8), "what was skipped is superseded"
    assert sequence.take(10, 10, 0.0) == [10], "also without the fast path"
    assert IncreasingSequence[int]().last_id is None
    assert IncreasingSequence[int](last_id=4).advance(4) is False


@pytest.mark.parametrize("kind", [ContiguousSequence, IncreasingSequence])
def test_a_sequence_that_goes_on_knows_what_came_before(kind):
    sequence = kind()
    sequence.start_after(41)

    assert sequence.last_id == 41
    assert sequence.take(41, "copy", 0.0) == []
    assert sequence.duplicates_total == 1
    assert sequence.advance(42)
    assert sequence.events_total == 1


def test_what_is_missing_above_the_position_is_a_gap():
    sequence = ContiguousSequence()
    sequence.start_after(41)

    assert sequence.take(44, "live", 0.0) == []
    assert sequence.expire(1.0) == [Gap(42, 43), "live"]


def test_the_first_id_is_where_the_sequence_began():
    sequence = ContiguousSequence()
    assert sequence.first_id is None
    sequence.take(7, "x", 0.0)
    assert sequence.first_id == 7


def test_after_an_interruption_the_next_one_does_not_come_the_fast_way():
    sequence = IncreasingSequence[int](last_id=4)
    assert not sequence.interrupted
    for _ in range(2):
        sequence.interrupt()
        assert (sequence.interrupted, sequence.last_id) == (True, 4)
        assert not sequence.advance(5)
    assert sequence.take(4, 4, 0.0) == [], "a copy of what came before"
    assert sequence.advance(5)
    sequence.interrupt()
    assert sequence.take(7, 7, 0.0) == [7]
    assert not sequence.interrupted
    assert IncreasingSequence[int]().interrupted, "nothing has come at all"


def test_what_is_held_above_a_gap_is_the_lowest_that_is_in_memory(tmp_path) -> None:
    store = DiskStore(2, tmp_path, lambda item: str(item).encode(), lambda data: (int(data),) * 2)
    sequence = ContiguousSequence[int](last_id=0, store=store)
    assert sequence.held_above() is None
    sequence.take(5, 5, 0.0)
    assert sequence.held_above() == 5
    sequence.take(9, 9, 0.0)
    sequence.take(3, 3, 0.0)  # goes to the disk
    assert sequence.held_above() == 5
