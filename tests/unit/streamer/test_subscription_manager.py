"""Who joins and who leaves, with a feed whose parts only remember. Time is the test's."""

from __future__ import annotations

import pytest

from streamer.errors import SinkNotReady, SinkUnavailable
from streamer.feed_counters import FeedCounters
from streamer.ingest.ingest import Ingest
from streamer.messages import SinkCounts
from streamer.order.positions import Position
from streamer.removed_streams import FILE, RemovedStreams
from streamer.report import IdleClock
from streamer.routes import Routes
from streamer.subscription_manager import NAMES_TOLD, Change, SubscriptionManager, listed
from tests.unit.streamer.payloads import DEPTH, KLINE, NOW_US, PAYLOADS, frame, of_symbol, trade

OVERLAP = 5.0
MINUTE = 60_000_000  # microseconds
BOOK, CANDLE = DEPTH["U"], KLINE["k"]["t"]  # the ids of what comes


class Sink:
    def __init__(self):
        self.routes, self.records, self.refuses = [], [], ()
        self.not_ready, self.awaited = (), []
        self.stored = {}
        self.queued = 0
        self.flushes = True

    def add(self, route):
        if route.symbol in self.refuses:
            raise SinkUnavailable("no topic")
        if route.symbol in self.not_ready:
            self.awaited.append(route.symbol)
            raise SinkNotReady("no topic yet", lambda: not self.not_ready)
        self.routes.append(route)

    def remove(self, route):
        self.routes.remove(route)

    def renew(self, route):
        assert route in self.routes

    def next_epochs(self):
        return {}

    def positions(self):
        return self.stored

    def put(self, route, event, received_us):
        self.records.append((route.name, event))

    def flush(self, within_seconds):
        if self.flushes:
            self.queued = 0
        return self.queued

    def counts(self):
        taken = len(self.records)
        return SinkCounts("files", accepted_total=taken, acknowledged_total=taken - self.queued)


class ConnectionManager:
    def __init__(self):
        self.slots = self
        self.changes, self.pending, self.forgotten = [], set(), []

    def change(self, added, removed, now):
        self.changes.append((tuple(added), tuple(removed)))
        self.pending |= set(added)

    def holds(self, name):
        return name in self.pending

    def forget(self, name):
        self.forgotten.append(name)


class Backfiller:
    def __init__(self):
        self.open, self.forgotten, self.begun = set(), [], []

    def begin(self, route):
        self.begun.append(route.name)

    def repairing(self, route):
        return route.name in self.open

    def forget(self, route):
        self.forgotten.append(route.name)


class Connection:
    connection_id = 1

    def take_binary(self):
        return []


class Stage:
    def __init__(self, directory=None, symbols=("BTCUSDT", "ETHUSDT"), **more):
        self.sink, self.connection_manager, self.counters, self.backfiller = (
            Sink(),
            ConnectionManager(),
            FeedCounters(),
            Backfiller(),
        )
        self.routes = Routes(["trade"], symbols)
        for route in (*self.routes, *self.routes.gaps.values()):
            self.sink.add(route)
        self.connection_manager.pending = set(self.routes.by_name)
        self.ingest = Ingest(self.routes, self.sink, None, self.counters, overlap_seconds=OVERLAP)
        self.silence = IdleClock(self.routes, 0.0)
        self.subscription_manager = SubscriptionManager(
            self.ingest,
            self.connection_manager,
            self.sink,
            self.counters,
            self.silence,
            self.backfiller,
            removed_streams=RemovedStreams(directory),
            overlap_seconds=OVERLAP,
            **more,
        )

    def want(self, *symbols, now=0.0):
        return self.subscription_manager.change(["trade"], symbols, now)

    def leave(self, name):
        """Have the exchange agree, and the overlap pass."""
        self.connection_manager.pending.discard(name)
        self.subscription_manager.turn(100.0)
        self.subscription_manager.turn(100.0 + OVERLAP)

    def hear(self, name, event_id):
        self.take(name, {"t": event_id})

    def take(self, name, changes):
        route = self.routes.by_name[name]
        payload = of_symbol(PAYLOADS[route.stream], route.symbol) | changes
        self.ingest.take(Connection(), [frame(payload, name)], None)


@pytest.fixture
def stage():
    return Stage()


def test_joining_and_leaving_reach_every_part(stage):
    change = stage.want("BTCUSDT", "BNBUSDT")
    assert change == Change(("bnbusdt@trade",), ("ethusdt@trade",))
    assert stage.connection_manager.changes == [(("bnbusdt@trade",), ("ethusdt@trade",))]
    assert stage.counters.notices[-1].detail == {
        "added": "bnbusdt@trade",
        "removed": "ethusdt@trade",
    }
    assert "BNBUSDT" in stage.routes.gaps
    assert stage.routes.by_name["ethusdt@trade"].leaving
    assert str(change) == "added bnbusdt@trade; removed ethusdt@trade"


def test_what_is_as_it_was_is_no_change(stage):
    assert str(stage.want("ETHUSDT", "BTCUSDT", "BTCUSDT")) == "nothing to change"
    assert stage.connection_manager.changes == []
    assert not stage.counters.notices


def test_it_is_known_until_the_exchange_has_agreed_and_an_overlap_has_passed(stage):
    stage.want("BTCUSDT")
    stage.subscription_manager.turn(100.0)
    stage.connection_manager.pending.discard("ethusdt@trade")
    stage.subscription_manager.turn(101.0)
    stage.connection_manager.pending.add("ethusdt@trade")  # a connection that was opened meanwhile
    stage.subscription_manager.turn(104.0)
    stage.connection_manager.pending.discard("ethusdt@trade")
    stage.subscription_manager.turn(105.0)
    stage.subscription_manager.turn(104.9 + OVERLAP)
    assert "ethusdt@trade" in stage.routes.by_name
    stage.subscription_manager.turn(105.0 + OVERLAP)
    assert "ethusdt@trade" not in stage.routes.by_name
    assert stage.routes.find(trade(s="ETHUSDT").replace(b"btcusdt", b"ethusdt")) is None
    assert stage.connection_manager.forgotten == stage.backfiller.forgotten == ["ethusdt@trade"]
    assert "ethusdt@trade" not in [route.name for route in stage.sink.routes]


@pytest.mark.parametrize("is_back", [False, True])
def test_one_that_goes_to_another_machine_while_it_leaves_is_gone(stage, is_back):
    stage.hear("ethusdt@trade", 1)
    stage.want("BTCUSDT")
    stage.connection_manager.pending.discard("ethusdt@trade")
    stage.subscription_manager.turn(100.0)
    gone = stage.routes.by_name["ethusdt@trade"]
    stage.routes.remove(gone)  # as does a group that gives its shard to another member
    stage.sink.remove(gone)
    if is_back:
        stage.want("BTCUSDT", "ETHUSDT")
        stage.connection_manager.pending.discard("ethusdt@trade")
    stage.subscription_manager.turn(100.0 + OVERLAP)
    assert ("ethusdt@trade" in stage.routes.by_name) is is_back
    assert stage.connection_manager.forgotten == []
    assert not stage.subscription_manager._free_at
    assert not stage.subscription_manager._accepted


def test_it_stays_while_a_gap_of_it_is_open(stage):
    stage.hear("ethusdt@trade", 1)
    stage.hear("ethusdt@trade", 5)
    stage.want("BTCUSDT")
    stage.leave("ethusdt@trade")
    assert "ethusdt@trade" in stage.routes.by_name
    for number in (2, 3, 4):
        stage.hear("ethusdt@trade", number)
    stage.backfiller.open.add("ethusdt@trade")
    stage.leave("ethusdt@trade")
    assert "ethusdt@trade" in stage.routes.by_name
    stage.backfiller.open.clear()
    stage.leave("ethusdt@trade")
    assert "ethusdt@trade" not in stage.routes.by_name
    assert [event.id for _, event in stage.sink.records] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("flushes", "end"), [(True, 1), (False, None)])
def test_where_it_ends_is_noted_only_when_the_sink_has_taken_that(tmp_path, flushes, end):
    stage = Stage(tmp_path)
    stage.hear("ethusdt@trade", 1)
    stage.sink.queued, stage.sink.flushes = 1, flushes  # the broker may be away
    stage.want("BTCUSDT")
    assert stage.sink.queued == (not flushes)
    noted = RemovedStreams(tmp_path).take("ethusdt@trade")  # as after a kill
    assert (noted and noted.last_id) == end


def test_it_stays_until_the_sink_has_acknowledged_it(stage):
    stage.hear("ethusdt@trade", 1)
    stage.sink.queued, stage.sink.flushes = 1, False
    stage.want("BTCUSDT")
    stage.leave("ethusdt@trade")
    assert "ethusdt@trade" in stage.routes.by_name
    stage.hear("btcusdt@trade", 1)  # the queue is never empty
    stage.subscription_manager.turn(200.0)
    assert "ethusdt@trade" not in stage.routes.by_name


def test_one_that_is_wanted_again_before_it_is_gone_goes_on(stage):
    route = stage.routes.by_name["ethusdt@trade"]
    stage.want("BTCUSDT")
    assert stage.want("BTCUSDT", "ETHUSDT").added == ("ethusdt@trade",)
    stage.leave("ethusdt@trade")
    assert stage.routes.by_name["ethusdt@trade"] is route
    assert not route.leaving


def test_one_that_comes_back_begins_anew_and_what_nobody_wanted_is_on_record(stage):
    stage.hear("ethusdt@trade", 1)
    stage.want("BTCUSDT")
    stage.leave("ethusdt@trade")
    stage.want("BTCUSDT", "ETHUSDT")
    stage.subscription_manager.turn(200.0)
    assert len(stage.sink.records) == 1  # nothing of it has come
    stage.hear("ethusdt@trade", 9)
    stage.hear("ethusdt@trade", 10)
    [_, (name, gap), (_, first), (_, second)] = stage.sink.records  # the gap before what follows
    assert name == "ethusdt@gap"
    assert (gap.first_id, gap.last_id, gap.reason) == (2, 8, "not_wanted")
    assert (first.id, second.id) == (9, 10)
    assert stage.routes.by_name["ethusdt@trade"].sequence.missing_total == 0


@pytest.mark.parametrize("is_killed", [False, True])
def test_one_that_was_not_listed_for_a_while_goes_on_after_its_last_record(tmp_path, is_killed):
    stage = Stage(tmp_path)
    stage.hear("ethusdt@trade", 1)
    stage.want("BTCUSDT")
    stage.leave("ethusdt@trade")
    stage.subscription_manager.change(["trade"], ["BTCUSDT", "ETHUSDT"], 0.0, go_on=True)
    route = stage.routes.by_name["ethusdt@trade"]
    assert route.sequence.last_id == 1
    assert route.left is None
    stage.hear("ethusdt@trade", 9)
    assert route.sequence.pending == 1  # above an open gap, which is repaired or declared lost
    if is_killed:  # the next start goes on after the same record
        again = RemovedStreams(tmp_path, stage.routes.by_name)
        again.take_stored({"ethusdt@trade": Position(1, NOW_US)}, shared=False)
        assert not again.returning


def test_one_that_comes_and_goes_without_a_word_is_remembered(stage):
    stage.hear("ethusdt@trade", 1)
    for _ in range(2):
        stage.want("BTCUSDT")
        stage.leave("ethusdt@trade")
        stage.want("BTCUSDT", "ETHUSDT")
    stage.hear("ethusdt@trade", 2)  # nothing was traded meanwhile
    stage.subscription_manager.turn(300.0)
    assert [event.id for _, event in stage.sink.records] == [1, 2]


def test_what_nobody_wanted_is_of_the_epoch_in_which_it_left(tmp_path):
    before = Stage(tmp_path)
    before.hear("ethusdt@trade", 1)
    before.routes.by_name["ethusdt@trade"].epoch = 1_795_784_389
    before.want("BTCUSDT")
    before.leave("ethusdt@trade")
    stage = Stage(tmp_path, ["BTCUSDT"])
    stage.want("BTCUSDT", "ETHUSDT")
    stage.hear("ethusdt@trade", 9)
    [(_, gap), _] = stage.sink.records
    assert (gap.first_id, gap.last_id, gap.reason) == (2, 8, "not_wanted")
    assert gap.epoch == 1_795_784_389


@pytest.mark.parametrize("gone", [True, False])
def test_what_nobody_wanted_is_on_record_even_when_the_process_ended_in_between(tmp_path, gone):
    before = Stage(tmp_path)
    before.hear("ethusdt@trade", 1)
    before.want("BTCUSDT")
    if gone:
        before.hear("ethusdt@trade", 2)
        before.leave("ethusdt@trade")
    stage = Stage(tmp_path, ["BTCUSDT"])
    stage.want("BTCUSDT", "ETHUSDT")
    stage.hear("ethusdt@trade", 9)
    [(_, gap), _] = stage.sink.records
    assert (gap.first_id, gap.last_id, gap.reason) == (3 if gone else 2, 8, "not_wanted")


@pytest.mark.parametrize(("shared", "of_others"), [(False, 4), (True, None)])
def test_of_what_the_sink_knows_and_what_was_noted_the_higher_one_is_right(
    tmp_path, shared, of_others
):
    def ends(stored, *wanted):
        removed_streams = RemovedStreams(tmp_path, wanted)
        removed_streams.take_stored(stored, shared=shared)
        names = ("lower@trade", "higher@trade", "left@trade", "wanted@trade", "others@trade")
        taken = [removed_streams.take(name) for name in names]
        return [end and end.last_id for end in taken]

    noted = {"lower": 5, "higher": 5, "left": 6}
    stored = {"lower": 3, "higher": 7, "wanted": 8, "others": 4}
    noted, stored = (
        {f"{name}@trade": Position(last_id, 0) for name, last_id in each.items()}
        for each in (noted, stored)
    )
    RemovedStreams(tmp_path).note(noted)
    assert ends(stored, "wanted@trade") == [5, 7, 6, 8, of_others]
    # Who was wanted once is known to be ours, also when it is not wanted at the next start.
    later = {"wanted@trade": Position(9, 0)}
    assert ends(later) == [5, 7, 6, 9, of_others]


def test_quotes_that_were_wanted_again_at_once_have_the_time_between_on_record():
    stage = Stage()
    name = "btcusdt@bookTicker"
    stage.subscription_manager.change(["trade", "bookTicker"], ["BTCUSDT"], 0.0)
    stage.take(name, {"u": 5})
    heard_us = stage.routes.by_name[name].received_us
    for pending in (False, True):  # once the exchange has let go, once it has not
        stage.subscription_manager.change(["trade"], ["BTCUSDT"], 1.0)
        if not pending:
            stage.connection_manager.pending.discard(name)
        stage.subscription_manager.change(["trade", "bookTicker"], ["BTCUSDT"], 2.0)
        stage.take(name, {"u": 9 + pending})
    route = stage.routes.by_name[name]
    [_, (_, gap), (_, ninth), (_, tenth)] = stage.sink.records
    assert (gap.from_time, gap.reason) == (heard_us, "not_wanted")
    assert (ninth.id, tenth.id, route.sequence.last_id) == (9, 10, 10)


def test_departures_that_cannot_be_read_or_written_are_told_and_no_harm(tmp_path, caplog):
    (tmp_path / FILE).write_text("{")
    removed_streams = RemovedStreams(tmp_path)
    assert f"{tmp_path / FILE} cannot be read" in caplog.text
    removed_streams.note({"btcusdt@trade": Position(5, NOW_US)})
    assert RemovedStreams(tmp_path).take("btcusdt@trade") == Position(5, NOW_US)
    nowhere = RemovedStreams(tmp_path / "nowhere")
    nowhere.note({"btcusdt@trade": Position(5, NOW_US)})
    assert f"{tmp_path / 'nowhere' / FILE} cannot be written" in caplog.text
    assert nowhere.take("btcusdt@trade") == Position(5, NOW_US)


def test_times_are_on_record_where_ids_say_nothing():
    stage = Stage()
    stage.subscription_manager.change(["trade", "bookTicker"], ["BTCUSDT"], 0.0)
    stage.take("btcusdt@bookTicker", {"u": 5})
    heard_us = stage.routes.by_name["btcusdt@bookTicker"].received_us
    stage.subscription_manager.change(["trade"], ["BTCUSDT"], 1.0)
    stage.leave("btcusdt@bookTicker")
    stage.subscription_manager.change(["trade", "bookTicker"], ["BTCUSDT"], 2.0)
    stage.take("btcusdt@bookTicker", {"u": 9})
    heard_again_us = stage.routes.by_name["btcusdt@bookTicker"].received_us
    [_, (_, gap), (_, quote)] = stage.sink.records  # the gap before what follows
    assert (gap.from_time, gap.to_time, gap.reason) == (heard_us, heard_again_us, "not_wanted")
    assert quote.id == 9


@pytest.mark.parametrize(
    ("stream", "left", "record"),
    [
        ("depth", BOOK - 7, {"first_id": BOOK - 6, "last_id": BOOK - 1, "missing": 6}),
        ("kline_1m", CANDLE - 3 * MINUTE + 7,
         {"from_time": CANDLE - 3 * MINUTE, "to_time": CANDLE, "missing": 3}),
        ("kline_1m", CANDLE - 3 * MINUTE - 1,
         {"from_time": CANDLE - 3 * MINUTE, "to_time": CANDLE, "missing": 3}),
    ],
)  # fmt: skip
def test_ids_and_candles_are_on_record_as_other_gaps_are(stage, stream, left, record):
    stage.subscription_manager.change([stream], ["BTCUSDT"], 0.0)
    name = f"btcusdt@{stream}"
    stage.routes.by_name[name].left = Position(left, NOW_US - 9)
    stage.take(name, {})
    [(_, gap), (_, event)] = stage.sink.records
    assert event.id in (BOOK, CANDLE)
    assert {key: getattr(gap, key) for key in record} == record
    assert (gap.first_id is None) == (stream == "kline_1m")


def test_what_the_sink_refuses_changes_nothing(stage):
    stage.sink.refuses = ("BNBUSDT",)
    before = list(stage.sink.routes)
    with pytest.raises(SinkUnavailable):
        stage.want("BTCUSDT", "XRPUSDT", "BNBUSDT")
    assert [one for one in stage.sink.routes if one.kind != "gap"] == [
        one for one in before if one.kind != "gap"
    ]
    assert set(stage.routes.by_name) == {"btcusdt@trade", "ethusdt@trade"}
    assert stage.connection_manager.changes == []


def test_many_names_are_cut_short():
    names = [f"s{number}@trade" for number in range(NAMES_TOLD + 2)]
    assert listed(names[:2]) == "s0@trade, s1@trade"
    assert listed(names).endswith("s19@trade and 2 more")


def test_all_that_the_sink_is_to_be_made_ready_for_is_told_to_it_and_nothing_is_changed():
    stage = Stage()
    before = list(stage.sink.routes)
    stage.sink.not_ready = ("BNBUSDT", "SOLUSDT")
    with pytest.raises(SinkNotReady):
        stage.want("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")
    assert stage.sink.awaited == ["BNBUSDT", "SOLUSDT"]
    assert [one for one in stage.sink.routes if one.kind == "trade"] == [
        one for one in before if one.kind == "trade"
    ]
    assert stage.connection_manager.changes == []
    stage.sink.not_ready = ()
    stage.want("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")
    assert "solusdt@trade" in stage.routes.by_name


def test_one_that_goes_on_does_so_where_the_sink_found_it_if_nothing_else_is_known():
    stage = Stage()
    stage.sink.stored = {f"{one}@trade": Position(41, NOW_US) for one in ("bnbusdt", "adausdt")}
    stage.subscription_manager.change(["trade"], ["BTCUSDT", "ETHUSDT", "BNBUSDT"], 0.0, go_on=True)
    assert stage.routes.by_name["bnbusdt@trade"].sequence.last_id == 41
    stage.want("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT")
    assert stage.routes.by_name["adausdt@trade"].sequence.last_id is None


def test_what_others_may_have_recorded_is_held_until_it_is_known_where_it_goes_on():
    stage = Stage(holds_unknown=True)
    stage.want("BTCUSDT")
    stage.leave("ethusdt@trade")
    stage.want("BTCUSDT", "ETHUSDT", "BNBUSDT")
    held = {name: route.held is not None for name, route in stage.routes.by_name.items()}
    assert held == {"btcusdt@trade": False, "ethusdt@trade": True, "bnbusdt@trade": True}
    assert stage.backfiller.begun == [], "when it is opened"


def test_one_that_left_here_comes_back_as_ever_where_others_may_record_it():
    stage = Stage(holds_unknown=True)
    stage.hear("ethusdt@trade", 5)
    stage.want("BTCUSDT")
    stage.leave("ethusdt@trade")
    stage.want("BTCUSDT", "ETHUSDT")
    assert stage.routes.by_name["ethusdt@trade"].held is None
    assert stage.backfiller.begun == ["ethusdt@trade"]
