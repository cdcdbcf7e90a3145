"""Ids that start anew, and ids that only come late."""

from __future__ import annotations

import pytest

from streamer.data.candle import Candle
from streamer.data.events import GapRecord
from streamer.data.kinds.kline import Kline
from streamer.data.kinds.trade import Trade
from streamer.data.records import encoder, load_schema
from streamer.order.candles import CandleSequence, Mark
from streamer.order.epochs import CONFIRMED, LATER_US, EpochWatch
from streamer.order.positions import DeclaredGap, Position, beyond_gaps, furthest
from streamer.order.ranges import RangeSequence
from streamer.order.record_ids import first_record, gaps_among, last_of, position_of
from streamer.order.sequence import ContiguousSequence, Gap, IncreasingSequence
from streamer.order.tails import Tail

LAST_ID, LAST_US = 5_000_000_000, 10**15


def take(watch, event_id, time_us, forwarded=0, last_us=LAST_US):
    return watch.take(
        event_id,
        time_us,
        event_id,
        last_id=LAST_ID,
        last_us=last_us,
        later_us=LATER_US,
        forwarded=forwarded,
    )


@pytest.mark.parametrize("time_us", [LAST_US + LATER_US + 1, None])
def test_some_in_a_row_begin_an_epoch(time_us):
    watch = EpochWatch[int]()
    for number in range(1000, 1000 + CONFIRMED - 1):
        assert take(watch, number, time_us) == []
        assert take(watch, number, time_us) == []  # by another connection
        assert (watch.waiting(number), watch.waiting(number + 1)) == (number, None)
    last = 1000 + CONFIRMED - 1
    assert take(watch, last, time_us) == list(range(1000, last + 1))
    assert take(watch, last + 1, time_us) == []


@pytest.mark.parametrize(
    ("event_id", "time_us"),
    [(1000, LAST_US + LATER_US), (LAST_ID - 1, LAST_US - 5), (LAST_ID - 1, None)],
)
def test_what_is_no_later_is_a_copy(event_id, time_us):
    watch = EpochWatch[int]()
    for _ in range(2 * CONFIRMED):
        assert take(watch, event_id, time_us) is None


def test_ids_that_go_on_in_between_show_a_mistake():
    watch = EpochWatch[int]()
    for forwarded in range(10):
        assert take(watch, 1000 + forwarded, LAST_US + 2 * LATER_US, forwarded) == []


def test_without_a_time_to_compare_with_only_what_is_far_below_is_new():
    watch = EpochWatch[int]()
    assert take(watch, LAST_ID // 2, LAST_US, last_us=None) is None
    assert take(watch, LAST_ID // 2 - 1, LAST_US, last_us=None) == []


def test_a_contiguous_sequence_starts_anew_and_tells_what_waited():
    sequence = ContiguousSequence[int]()
    for event_id in (10, 11, 15, 17):
        sequence.take(event_id, event_id, 0.0)
    counted = sequence.events_total

    released = sequence.start_anew("new_epoch")

    assert released == [Gap(12, 14), 15, Gap(16, 16), 17]
    assert {gap.reason for gap in released if isinstance(gap, Gap)} == {"new_epoch"}
    assert (counted, sequence.events_total, sequence.missing_total) == (2, 4, 4)
    assert sequence.last_id is None
    assert sequence.take(3, 3, 0.0) == [3]
    assert sequence.advance(4)
    assert sequence.events_total == 6
    assert sequence.start_anew("new_epoch") == []
    assert sequence.events_total == 6


def test_a_sequence_that_has_not_begun_may_start_anew():
    sequence = ContiguousSequence[int]()
    assert sequence.start_anew("new_epoch") == []
    assert sequence.take(3, 3, 0.0) == [3]
    assert sequence.events_total == 1


def test_the_next_id_right_above_a_gap_starts_anew_too():
    sequence = ContiguousSequence[int]()
    for event_id in (10, 20_000, *range(12, 20_000), 11):
        sequence.take(event_id, event_id, 0.0)
    assert sequence.pending  # more than one call releases

    assert sequence.start_anew("new_epoch")[-1] == 20_000
    assert sequence.missing_total == 0


def test_ranges_start_anew():
    sequence = RangeSequence[tuple[int, int]](lambda item: item[1])
    for item in ((10, 12), (15, 16)):
        sequence.take(item[0], item, 0.0)

    assert sequence.start_anew("new_epoch") == [Gap(13, 14), (15, 16)]
    assert sequence.last_id is None
    assert sequence.take(1, (1, 2), 0.0) == [(1, 2)]


def test_jumping_ids_start_anew():
    sequence = IncreasingSequence[int]()
    sequence.take(10, 10, 0.0)
    assert sequence.start_anew("new_epoch") == []
    assert sequence.last_id is None
    assert sequence.take(3, 3, 0.0) == [3]


def test_positions_of_a_later_epoch_are_further_whatever_their_ids():
    old, new = Position(5_000_000_000, 1), Position(1000, 2, epoch=1_700_000_000)
    assert furthest({"a": old}, {"a": new}) == furthest({"a": new}, {"a": old}) == {"a": new}


def test_gaps_move_positions_of_their_own_epoch_alone():
    position = Position(9, 1, epoch=7)
    assert beyond_gaps({"a": position}, [DeclaredGap("a", 10, 12, 5)]) == {"a": position}
    moved = beyond_gaps({"a": position}, [DeclaredGap("a", 10, 12, 5, epoch=7)])
    assert moved == {"a": Position(12, 5, epoch=7)}


def test_a_tail_goes_on_in_the_later_epoch():
    tail = Tail("btcusdt@trade", Position(5_000_000_000, 1))
    tail.take(5_000_000_002, 2)  # above a hole that nobody can tell of any more
    for number in (1000, 1001, 1000, 1004):
        tail.take(number, 3, epoch=7)
    tail.take(5_000_000_003, 4)  # a killed producer's late one

    assert tail.position([]) == Position(1001, 3, epoch=7)
    assert tail.position([DeclaredGap("btcusdt@trade", 1002, 1003, 5)]) == Position(1001, 3, 7)
    gap = DeclaredGap("btcusdt@trade", 1002, 1003, 5, epoch=7)
    assert tail.position([gap]) == Position(1004, 3, epoch=7)


def test_a_tail_begins_in_the_epoch_of_its_position():
    tail = Tail("btcusdt@trade", Position(1000, 1, epoch=7))
    tail.take(1001, 2, epoch=7)
    assert tail.position([]) == Position(1001, 2, epoch=7)
    assert Tail("btcusdt@trade", None).position([DeclaredGap("btcusdt@trade", 1, 2, 3)]) is None


@pytest.mark.parametrize("epoch", [0, 1_700_000_000])
def test_record_ids_tell_the_epoch(epoch):
    trade = Trade("trade", 5, "BTCUSDT", 12, "1", "2", 5, True)
    data = encoder("trade", "BTCUSDT", epoch=epoch)(trade, 9)
    for found in (last_of(data, "btcusdt@trade"), first_record(data)):
        assert found is not None
        assert (found.epoch, found.number) == (epoch, 12)
        assert position_of(found, data, load_schema("trade"), 0) == Position(12, 9, epoch)
    gap = GapRecord(5, "BTCUSDT", "trade", "refused", first_id=5, last_id=9, missing=5, epoch=epoch)
    data = encoder("gap", "BTCUSDT")(gap, 7)
    assert gaps_among(data, load_schema("gap")) == [DeclaredGap("btcusdt@trade", 5, 9, 7, epoch)]


def test_the_open_time_of_a_candle_is_no_epoch():
    candle = Candle(60_000_000, 119_999_999, "BTCUSDT", "1m", 1, 3, "1", "2", "3", "0.5", "9", 3,
                    True, "9", "4", "4")  # fmt: skip
    data = encoder("kline_1m", "BTCUSDT")(Kline("kline", 120_000_000, "BTCUSDT", candle), 9)
    found = first_record(data)
    assert found is not None
    assert (found.epoch, found.number) == (0, 120_000_000)


def test_candles_do_not_start_anew():
    assert CandleSequence[int](lambda _: Mark(0, 1, 2, True), "1m").start_anew("new_epoch") == []


def test_what_waits_above_a_gap_can_be_looked_at():
    sequence = ContiguousSequence[str](wait_seconds=1.0)
    sequence.take(1, "first", 0.0)
    sequence.take(5, "above", 0.0)
    assert (sequence.waiting(5), sequence.waiting(1), sequence.waiting(6)) == ("above", None, None)
