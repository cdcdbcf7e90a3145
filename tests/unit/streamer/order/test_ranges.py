from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streamer.order.ranges import RangeSequence
from streamer.order.sequence import Gap

Range = tuple[int, int]


def make(**settings: Any) -> RangeSequence[Range]:
    return RangeSequence(lambda item: item[1], **settings)


def feed(sequence: RangeSequence[Range], first: int, last: int, now: float = 0.0) -> list[Any]:
    """Do as the feed does: the fast path first."""
    assert not sequence.advance(first)
    return sequence.take(first, (first, last), now)


def test_what_follows_goes_on_and_copies_do_not() -> None:
    sequence = make()

    assert feed(sequence, 5, 9) == [(5, 9)]
    assert feed(sequence, 10, 10) == [(10, 10)]
    assert feed(sequence, 5, 9) == feed(sequence, 10, 10) == []
    assert (sequence.events_total, sequence.duplicates_total, sequence.last_id) == (2, 2, 10)


def test_an_event_that_begins_in_what_is_known_brings_the_rest() -> None:
    sequence = make()
    feed(sequence, 5, 9)

    assert feed(sequence, 8, 12) == [(8, 12)]
    assert sequence.last_id == 12


def test_what_comes_after_a_jump_waits_for_the_other_connection() -> None:
    sequence = make()
    feed(sequence, 1, 3)

    assert feed(sequence, 8, 9) == feed(sequence, 6, 7) == feed(sequence, 8, 9) == []
    assert (sequence.pending, sequence.duplicates_total) == (2, 1)
    assert sequence.expire(0.9) == []
    assert feed(sequence, 4, 5, 0.9) == [(4, 5), (6, 7), (8, 9)]
    assert (sequence.pending, sequence.gaps_total, sequence.last_id) == (0, 0, 9)


def test_a_gap_is_declared_after_the_wait_and_what_comes_late_is_a_copy() -> None:
    sequence = make(wait_seconds=1.0)
    feed(sequence, 1, 3)
    feed(sequence, 8, 9, 0.0)
    feed(sequence, 12, 12, 0.5)

    assert sequence.expire(1.0) == [Gap(4, 7), (8, 9)]
    assert sequence.expire(1.4) == []
    assert sequence.expire(1.5) == [Gap(10, 11), (12, 12)]
    assert (sequence.gaps_total, sequence.missing_total, sequence.events_total) == (2, 6, 3)
    assert feed(sequence, 4, 7, 2.0) == []


def test_a_resumed_sequence_goes_on_after_its_last_id() -> None:
    sequence = make()
    sequence.start_after(7)

    assert feed(sequence, 6, 7) == feed(sequence, 9, 9) == []
    assert sequence.expire(1.0) == [Gap(8, 8), (9, 9)]


def test_waiting_is_bounded_in_number() -> None:
    sequence = make(pending_limit=2)
    feed(sequence, 1, 1)

    assert feed(sequence, 3, 3) == feed(sequence, 4, 4) == []
    [gap, *rest] = feed(sequence, 6, 6)
    assert (gap, gap.reason) == (Gap(2, 2), "no_room")
    assert rest == [(3, 3), (4, 4)]
    assert sequence.pending == 1


def test_it_reaches_what_is_forwarded_or_declared() -> None:
    sequence = make()
    assert not sequence.reaches(0)
    feed(sequence, 1, 3)
    feed(sequence, 8, 9)
    assert sequence.reaches(3)
    assert not sequence.reaches(7)
    sequence.expire(1.0)
    assert sequence.reaches(7)
    assert sequence.reaches(9)


@given(
    cuts=st.lists(st.lists(st.integers(1, 59), unique=True), min_size=1, max_size=3),
    lost=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 59))),
    order=st.randoms(use_true_random=False),
    width=st.integers(1, 40),
)
def test_whatever_comes_the_order_is_complete(
    cuts: list[list[int]], lost: set[tuple[int, int]], order: Any, width: int
) -> None:
    """Connections that cut the same 60 ids differently, lose some events, and race."""
    arrivals = []
    for connection, inner in enumerate(cuts):
        edges = [0, *sorted(inner), 60]
        ranges = [(first, last - 1) for first, last in itertools.pairwise(edges)]
        arrivals += [each for each in ranges if (connection, each[0]) not in lost]
    arrivals.sort(key=lambda each: each[0] + order.random() * width)
    sequence, forwarded, now = make(last_id=-1, pending_limit=20), list[Any](), 0.0
    for first, last in arrivals:
        now += order.choice([0.0, 0.01, 0.4])
        forwarded += feed(sequence, first, last, now)
        assert sequence.pending <= 20
        if order.random() < 0.3:
            forwarded += sequence.expire(now)
    forwarded += sequence.expire(now + 1.0)

    reached = -1
    for each in forwarded:
        first, last = (each.first_id, each.last_id) if isinstance(each, Gap) else each
        assert first == reached + 1 if isinstance(each, Gap) else first <= reached + 1
        assert last > reached, "strictly increasing"
        reached = last
    assert reached == max((last for _, last in arrivals), default=-1)
    gaps = [each for each in forwarded if isinstance(each, Gap)]
    assert sequence.missing_total == sum(gap.missing for gap in gaps)
    assert sequence.gaps_total == len(gaps)
    assert sequence.events_total == len(forwarded) - len(gaps)
    assert sequence.events_total + sequence.duplicates_total == len(arrivals)
    assert sequence.pending == 0
    for gap in gaps:  # what is declared was in no event, unless that came too late
        assert gap.reason in ("not_repaired", "no_room")
