from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.order.candles import CandleGap, CandleSequence, Mark
from streamer.order.sequence import EMPTY, Gap

S = 1_000_000
"""A candle of the interval 1s, in microseconds: candle n opens at n·S."""
Update = tuple[int, int, bool]
"""A candle's number, when the update was made after its opening, and whether it is the last."""
END = S + 7


def mark(item: Update) -> Mark:
    number, after, is_closed = item
    return Mark(number * S, (number + 1) * S, number * S + after, is_closed)


def make(**settings: Any) -> CandleSequence[Update]:
    return CandleSequence(mark, "1s", **settings)


def feed(sequence: Any, number: int, after: int = END, now: float = 0.0) -> list[Any]:
    """Do as the feed does; `END` closes the candle."""
    assert not sequence.advance(number * S)
    return sequence.take(number * S, (number, after, after == END), now)


def gap(first: int, last: int) -> Gap:
    return CandleGap(first * S, (last + 1) * S - 1, "", last - first + 1)


def test_updates_and_closings_go_on_and_copies_do_not() -> None:
    sequence = make()

    assert feed(sequence, 5, 10) == [(5, 10, False)]
    assert feed(sequence, 5, 30) == [(5, 30, False)]
    assert feed(sequence, 5, 10) == feed(sequence, 5, 30) == feed(sequence, 5, 20) == []
    assert feed(sequence, 5) == [(5, END, True)]
    assert feed(sequence, 5) == feed(sequence, 5, 40) == feed(sequence, 4) == []
    assert feed(sequence, 6, 10) == [(6, 10, False)]
    assert (sequence.events_total, sequence.duplicates_total) == (4, 6)
    assert (sequence.last_id, sequence.next_id) == (6 * S + 10, 6 * S)


def test_a_candle_closes_whatever_the_time_of_its_last_update() -> None:
    sequence = make()
    feed(sequence, 5, END + 3)

    assert feed(sequence, 5) == [(5, END, True)]


def test_what_comes_after_a_missing_closing_waits_for_it() -> None:
    sequence = make()
    feed(sequence, 1, 10)

    assert feed(sequence, 2, 10) == feed(sequence, 2, 20) == feed(sequence, 2, 10) == []
    assert feed(sequence, 2) == feed(sequence, 3, 5) == feed(sequence, 2) == []
    assert (sequence.pending, sequence.duplicates_total) == (4, 2)
    assert feed(sequence, 1) == [
        (1, END, True),
        (2, 10, False),
        (2, 20, False),
        (2, END, True),
        (3, 5, False),
    ]
    assert (sequence.pending, sequence.gaps_total) == (0, 0)


def test_a_gap_is_declared_after_the_wait() -> None:
    sequence = make(wait_seconds=1.0)
    feed(sequence, 1)
    feed(sequence, 4, 10)
    feed(sequence, 6, 10, 0.5)

    assert sequence.expire(0.9) == []
    [declared, *rest] = sequence.expire(1.0)
    assert (declared, declared.missing, declared.reason) == (gap(2, 3), 2, "not_repaired")
    assert rest == [(4, 10, False)]
    assert sequence.expire(1.4) == []
    assert sequence.expire(1.5) == [gap(4, 5), (6, 10, False)]
    assert (sequence.gaps_total, sequence.missing_total) == (2, 4)
    assert feed(sequence, 2) == feed(sequence, 4) == []


def test_a_gap_is_suspected_when_the_others_had_time_and_told_since_when() -> None:
    sequence = make(wait_seconds=1.0)
    assert sequence.suspected(9.0) is None
    assert not sequence.wants(1 * S)
    feed(sequence, 1)
    feed(sequence, 4, 10, 0.5)
    feed(sequence, 7, now=0.9)

    assert sequence.suspected(1.4) is None
    assert sequence.suspected(1.5) == (gap(2, 3), 0.5)
    assert [sequence.wants(number * S) for number in (1, 2, 4, 7)] == [False, True, True, False]
    assert feed(sequence, 2) == [(2, END, True)]
    assert sequence.suspected(1.6) == (gap(3, 3), 0.5)
    assert feed(sequence, 3) == [(3, END, True), (4, 10, False)]
    assert sequence.suspected(1.8) is None, "the next one has not waited long enough"
    assert sequence.suspected(1.9) == (gap(4, 6), 0.9)
    assert sequence.release() == []


def test_what_is_given_up_is_declared_in_its_place_and_empty_candles_are_no_loss() -> None:
    sequence = make()
    assert sequence.give_up(9, EMPTY) == []
    feed(sequence, 1)
    feed(sequence, 4)
    feed(sequence, 7)

    assert sequence.give_up(3 * S - 1, EMPTY) == [gap(2, 2)]
    assert (sequence.empty_total, sequence.missing_total, sequence.gaps_total) == (1, 0, 0)
    assert sequence.give_up(7 * S - 1, "lagging") == [
        gap(3, 3),
        (4, END, True),
        gap(5, 6),
        (7, END, True),
    ]
    assert (sequence.empty_total, sequence.missing_total, sequence.gaps_total) == (1, 3, 2)
    assert sequence.give_up(9 * S - 1, "lagging") == [gap(8, 8)]


def test_waiting_is_bounded_in_number() -> None:
    sequence = make(pending_limit=2)
    feed(sequence, 1)
    feed(sequence, 3, 1)
    feed(sequence, 3, 2)

    [declared, *rest] = feed(sequence, 5, 3)
    assert (declared, declared.reason) == (gap(2, 2), "no_room")
    assert rest == [(3, 1, False), (3, 2, False)]


def test_a_candle_that_begins_inside_another_is_passed_over() -> None:
    sequence = make(wait_seconds=1.0)
    feed(sequence, 1)
    feed(sequence, 3)
    sequence.take(int(3.5 * S), (3.5, END, True), 0.0)  # type: ignore[arg-type]

    assert sequence.expire(1.0) == [gap(2, 2), (3, END, True)]
    assert (sequence.pending, sequence.duplicates_total) == (0, 1)


@pytest.mark.parametrize(("last_event", "open_candle"), [(5 * S + 10, 5), (5 * S + END, 6)])
def test_a_resumed_sequence_goes_on_with_the_candle_that_was_open(last_event, open_candle) -> None:
    sequence = make()
    sequence.start_after(last_event)
    assert sequence.last_id == last_event
    assert not sequence.reaches(S)
    feed(sequence, 8, 10)

    assert sequence.suspected(1.0) == (gap(open_candle, 7), 0.0)
    assert feed(sequence, 5, 10) == [], "it is in the sink"
    for number in range(open_candle, 7):
        assert feed(sequence, number) == [(number, END, True)]
    assert feed(sequence, 7) == [(7, END, True), (8, 10, False)]


def test_it_reaches_what_is_forwarded_or_held_or_long_missed() -> None:
    sequence = make(wait_seconds=1.0)
    assert not sequence.reaches(0)
    feed(sequence, 1)
    feed(sequence, 2, 10)
    assert sequence.reaches(2 * S - 1)
    assert not sequence.reaches(3 * S - 1), "it is still open"
    feed(sequence, 4)
    feed(sequence, 5, 10)
    feed(sequence, 7, 10)
    assert not sequence.reaches(4 * S - 1)
    sequence.suspected(1.0)
    assert sequence.reaches(7 * S - 1)
    assert not sequence.reaches(8 * S - 1)
    feed(sequence, 8, 10, 2.0)
    assert not sequence.reaches(8 * S - 1)


@given(
    lost=st.sets(
        st.tuples(st.integers(0, 1), st.integers(0, 12), st.sampled_from([100, 200, END]))
    ),
    order=st.randoms(use_true_random=False),
    width=st.floats(0.1, 6),
    connections=st.integers(1, 2),
)
def test_whatever_comes_the_order_is_complete(
    lost: set[tuple[int, int, int]], order: Any, width: float, connections: int
) -> None:
    """Two connections that lose some updates and closings, and race."""
    arrivals = [
        (number, after)
        for connection in range(connections)
        for number in range(13)
        for after in (100, 200, END)
        if (connection, number, after) not in lost
    ]
    arrivals.sort(key=lambda each: each[0] + order.random() * width)
    sequence, forwarded, now = make(last_id=0, pending_limit=15), list[Any](), 0.0
    for number, after in arrivals:
        now += order.choice([0.0, 0.01, 0.4])
        forwarded += feed(sequence, number, after, now)
        assert sequence.pending <= 15
        if order.random() < 0.3:
            forwarded += sequence.expire(now)
    forwarded += sequence.expire(now + 1.0)

    open_candle, latest, missing = 0, -1, 0
    for each in forwarded:
        if isinstance(each, CandleGap):
            assert each.first_id == open_candle * S, "the lowest one"
            open_candle, latest = (each.last_id + 1) // S, -1
            missing += each.missing
            assert each.missing * S == each.last_id + 1 - each.first_id
        else:
            number, after, is_closed = each
            assert number == open_candle, "closed, declared, or this one"
            assert after > latest
            open_candle, latest = (number + 1, -1) if is_closed else (number, after)
    assert open_candle >= max((number for number, _ in arrivals), default=0)
    assert (sequence.missing_total, sequence.pending) == (missing, 0)
    gaps = sum(isinstance(each, Gap) for each in forwarded)
    assert sequence.gaps_total == gaps
    assert sequence.events_total == len(forwarded) - gaps
    assert sequence.events_total + sequence.duplicates_total == len(arrivals)
