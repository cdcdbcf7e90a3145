"""Ids that start anew, on their way into the sink."""

from __future__ import annotations

import pytest

from streamer.errors import FrameRejected
from streamer.feed_counters import FeedCounters
from streamer.ingest.ingest import Ingest
from streamer.order.epochs import CONFIRMED
from streamer.order.held_back import HeldBack
from streamer.order.positions import EpochStart, Position
from streamer.order.sequences import Waiting
from streamer.routes import EARLIER_IDS_US, Routes
from tests.unit.streamer.ingest.test_ingest import Connection, Rejected, Sink
from tests.unit.streamer.payloads import AGG_TRADE, BOOK_TICKER, DEPTH, TRADE, frame

SECOND = 1_000_000


def trade(number, later_us):
    return TRADE | {"t": number, "T": TRADE["T"] + later_us, "E": TRADE["E"] + later_us}


def agg_trade(number, later_us):
    return AGG_TRADE | {"a": number, "T": AGG_TRADE["T"] + later_us, "E": TRADE["E"] + later_us}


def depth(number, later_us):
    return DEPTH | {"U": number, "u": number, "E": DEPTH["E"] + later_us}


def quote(number, later_us):
    return BOOK_TICKER | {"u": number}


STREAMS = {"trade": trade, "aggTrade": agg_trade, "depth": depth, "bookTicker": quote}


class RenewingSink(Sink):
    def __init__(self):
        super().__init__()
        self.epochs, self.starts = [], []
        self.of_an_earlier_run = {}

    def next_epochs(self):
        return self.of_an_earlier_run

    def renew(self, route, start=None):
        self.epochs.append((route.name, route.epoch))
        self.starts.append(start)


class Stage:
    def __init__(self, waiting=None):
        self.sink, self.counters = RenewingSink(), FeedCounters()
        self.routes = Routes(STREAMS, ["BTCUSDT"], waiting=waiting)
        self.ingest = Ingest(self.routes, self.sink, Rejected(), self.counters, overlap_seconds=5.0)
        self.begun = []
        self.ingest.epochs.on_begin = self.begun.append

    def hear(self, stream, *payloads):
        frames = [frame(each, f"btcusdt@{stream}") for each in payloads]
        self.ingest.take(Connection(), frames, None)

    @property
    def stored(self):
        return [
            (event.reason, event.epoch) if name.endswith("gap") else event.id
            for name, event in self.sink.put_of
        ]


@pytest.mark.parametrize(("stream", "make"), STREAMS.items())
def test_ids_that_start_anew_are_stored_after_a_record_of_it(stream, make):
    stage = Stage()
    route = stage.routes.by_name[f"btcusdt@{stream}"]
    stage.hear(stream, make(5_000_000, 0))
    new = [make(1000 + number, 2 * SECOND) for number in range(CONFIRMED + 2)]
    stage.hear(stream, *new[: CONFIRMED - 1])
    assert stage.stored == [5_000_000]

    stage.hear(stream, *new[CONFIRMED - 1 :])

    assert route.epoch > 10**9
    assert stage.stored == [5_000_000, ("new_epoch", route.epoch), *range(1000, 1000 + len(new))]
    assert stage.sink.epochs == [(route.name, route.epoch)]
    [start] = stage.sink.starts
    assert (start.epoch, start.first_id) == (route.epoch, 1000)
    assert (route.epochs_total, stage.begun) == (1, [route])
    assert (route.sequence.events_total, route.sequence.duplicates_total) == (1 + len(new), 0)
    [notice] = [each for each in stage.counters.notices if each.kind == "new_epoch"]
    assert (notice.detail["first_id"], notice.detail["after_id"]) == (1000, 5_000_000)


@pytest.mark.parametrize(("stream", "make"), STREAMS.items())
def test_copies_are_copies(stream, make):
    stage = Stage()
    numbers = range(5_000_000, 5_000_010)
    stage.hear(stream, *[make(number, number - 5_000_000) for number in numbers])
    stage.hear(stream, *[make(number, number - 5_000_000) for number in numbers])

    assert stage.stored == list(numbers)
    assert stage.routes.by_name[f"btcusdt@{stream}"].sequence.duplicates_total == 10


@pytest.mark.parametrize("offset_seconds", [None, 600.0, -600.0])
def test_after_a_restart_the_last_record_tells_whatever_the_clock_says(offset_seconds):
    stage = Stage()
    offset_us = round((offset_seconds or 0.0) * SECOND)
    stage.counters.clock_offset_seconds = offset_seconds
    stage.ingest.resume({"btcusdt@trade": Position(5_000_000, TRADE["T"] - offset_us)})

    stage.hear("trade", *[trade(number, 0) for number in range(4_999_900, 4_999_950)])
    assert stage.stored == []
    stage.hear("trade", *[trade(number, SECOND) for number in range(1000, 1000 + CONFIRMED)])

    [(reason, _), *ids] = stage.stored
    assert (reason, ids) == ("new_epoch", list(range(1000, 1000 + CONFIRMED)))


@pytest.mark.parametrize("offset_seconds", [None, -0.5])
def test_what_came_just_before_the_last_record_of_an_earlier_run_is_no_new_epoch(offset_seconds):
    """What is known of the exchange's clock may be off by half of the longest trip to it."""
    stage = Stage()
    stage.counters.clock_offset_seconds = offset_seconds
    stage.ingest.resume({"btcusdt@trade": Position(1000, TRADE["T"])})
    stage.hear("trade", *[trade(number, -1000 * (1000 - number)) for number in range(980, 1002)])
    assert stage.stored == [1001]
    assert stage.routes.by_name["btcusdt@trade"].epoch == 0


@pytest.mark.parametrize(("stream", "make"), STREAMS.items())
def test_what_was_held_of_a_stream_that_is_handed_over_begins_with_copies(stream, make):
    """By whatever clock the machine before had: its last record tells where to go on."""
    stage = Stage()
    route = stage.routes.by_name[f"btcusdt@{stream}"]
    numbers = range(980, 1004)
    held = [frame(make(each, SECOND * (each - 1000)), route.name) for each in numbers]
    route.held = HeldBack([(Connection(), each, TRADE["T"]) for each in held])
    before_us = TRADE["T"] - 3600 * SECOND
    stage.ingest.resume({route.name: Position(1000, before_us)}, [route.name])
    stage.ingest.open(route, 0.0, is_seamless=True)
    assert stage.stored == [1001, 1002, 1003]
    assert route.epoch == 0
    assert route.sequence.duplicates_total == 21


def test_a_restart_goes_on_in_its_epoch():
    stage = Stage()
    stage.ingest.resume({"btcusdt@trade": Position(1000, TRADE["T"], epoch=1_700_000_000)})
    assert stage.sink.epochs == [("btcusdt@trade", 1_700_000_000)]

    stage.hear("trade", trade(1001, SECOND))
    assert stage.stored == [1001]


@pytest.mark.parametrize(("stream", "make"), STREAMS.items())
def test_an_epoch_that_an_earlier_run_saw_begin_goes_on_from_its_first_event(stream, make):
    stage = Stage()
    route = stage.routes.by_name[f"btcusdt@{stream}"]
    start = EpochStart(1_700_000_000, 1000, TRADE["T"] + 1)
    stage.sink.of_an_earlier_run = {route.name: start}
    stage.ingest.resume({route.name: Position(5_000, TRADE["T"])})
    assert stage.stored == [("new_epoch", start.epoch)]
    record = stage.sink.put_of[0][1]
    assert (record.from_time, record.to_time) == (TRADE["T"], start.started_us)
    assert (stage.sink.epochs, stage.sink.starts) == ([(route.name, start.epoch)], [None])

    # It is far above the last id of the epoch before by now.
    stage.hear(stream, make(9_000, SECOND))
    if route.repaired is not None:
        assert (route.sequence.next_id, route.sequence.pending) == (1000, 1)
    assert route.epoch == start.epoch


def test_what_waited_above_a_gap_is_stored_and_the_gap_declared():
    stage = Stage()
    stage.hear("trade", trade(10_000, 0), trade(10_002, 1))
    stage.hear("trade", *[trade(number, SECOND) for number in range(1, 1 + CONFIRMED)])

    epoch = stage.routes.by_name["btcusdt@trade"].epoch
    assert stage.stored == [
        10_000,
        ("new_epoch", 0),
        10_002,
        ("new_epoch", epoch),
        *range(1, 1 + CONFIRMED),
    ]


def test_a_stream_that_comes_back_with_lower_ids_is_in_a_new_epoch():
    stage = Stage()
    route = stage.routes.by_name["btcusdt@trade"]
    route.left = Position(5_000_000, TRADE["T"])

    stage.hear("trade", trade(1000, SECOND), trade(1001, SECOND))

    assert stage.stored == [("new_epoch", route.epoch), 1000, 1001]
    assert route.left is None


def test_a_time_without_quotes_is_of_the_epoch_that_goes_on():
    stage = Stage()
    route = stage.routes.by_name["btcusdt@bookTicker"]
    stage.ingest.resume({route.name: Position(1000, 1, epoch=5)})
    stage.hear("bookTicker", quote(1001, 0))
    stage.ingest.coverage.lose_sight([route.name])
    stage.hear("bookTicker", quote(1002, 0))
    assert stage.stored == [("not_repaired", 5), 1001, ("not_repaired", 5), 1002]


def test_of_a_stream_that_leaves_nothing_is_left_to_a_start_that_does_not_want_it(tmp_path):
    stage = Stage(Waiting(100, tmp_path))
    stage.hear("trade", trade(10, 0), trade(14, 1), trade(16, 2))
    stage.ingest.give_up_leaving()
    assert stage.stored == [10]  # it stays, and REST is asked by the next start

    stage.routes.by_name["btcusdt@trade"].leaving = True
    stage.ingest.give_up_leaving()
    assert stage.stored == [10, ("not_repaired", 0), 14, ("not_repaired", 0), 16]


@pytest.mark.parametrize("first_id", [1000, 2_000_000])
@pytest.mark.parametrize(("stream", "make"), STREAMS.items())
def test_what_comes_late_of_the_earlier_ids_is_none_of_the_new_ones(stream, make, first_id):
    stage = Stage()
    route = stage.routes.by_name[f"btcusdt@{stream}"]
    stage.hear(stream, make(5_000_000, 0))
    new = [make(first_id + number, 2 * SECOND) for number in range(CONFIRMED + 3)]
    stage.hear(stream, *new[:CONFIRMED])

    stage.hear(stream, make(5_000_001, SECOND))  # by another connection
    stage.hear(stream, *new[CONFIRMED:])

    assert route.epochs_total == 1
    assert stage.stored[2:] == [*range(first_id, first_id + len(new))]
    assert stage.ingest._rejected.kept[0][0] == "bad_id"


def test_after_a_while_ids_may_jump_as_ever():
    route = Stage().routes.by_name["btcusdt@bookTicker"]
    now_us = 10**15
    route.begin_anew(1, 1000, 5_000_000, now_us)
    route.sequence.start_after(1010)
    payload = frame(quote(4_000_000, 0), route.name)
    with pytest.raises(FrameRejected):
        route.decode(payload, now_us + EARLIER_IDS_US - 1)
    assert route.decode(payload, now_us + EARLIER_IDS_US).id == 4_000_000
