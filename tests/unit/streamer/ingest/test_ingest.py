"""What is put on record of times in which nothing was heard, and when."""

from __future__ import annotations

import time

import pytest

from streamer.feed_counters import FeedCounters
from streamer.ingest import ingest
from streamer.ingest.ingest import Ingest
from streamer.network import boundary
from streamer.network.events import Lost
from streamer.order.handover import STALL_SECONDS, WITHIN_SECONDS
from streamer.order.held_back import HeldBack
from streamer.order.positions import Position
from streamer.order.sequence import ContiguousSequence
from streamer.routes import Routes
from tests.unit.streamer.payloads import BOOK_TICKER, TRADE, frame, of_symbol

QUOTES = ("btcusdt@bookTicker", "ethusdt@bookTicker")


class Sink:
    def __init__(self):
        self.put_of = []

    def put(self, route, event, received_us):
        self.put_of.append((route.name, event))

    def next_epochs(self):
        return {}


class Connection:
    connection_id = 1
    shutdown_announced = False

    def take_binary(self):
        return []

    def answer(self, payload):
        return False


class Rejected:
    def __init__(self):
        self.kept = []

    def keep(self, payload, error, connection_id, now):
        self.kept.append((error.error_type, payload))
        return True


class Stage:
    def __init__(self):
        self.sink, self.counters = Sink(), FeedCounters()
        self.routes = Routes(["bookTicker", "trade"], ["BTCUSDT", "ETHUSDT"])
        self.ingest = Ingest(self.routes, self.sink, Rejected(), self.counters, overlap_seconds=5.0)

    def hear(self, name, number):
        symbol, stream = name.split("@")
        payload = BOOK_TICKER | {"u": number} if stream == "bookTicker" else TRADE | {"t": number}
        self.ingest.take(Connection(), [frame(of_symbol(payload, symbol.upper()), name)], None)

    def heard_us(self, name):
        return self.routes.by_name[name].received_us

    def take(self):
        """Return what was put since the last call: gaps by their times, events by their ids."""
        put, self.sink.put_of = self.sink.put_of, []
        return [
            (name, (event.from_time, event.to_time) if name.endswith("gap") else event.id)
            for name, event in put
        ]


@pytest.fixture
def stage():
    stage = Stage()
    for number, name in enumerate(QUOTES):
        stage.hear(name, number)
    stage.hear("btcusdt@trade", 1)
    stage.take()
    return stage


def test_a_time_without_quotes_is_on_record_before_the_first_one_after_it(stage, caplog):
    before_us = stage.heard_us(QUOTES[0])
    stage.ingest.coverage.lose_sight([*QUOTES, "btcusdt@trade", "gone@bookTicker"])
    assert stage.take() == []
    stage.hear(QUOTES[0], 7)
    stage.hear("btcusdt@trade", 2)
    after_us = stage.heard_us(QUOTES[0])
    stage.hear(QUOTES[0], 8)
    times = (before_us, after_us)
    gap, *events = stage.take()
    assert gap == ("btcusdt@gap", times)
    assert events == [(QUOTES[0], 7), ("btcusdt@trade", 2), (QUOTES[0], 8)]

    stage.ingest.coverage.declare_missed([*QUOTES, "btcusdt@trade"], 0.25)
    [(name, (from_us, _))] = stage.take()
    assert name == "ethusdt@gap", "the other is on record, and trades tell by their ids"
    assert from_us == stage.heard_us(QUOTES[1])
    stage.hear(QUOTES[1], 9)
    assert stage.take() == [(QUOTES[1], 9)]
    assert "2 streams have a gap of up to" in caplog.text
    assert sum(route.sequence.gaps_total for route in stage.routes) == 2


def test_each_time_is_told_on_its_own(stage):
    stage.ingest.coverage.lose_sight(QUOTES)
    stage.ingest.coverage.lose_sight(QUOTES)  # still
    stage.hear(QUOTES[0], 7)
    stage.take()
    heard_us = stage.heard_us(QUOTES[0])
    stage.ingest.coverage.lose_sight(QUOTES)
    stage.hear(QUOTES[0], 8)
    assert stage.take()[0] == ("btcusdt@gap", (heard_us, stage.heard_us(QUOTES[0])))


def test_a_copy_of_the_last_quote_ends_the_time_as_well(stage):
    stage.ingest.coverage.lose_sight(QUOTES)
    stage.hear(QUOTES[0], 0)
    assert [name for name, _ in stage.take()] == ["btcusdt@gap"]
    assert stage.routes.by_name[QUOTES[0]].sequence.duplicates_total == 1


def test_two_losses_before_a_quiet_stream_has_spoken_are_two_times(stage):
    heard_us = stage.heard_us(QUOTES[0])
    times = []
    for _ in range(2):
        stage.ingest.coverage.lose_sight(QUOTES[:1])
        stage.ingest.coverage.declare_missed(QUOTES[:1], 0.1)
        [(name, each)] = stage.take()
        assert name == "btcusdt@gap"
        times.append(each)
    assert times[0][0] == heard_us
    assert times[1][0] == times[0][1], "what is on record already is not put there again"


def test_what_was_let_go_is_a_time_too(stage):
    stage.ingest.coverage.declare_shed(QUOTES, 3.0)
    gaps = stage.take()
    assert [name for name, _ in gaps] == ["btcusdt@gap", "ethusdt@gap"]
    assert all(to_us - from_us == 3_000_000 for _, (from_us, to_us) in gaps)
    stage.hear(QUOTES[0], 7)
    assert stage.take() == [(QUOTES[0], 7)]


def test_what_was_let_go_before_a_loss_is_on_record_with_it(stage):
    before_us = stage.heard_us(QUOTES[0])
    stage.ingest.coverage.lose_sight(QUOTES)
    stage.ingest.coverage.declare_shed(QUOTES, 3.0)
    assert stage.take() == []
    stage.hear(QUOTES[0], 7)
    times = (before_us, stage.heard_us(QUOTES[0]))
    assert stage.take() == [("btcusdt@gap", times), (QUOTES[0], 7)]


def test_one_stream_has_missed_no_longer_for_another_that_was_quiet():
    stage = Stage()
    now_us = time.time_ns() // 1000
    stored_us = [now_us - 3600_000_000, now_us - 2_000_000]
    stage.ingest.resume(dict(zip(QUOTES, (Position(5, us) for us in stored_us), strict=True)))
    stage.ingest.coverage.declare_missed(QUOTES, 0.5)
    assert [from_us for _, (from_us, _) in stage.take()] == stored_us


def test_a_stream_that_joined_meanwhile_has_missed_nothing(stage):
    stage.ingest.coverage.lose_sight(QUOTES)
    stage.routes.add(stage.routes.make("bookTicker", "BNBUSDT"))
    stage.routes.gaps["BNBUSDT"] = stage.routes.gaps["BTCUSDT"]
    stage.hear("bnbusdt@bookTicker", 1)
    stage.take()
    stage.ingest.coverage.declare_missed(["bnbusdt@bookTicker"], 3.0)
    assert stage.take() == []


def test_the_time_since_an_earlier_run_ends_with_the_first_quote():
    stage = Stage()
    stored_us = time.time_ns() // 1000 - 60_000_000
    stage.ingest.resume(
        {QUOTES[0]: Position(5, stored_us), "btcusdt@trade": Position(1, stored_us)}
    )
    stage.hear(QUOTES[0], 7)
    stage.hear(QUOTES[1], 7)
    stage.hear("btcusdt@trade", 2)
    assert stage.take() == [
        ("btcusdt@gap", (stored_us, stage.heard_us(QUOTES[0]))),
        (QUOTES[0], 7),
        (QUOTES[1], 7),
        ("btcusdt@trade", 2),
    ]


def test_a_stream_that_left_meanwhile_misses_nothing(stage):
    stage.ingest.coverage.lose_sight(QUOTES)
    stage.routes.remove(stage.routes.by_name[QUOTES[0]])
    stage.ingest.coverage.declare_missed(QUOTES, 3.0)
    assert [name for name, _ in stage.take()] == ["ethusdt@gap"]
    stage.routes.add(stage.routes.make("bookTicker", "BTCUSDT"))
    stage.ingest.coverage.lose_sight(QUOTES)
    stage.hear(QUOTES[0], 7)
    assert stage.take() == [(QUOTES[0], 7)]


@pytest.mark.parametrize("take", ["take", "shed"])
def test_a_frame_that_nobody_foresaw_is_rejected_and_the_next_one_taken(stage, monkeypatch, take):
    monkeypatch.setattr(boundary, "_told", set())
    classify = ingest.classify

    def fail(payload, routes):
        if b"odd" in payload:
            raise LookupError("odd")
        return classify(payload, routes)

    monkeypatch.setattr(ingest, "classify", fail)
    payloads = [b'{"odd":1}', frame(of_symbol(TRADE | {"t": 2}, "BTCUSDT"), "btcusdt@trade")]
    if take == "take":
        stage.ingest.take(Connection(), payloads, None)
        assert stage.take() == [("btcusdt@trade", 2)]
    else:
        assert stage.ingest.shed(Connection(), payloads, set()) == 1
    assert stage.ingest._rejected.kept == [("internal", b'{"odd":1}')]
    assert stage.counters.message_errors == {"internal": 1}
    (notice,) = stage.counters.notices
    assert notice.kind == "frame_rejected"


def test_an_announced_shutdown_is_noticed_once_for_each_connection(stage):
    connection = Connection()
    for each in (connection, connection, Connection(), connection):
        stage.ingest.take(each, [b'{"e":"serverShutdown","E":1}'] * 100, None)
    assert [notice.kind for notice in stage.counters.notices] == ["server_shutdown"] * 2


def test_idle_streams_cost_nothing_while_events_wait_elsewhere(stage, monkeypatch):
    stage.hear("btcusdt@trade", 5)  # waits above the gap from 2 to 4
    looks = []
    pending = ContiguousSequence.pending.fget
    monkeypatch.setattr(
        ContiguousSequence, "pending", property(lambda own: looks.append(own) or pending(own))
    )
    trades = stage.routes.by_name["btcusdt@trade"].sequence
    stage.ingest.expire(time.monotonic())
    assert set(looks) == {trades}
    assert stage.routes.holding() == [stage.routes.by_name["btcusdt@trade"]]
    stage.ingest.expire(float("inf"))
    stage.ingest.expire(float("inf"))
    assert stage.routes.holding() == []
    assert [name for name, _ in stage.sink.put_of] == ["btcusdt@gap", "btcusdt@trade"]
    looks.clear()
    stage.ingest.expire(time.monotonic())
    assert looks == []


def test_a_route_that_is_removed_holds_nothing(stage):
    stage.hear("btcusdt@trade", 5)
    stage.routes.remove(stage.routes.by_name["btcusdt@trade"])
    assert stage.routes.holding() == []


def held(stage, name, limit=None):
    """Return a route of which everything is held from now on."""
    route = stage.routes.by_name[name]
    stage.routes.remove(route)
    route = stage.routes.make(route.stream, route.symbol)
    route.held = HeldBack()
    stage.routes.add(route)
    return route


@pytest.mark.parametrize("name", ["btcusdt@trade", "btcusdt@bookTicker"])
def test_what_is_held_of_a_route_goes_on_after_its_position(stage, name):
    route = held(stage, name)
    for number in (7, 8, 9):
        stage.hear(name, number)
    assert stage.take() == []
    stage.ingest.resume({name: Position(7, stage.heard_us(name) or 1)})
    stage.ingest.open(route, time.monotonic())
    stage.hear(name, 10)
    ids = [each for name_, each in stage.take() if name_ == name]
    assert ids == [8, 9, 10]


@pytest.mark.parametrize(("is_seamless", "gaps"), [(True, 0), (False, 1)])
def test_a_time_without_quotes_is_declared_unless_somebody_heard_them(stage, is_seamless, gaps):
    route = held(stage, "btcusdt@bookTicker")
    stage.hear("btcusdt@bookTicker", 8)
    left = Position(7, route.held.frames[0][2] - 1_000_000)
    stage.ingest.resume({route.name: left}, [route.name] if is_seamless else ())
    stage.ingest.open(route, time.monotonic())
    assert len([name for name, _ in stage.take() if name.endswith("gap")]) == gaps


def lost(stage, name):
    stage.ingest.coverage.take_event(Lost((name,)))


def shed(stage, name):
    stage.ingest.coverage.declare_shed([name], 1.0)


@pytest.mark.parametrize("lose", [lost, shed])
def test_what_is_lost_while_it_is_held_takes_what_is_held_with_it(stage, lose):
    quotes, trades = (held(stage, f"btcusdt@{kind}") for kind in ("bookTicker", "trade"))
    for route in (quotes, trades):
        route.held.whole_since_us = 1
        stage.hear(route.name, 8)
        lose(stage, route.name)
    assert quotes.held == HeldBack()
    assert len(trades.held.frames) == 1, "ids tell of their gaps"
    stage.hear(quotes.name, 9)
    came_us = quotes.held.frames[0][2]
    stage.ingest.resume({quotes.name: Position(7, came_us - 1_000_000)})
    stage.ingest.open(quotes, time.monotonic())
    taken = stage.take()
    assert [name for name, _ in taken] == ["btcusdt@gap", quotes.name]


def test_copies_of_what_was_left_are_counted_and_end_no_gap(stage):
    route = held(stage, "btcusdt@bookTicker")
    for number in (7, 8):
        stage.hear(route.name, number)
    stage.ingest.resume({route.name: Position(7, route.held.frames[0][2] - 1_000_000)})
    stage.ingest.open(route, time.monotonic(), is_seamless=True)
    assert [name for name, _ in stage.take()] == ["btcusdt@gap", route.name]
    assert route.sequence.duplicates_total == 1


def on_successor(stage, name, number, first_ids=None):
    """Hear a quote on a connection that is to succeed the one of before."""
    connection = Connection()
    connection.connection_id = 2
    payload = frame(of_symbol(BOOK_TICKER | {"u": number}, name.split("@")[0].upper()), name)
    first_ids = {} if first_ids is None else first_ids
    stage.ingest.take(connection, [payload], first_ids, overlapping=True)


def test_a_predecessor_that_was_silent_without_a_word_has_missed_what_is_declared(stage):
    before_us = stage.heard_us(QUOTES[0])
    on_successor(stage, QUOTES[0], 9)
    assert stage.take() == [], "the other one may bring what was before"
    assert stage.heard_us(QUOTES[0]) == before_us, "as far as is known"
    now = time.monotonic()
    stage.ingest.expire(now)
    assert stage.take() == []
    stage.ingest.expire(now + STALL_SECONDS)
    stage.ingest.expire(now + 2 * STALL_SECONDS + WITHIN_SECONDS)
    stage.ingest.expire(now + 3 * STALL_SECONDS + WITHIN_SECONDS)
    times = (before_us, stage.heard_us(QUOTES[0]))
    assert stage.take() == [("btcusdt@gap", times), (QUOTES[0], 9)]
    assert times[0] < times[1]


def test_a_predecessor_that_brings_as_much_has_missed_nothing(stage):
    first_ids = {}
    on_successor(stage, QUOTES[0], 9, first_ids)
    for number in (8, 9):
        stage.hear(QUOTES[0], number)
    on_successor(stage, QUOTES[0], 10, first_ids)
    assert stage.take() == [(QUOTES[0], 8), (QUOTES[0], 9), (QUOTES[0], 10)]


def test_a_copy_of_before_a_stream_was_lost_ends_no_gap(stage):
    route = held(stage, "btcusdt@bookTicker")
    for number in (6, 7):
        stage.hear(route.name, number)
    left = Position(7, route.held.frames[-1][2] + 1_000_000)  # by the one before, which went on
    stage.ingest.resume({route.name: left})
    stage.ingest.open(route, time.monotonic())
    assert stage.take() == []
    assert route.coverage.lost_us == left.received_us
    time_ns = left.received_us * 1000 + 5_000_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest.time, "time_ns", lambda: time_ns)
        stage.hear(route.name, 8)
    assert stage.take() == [
        ("btcusdt@gap", (left.received_us, time_ns // 1000)),
        (route.name, 8),
    ]


def test_what_is_held_and_cannot_be_decoded_is_kept_for_inspection(stage):
    route = held(stage, "btcusdt@trade")
    payload = frame(of_symbol(TRADE | {"t": "x"}, "BTCUSDT"), "btcusdt@trade")
    stage.ingest.take(Connection(), [payload], None)
    stage.ingest.open(route, time.monotonic())
    assert [payload for _, payload in stage.ingest._rejected.kept] == [payload]


def test_of_very_much_that_is_held_the_latest_stays(stage, monkeypatch):
    monkeypatch.setattr(ingest, "HELD_BACK_MAX", 2)
    route = held(stage, "btcusdt@trade")
    for number in (7, 8, 9):
        stage.hear("btcusdt@trade", number)
    stage.ingest.open(route, time.monotonic())
    assert stage.take() == [("btcusdt@trade", 9)]
    assert stage.counters.shed_total == 2


def test_what_was_under_way_of_a_route_that_has_ended_is_no_error(stage):
    stage.routes.remove(stage.routes.by_name["btcusdt@trade"])
    stage.routes.ended.add("btcusdt@trade")
    stage.hear("btcusdt@trade", 7)
    assert stage.take() == []
    assert stage.ingest._rejected.kept == []
