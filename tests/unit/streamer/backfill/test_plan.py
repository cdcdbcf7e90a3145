from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audit.ranges import IdRanges
from streamer.backfill.plan import Holding, gap_record, span, take_page
from streamer.data.events import GapRecord
from streamer.data.kinds.kline import candle_of_row
from streamer.data.kinds.trade import Trade

MINUTE_US = 60_000_000
BEGIN_US = 1_795_737_600_000_000


def trade(number: int) -> Trade:
    return Trade("trade", 1, "BTCUSDT", number, "1", "1", 1, True, "backfill")


def candle(number: int, *, is_closed: bool = True):
    begin = BEGIN_US + number * MINUTE_US
    row = (begin, "1", "1", "1", "1", "1", begin + MINUTE_US - 1, "1", 1, "1", "1", "0")
    return candle_of_row("BTCUSDT", "1m", row, 1, is_closed=is_closed)


def ranges(*found: tuple[int, int]) -> IdRanges:
    ids = IdRanges()
    for one in found:
        ids.add(*one)
    return ids


def numbers(*found: int) -> list[Trade]:
    return [trade(number) for number in found]


def test_a_page_is_taken_as_far_as_it_is_asked_for():
    step = take_page(numbers(4, 5, 6, 7), 5, 6)
    assert [one.id for one in step.events] == [5, 6]
    assert (step.empty, step.untold, step.next_id) == ([], [], 8)


def test_ids_between_two_that_the_page_tells_do_not_exist():
    step = take_page(numbers(4, 7, 10), 5, 8)
    assert [one.id for one in step.events] == [7]
    assert (step.empty, step.untold) == ([(5, 6), (8, 8)], [])


def test_ids_below_the_page_may_exist():
    step = take_page(numbers(7, 8), 5, 8)
    assert (step.empty, step.untold, step.next_id) == ([], [(5, 6)], 9)


def test_a_page_that_brings_nothing_ends_the_range():
    for page in ([], numbers(4)):
        assert take_page(page, 5, 8).untold == [(5, 8)]
        assert take_page(page, 5, 8).next_id == 9


def test_what_is_unusable_is_not_taken_for_nothing():
    step = take_page(numbers(4, 6), 5, 6, unusable=[5])
    assert ([one.id for one in step.events], step.empty, step.untold) == ([6], [], [(5, 5)])
    step = take_page(numbers(4), 5, 6, unusable=[5, 9])
    assert (step.untold, step.next_id) == ([(5, 5)], 6)


def test_candles_cover_their_time_and_an_open_one_is_left():
    first, last = span(candle(0))
    assert (first, last) == (BEGIN_US, BEGIN_US + MINUTE_US - 1)
    end = BEGIN_US + 3 * MINUTE_US - 1
    step = take_page([candle(0), candle(1), candle(2, is_closed=False)], BEGIN_US, end)
    assert len(step.events) == 2
    assert step.next_id == BEGIN_US + 2 * MINUTE_US
    step = take_page([candle(0), candle(2)], BEGIN_US, end)
    assert (step.empty, step.untold) == ([], [(BEGIN_US + MINUTE_US, BEGIN_US + 2 * MINUTE_US - 1)])


def test_a_time_that_begins_within_a_candle_misses_none():
    step = take_page([candle(1), candle(2)], BEGIN_US + 1, BEGIN_US + 3 * MINUTE_US - 1)
    assert (len(step.events), step.untold) == (2, [])
    step = take_page([candle(2)], BEGIN_US, BEGIN_US + 3 * MINUTE_US - 1)
    assert step.untold == [(BEGIN_US, BEGIN_US + 2 * MINUTE_US - 1)]


@given(st.sets(st.integers(0, 30)), st.integers(0, 30), st.integers(0, 8), st.integers(1, 5))
def test_page_by_page_everything_is_told_once_or_named(exist, first, length, limit):
    """With pages of any length: what exists is taken once, what does not is empty or untold."""
    last = first + length
    position, taken, named = first, [], IdRanges()
    while position <= last:
        asked = max(position - 1, 0)
        page = numbers(*sorted(number for number in exist if number >= asked)[: limit + 1])
        step = take_page(page, position, last)
        assert step.next_id > position
        taken += [one.id for one in step.events]
        for one in (*step.empty, *step.untold):
            assert not exist & set(range(one[0], one[1] + 1))
            named.add(*one)
        position = step.next_id
    assert taken == sorted(number for number in exist if first <= number <= last)
    assert not [n for n in range(first, last + 1) if n not in taken and n not in named]


def test_what_is_missing_of_what_is_asked_for():
    holding = Holding("trade", "BTCUSDT", present=ranges((1, 4), (9, 9)), empty=ranges((6, 6)))
    assert list(holding.missing(ranges((3, 10)))) == [(5, 5), (7, 8), (10, 10)]
    assert not holding.has(trade(5))
    holding.bring(trade(5))
    assert holding.has(trade(5))
    assert 5 in holding.brought


def test_closings_are_about_declared_ids_that_were_brought_and_are_not_closed():
    holding = Holding(
        "trade", "BTCUSDT", 7, lost=ranges((5, 9), (20, 25)), brought=ranges((3, 6), (20, 30)),
        closed=ranges((20, 22)),
    )  # fmt: skip
    told = [(one.first_id, one.last_id, one.missing, one.epoch) for one in holding.closings()]
    assert told == [(5, 6, 2, 7), (23, 25, 3, 7)]
    assert {one.reason for one in holding.closings()} == {"filled"}


def test_gap_records_of_candles_are_about_time():
    holding = Holding("kline_1m", "BTCUSDT")
    gap = gap_record(holding, "filled", (BEGIN_US, BEGIN_US + 2 * MINUTE_US - 1))
    assert (gap.first_id, gap.missing) == (None, 2)
    assert (gap.from_time, gap.to_time) == (BEGIN_US, BEGIN_US + 2 * MINUTE_US)
    assert holding.name == "kline_1m BTCUSDT"


@pytest.mark.parametrize(("epoch", "middle"), [(0, ""), (7, "7:")])
def test_a_closing_record_is_no_copy_of_the_gap_s(epoch, middle):
    from streamer.data.records import encoder
    from streamer.order.record_ids import first_record

    holding = Holding("trade", "BTCUSDT", epoch)
    filled = encoder("gap", "BTCUSDT")(gap_record(holding, "filled", (5, 9)), 1)
    empty = encoder("gap", "BTCUSDT")(gap_record(holding, "empty", (5, 9)), 1)
    declared = GapRecord(5, "BTCUSDT", "trade", "empty", 5, 9, 5, epoch=epoch)
    assert f"trade:{middle}gap:filled:5-9".encode() in filled
    assert f"trade:{middle}gap:empty:5-9".encode() in empty
    assert first_record(encoder("gap", "BTCUSDT")(declared, 1)) is not None
    for later in (filled, empty):
        assert first_record(later) is None  # so that no start takes it for a gap
