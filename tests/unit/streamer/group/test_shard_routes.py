"""The streams of a shard: joined and held, opened where others have ended, ended at once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from streamer.errors import SinkUnavailable
from streamer.group.shard_routes import ShardRoutes
from streamer.order.held_back import HeldBack
from streamer.order.positions import Position
from streamer.routes import Routes
from tests.unit.streamer.payloads import BOOK_TICKER, TRADE, frame, of_symbol

OF_A, OF_B = ("btcusdt@trade", "btcusdt@bookTicker"), ("ethusdt@trade", "ethusdt@bookTicker")
STREAMS = ("trade", "bookTicker")


class Ingest:
    def __init__(self):
        self.routes, self.done = Routes(STREAMS, ()), []
        self.coverage = SimpleNamespace(
            declare_shed=lambda names, seconds: self.done.append(("shed", *names, seconds)),
            cover_all=lambda names: self.done.append(("missed", *names)),
        )

    def resume(self, positions, heard):
        self.done.append(("resume", positions, set(heard)))

    def open(self, route, now, *, is_seamless):
        self.done.append(("open", route.name, is_seamless))
        route.held = None


class ConnectionManager:
    def __init__(self):
        self.changes, self.slot_of, self.forgotten, self.held = [], {}, [], set()
        self.slots = SimpleNamespace(find=self.slot_of.get, forget=self.forgotten.append)

    def change(self, added, removed, now):
        self.changes.append((tuple(added), tuple(removed)))

    def holds(self, name):
        return name in self.held


class Sink:
    def __init__(self):
        self.done, self.refuses = [], None

    def add(self, route):
        if route.name == self.refuses:
            raise SinkUnavailable("no such topic")
        self.done.append(("add", route.name))

    def remove(self, route):
        self.done.append(("remove", route.name))

    def take_over(self, positions):
        self.done.append(("take over", positions))

    def discard(self, routes):
        self.done.append(("discard", [route.name for route in routes]))

    def hand_over(self, route):
        self.done.append(("hand over", route.name))


class Names:
    """An idle clock, or a back-filler: it notes whose turn it is to be looked after."""

    def __init__(self):
        self.known, self.begun = set(), []

    def add(self, route, now):
        self.known.add(route.name)

    def remove(self, route):
        self.known.remove(route.name)

    def begin(self, route):
        self.known.add(route.name)

    def forget(self, route):
        self.known.discard(route.name)


class Stage:
    def __init__(self, with_backfiller=True):
        self.ingest, self.connections, self.sink = Ingest(), ConnectionManager(), Sink()
        self.idle_clock, self.backfiller = Names(), Names()
        self.shard_routes = ShardRoutes(
            self.ingest,
            self.connections,
            self.sink,
            self.idle_clock,
            self.backfiller if with_backfiller else None,
        )

    @property
    def routes(self):
        return self.ingest.routes

    def join(self, *symbols):
        self.shard_routes.join(STREAMS, symbols, 0.0)

    def done(self, *kinds):
        return [one for one in (*self.sink.done, *self.ingest.done) if one[0] in kinds]


@pytest.fixture
def stage():
    return Stage()


def slot(settled_at):
    return SimpleNamespace(active=SimpleNamespace(settled_at=settled_at))


def test_streams_that_join_are_subscribed_and_held(stage):
    stage.join("BTCUSDT")
    assert stage.connections.changes == [(OF_A, ())]
    assert [route.held for route in stage.routes] == [HeldBack(), HeldBack()]
    assert stage.done("add") == [("add", OF_A[0]), ("add", "btcusdt@gap"), ("add", OF_A[1])]
    assert stage.idle_clock.known == set(OF_A)
    assert stage.backfiller.known == set(), "not before it is known where to go on"
    stage.join("BTCUSDT", "ETHUSDT")
    assert stage.connections.changes[1:] == [(OF_B, ())], "what is there stays as it is"
    stage.join("BTCUSDT", "ETHUSDT")
    assert len(stage.connections.changes) == 2


def test_a_stream_that_cannot_be_stored_does_not_join(stage):
    stage.sink.refuses = "btcusdt@gap"
    with pytest.raises(SinkUnavailable):
        stage.join("BTCUSDT")
    assert stage.done("remove") == [("remove", OF_A[0])]
    assert not len(stage.routes)


def test_a_shard_is_heard_when_the_exchange_has_answered_for_all_of_it(stage):
    stage.join("BTCUSDT", "ETHUSDT")
    assert not stage.shard_routes.are_heard(("BTCUSDT",))
    stage.connections.slot_of[OF_A[0]] = slot(1.0)
    stage.connections.slot_of[OF_A[1]] = SimpleNamespace(active=None)
    assert not stage.shard_routes.are_heard(("BTCUSDT",))
    stage.connections.slot_of[OF_A[1]] = slot(None)
    assert not stage.shard_routes.are_heard(("BTCUSDT",))
    stage.connections.slot_of[OF_A[1]] = slot(2.0)
    assert stage.shard_routes.are_heard(("BTCUSDT",))
    assert not stage.shard_routes.are_heard(("BTCUSDT", "ETHUSDT"))


def test_streams_of_which_the_one_before_told_nothing_are_held_until_they_are_looked_up(stage):
    """Who had other settings has not recorded them, and somebody else may have, before that."""
    stage.join("BTCUSDT")
    known = {OF_A[0]: Position(7, 8)}
    opened = stage.shard_routes.open(("BTCUSDT",), known, 0.0, is_seamless=False, begins=False)
    assert not opened
    assert stage.done("open") == [("open", OF_A[0], False)]
    assert stage.routes.by_name[OF_A[1]].held == HeldBack()
    assert stage.shard_routes.open(("BTCUSDT",), {}, 0.0, is_seamless=False)
    assert stage.done("open")[1:] == [("open", OF_A[1], False)]


@pytest.mark.parametrize("is_seamless", [True, False])
def test_a_shard_goes_on_after_its_own_records_only(stage, is_seamless):
    stage.join("BTCUSDT", "ETHUSDT")
    stage.shard_routes.note_heard(("BTCUSDT",))
    hold(stage, OF_A[0], 7)
    known = {OF_A[0]: Position(7, 8)}
    told = {**known, OF_B[0]: Position(1, 2), "gone@trade": Position(3, 4)}
    stage.shard_routes.open(("BTCUSDT",), told, 0.0, is_seamless=is_seamless)
    assert stage.done("take over", "resume") == [
        ("take over", known),
        ("resume", known, {OF_A[0]} if is_seamless else set()),
    ]
    assert stage.done("open") == [("open", name, is_seamless) for name in OF_A]
    assert stage.backfiller.known == set(OF_A)
    stage.shard_routes.open(("BTCUSDT",), told, 0.0, is_seamless=is_seamless)
    assert len(stage.done("open")) == 2, "what is open is not opened again"


def hold(stage, name, last_id, at_seconds=0.0):
    """Hold a frame with this id, received so long after its route was heard."""
    route = stage.routes.by_name[name]
    event = {"t": last_id} if name.endswith("trade") else {"u": last_id}
    payload = frame(of_symbol((TRADE if "t" in event else BOOK_TICKER) | event, route.symbol), name)
    route.held.frames.append((None, payload, route.held.whole_since_us + round(at_seconds * 1e6)))


def heard_after(stage):
    """Open with predecessors that have ended at 7 each; return which streams are seamless."""
    positions = {name: Position(7, 8) for name in OF_A}
    stage.shard_routes.open(("BTCUSDT",), positions, 0.0, is_seamless=True)
    (_, _, heard) = stage.done("resume")[0]
    return heard


def test_one_that_was_deaf_before_it_left_has_missed_what_is_declared(stage):
    stage.join("BTCUSDT")
    stage.shard_routes.note_heard(("BTCUSDT",))
    for name in OF_A:
        hold(stage, name, 8, at_seconds=0.2)
    assert heard_after(stage) == set()


def test_what_cannot_be_decoded_proves_nothing(stage):
    stage.join("BTCUSDT")
    stage.shard_routes.note_heard(("BTCUSDT",))
    for name in OF_A:
        route = stage.routes.by_name[name]
        route.held.frames.append((None, b'{"data":', route.held.whole_since_us))
        hold(stage, name, 7, at_seconds=0.2)
    assert heard_after(stage) == set(OF_A)


def test_what_is_quiet_is_proven_by_another_stream_of_the_shard(stage):
    stage.join("BTCUSDT")
    stage.shard_routes.note_heard(("BTCUSDT",))
    hold(stage, OF_A[0], 7, at_seconds=0.2)
    hold(stage, OF_A[1], 8, at_seconds=0.8)
    assert heard_after(stage) == set(OF_A)


def test_a_stream_that_was_lost_while_it_was_held_is_not_seamless(stage):
    stage.join("BTCUSDT")
    stage.shard_routes.note_heard(("BTCUSDT",))
    for name in OF_A:
        hold(stage, name, 7)
    stage.routes.by_name[OF_A[1]].held.lose()
    assert heard_after(stage) == {OF_A[0]}


def test_what_a_lost_connection_has_missed_is_declared_before_the_shard_is_left(stage):
    stage.join("BTCUSDT")
    stage.shard_routes.end(("BTCUSDT",), 0.0, discards=True)
    assert stage.done("missed") == [], "somebody else has it"
    stage.join("BTCUSDT")
    stage.shard_routes.end(("BTCUSDT",), 0.0, discards=False)
    assert stage.done("missed") == [("missed", *OF_A)]


def test_a_shard_that_leaves_tells_where_its_records_end(stage):
    stage.join("BTCUSDT", "ETHUSDT")
    route = stage.routes.by_name[OF_A[0]]
    route.resume(Position(7, 8, 9))
    route.received_us = 10
    ends = stage.shard_routes.end(("BTCUSDT",), 0.0, discards=False)
    assert ends == {OF_A[0]: Position(7, 10, 9)}, "the other one has no record yet"
    assert stage.done("hand over") == [("hand over", name) for name in OF_A]
    assert stage.done("discard") == []
    assert stage.connections.changes[-1] == ((), OF_A)
    assert stage.connections.forgotten == list(OF_A)
    assert [route.name for route in stage.routes] == list(OF_B)
    assert stage.idle_clock.known == set(OF_B)


def test_what_waits_of_a_shard_that_somebody_else_has_is_discarded_before_it_is_forgotten(stage):
    stage.join("BTCUSDT")
    stage.shard_routes.end(("BTCUSDT",), 0.0, discards=True)
    assert [one[0] for one in stage.done("discard", "hand over")] == [
        "discard",
        "hand over",
        "hand over",
    ]
    assert stage.done("discard") == [("discard", list(OF_A))]
    before = len(stage.connections.changes)
    assert stage.shard_routes.end(("BTCUSDT",), 0.0, discards=True) == {}
    assert len(stage.connections.changes) == before


def test_frames_of_ended_streams_are_known_until_none_can_come(stage):
    stage.join("BTCUSDT")
    stage.connections.held = {OF_A[0]}
    stage.shard_routes.end(("BTCUSDT",), 0.0, discards=False)
    assert stage.routes.ended == set(OF_A)
    stage.shard_routes.turn(0.0)
    assert stage.routes.ended == {OF_A[0]}
    stage.connections.held.clear()
    stage.shard_routes.turn(0.0)
    assert stage.routes.ended == set()


def test_without_repair_there_is_nobody_to_ask_for_what_is_missing():
    stage = Stage(with_backfiller=False)
    stage.join("BTCUSDT")
    stage.shard_routes.open(("BTCUSDT",), {}, 0.0, is_seamless=False)
    assert stage.done("open") == [("open", name, False) for name in OF_A]
    assert stage.shard_routes.end(("BTCUSDT",), 0.0, discards=False) == {}


def came_back(stage):
    """Have a shard end and join again while the exchange still serves one of its streams."""
    stage.join("BTCUSDT")
    stage.connections.held = {OF_A[1]}
    stage.shard_routes.end(("BTCUSDT",), 5.0, discards=False)
    stage.shard_routes.join(STREAMS, ("BTCUSDT",), 6.0)
    for name in OF_A:
        stage.connections.slot_of[name] = slot(None)


def served_again(stage, now):
    for name in OF_A:
        stage.connections.slot_of[name] = slot(now)
    stage.shard_routes.turn(now)


def test_what_came_before_a_stream_was_begun_again_is_not_what_it_goes_on_with(stage):
    came_back(stage)
    for route in stage.routes:
        route.held.frames.append("of before")
    stage.shard_routes.turn(6.5)
    assert [route.held.frames for route in stage.routes] == [["of before"], ["of before"]]
    served_again(stage, 7.0)
    assert [route.held.frames for route in stage.routes] == [["of before"], []]
    assert stage.done("shed") == []


def test_a_stream_that_is_open_declares_the_time_until_it_was_begun_again(stage):
    came_back(stage)
    stage.shard_routes.open(("BTCUSDT",), {}, 6.0, is_seamless=False)
    stage.shard_routes.turn(7.0)
    assert stage.done("shed") == []
    served_again(stage, 8.5)
    assert stage.done("shed") == [("shed", OF_A[1], 2.5)]
    served_again(stage, 9.0)
    assert len(stage.done("shed")) == 1


def test_a_stream_that_came_back_and_ended_again_declares_nothing(stage):
    came_back(stage)
    stage.shard_routes.end(("BTCUSDT",), 6.5, discards=False)
    served_again(stage, 7.0)
    assert stage.done("shed") == []
