"""The connections of the slots, with connections that do as each test says. Time is the test's."""

from __future__ import annotations

from selectors import EVENT_READ, EVENT_WRITE

import pytest

import streamer.network.connection_manager
from streamer.address_hold import AddressHold
from streamer.config import ShardConfig, StreamerConfig
from streamer.connection_config import ConnectionConfig
from streamer.errors import ConnectionEnded, HandshakeError, UpgradeError
from streamer.feed_counters import FeedCounters
from streamer.network.connection_manager import EXCHANGE_CUT_SECONDS, ConnectionManager
from streamer.network.connector import Failed, Opened
from streamer.network.events import Accepted, Lost, Refused, Restored
from streamer.unavailable import AGAIN_FIRST_SECONDS, UnavailableStreams

NAMES = ("btcusdt@trade", "ethusdt@trade")


class Connection:
    """What the exchange has agreed to is what the test says."""

    def __init__(self, connection_id, slot, transport, config, now, wall, pace):
        self.pace = pace
        self.connection_id, self.slot, self.opened_at = connection_id, slot, now
        self.subscribed = self.listed = self.wants_write = self.closing = self.stuck = False
        self.shutdown_announced = False
        self.missing_streams = ()
        self.trouble = self.end = self.last_pong_time = None
        self.wished = set()
        self.pending = set()
        self.refused = {}

    def fileno(self):
        return 100 + self.connection_id

    def subscribe(self, names, now):
        self.change(names, (), now)

    def change(self, added, removed, now):
        self.wished -= set(removed)
        self.wished |= set(added)
        self.pending |= set(added)
        self.subscribed = self.listed = False

    def agree(self, *missing):
        self.subscribed = self.listed = True
        self.missing_streams = missing
        self.pending = set(self.wished)

    def refuse(self, **errors):
        """Agree to all but these, named without the stream."""
        self.refused = {f"{name}@trade": error for name, error in errors.items()}
        self.wished -= set(self.refused)
        self.agree()

    def take_refused(self):
        refused, self.refused = self.refused, {}
        return refused

    def holds(self, name):
        return name in self.pending

    def tick(self, now):
        if self.end is not None:
            raise self.end

    def close(self, now):
        self.closing = True

    def abort(self):
        self.pending = set()


class Connector:
    def __init__(self):
        self.asked, self.ready, self.cancelled = [], [], []

    def start(self, number, *_):
        self.asked.append(number)

    def results(self):
        ready, self.ready = self.ready, []
        return ready

    def cancel(self, number):
        self.cancelled.append(number)


class Selector:
    """Notes what is awaited of which connection; as strict as one of the standard library."""

    def __init__(self):
        self.awaited, self.calls = {}, 0

    def register(self, descriptor, events, connection):
        assert descriptor not in self.awaited
        self.awaited[descriptor] = events
        self.calls += 1

    def modify(self, descriptor, events, connection):
        assert self.awaited[descriptor] != events
        self.awaited[descriptor] = events
        self.calls += 1

    def unregister(self, descriptor):
        del self.awaited[descriptor]
        self.calls += 1


class Stage:
    def __init__(self, monkeypatch, names=NAMES, hold=None, **config):
        monkeypatch.setattr(streamer.network.connection_manager, "Connection", Connection)
        self.connector, self.counters, self.covers = Connector(), FeedCounters(), True
        self.selector = Selector()
        self.unavailable, self.events = UnavailableStreams(), []
        self.connection_manager = ConnectionManager(
            StreamerConfig(
                **{"connection": ConnectionConfig(backoff_initial=1.0)} | config,
            ),
            names,
            counters=self.counters,
            selector=self.selector,
            connector=self.connector,
            ssl_context=None,
            covered=lambda *_: self.covers,
            unavailable=self.unavailable,
            hold=hold,
        )
        self.connection_manager.take_events()  # nothing was heard of them before

    def tick(self, now):
        """Let the owner act, and note what is told of single subscriptions, as the feed does."""
        self.connection_manager.tick(now)
        for event in self.connection_manager.take_events():
            self.events.append(event)
            if isinstance(event, Refused):
                self.unavailable.note(event.wire_name, "refused", None, now)
            elif isinstance(event, Accepted):
                self.unavailable.forget(event.wire_name)

    @property
    def slot(self):
        [slot] = self.connection_manager.slots
        return slot

    def opened(self, now):
        """Let the attempt under way succeed; return the connection, not yet subscribed."""
        self.connection_manager.tick(now)
        self.connector.ready.append(Opened(self.connector.asked[-1], None, 0.1))
        [connection] = self.connection_manager.tick(now)
        return connection

    def live(self, now=0.0):
        connection = self.opened(now)
        connection.agree()
        self.connection_manager.tick(now)
        return connection

    def kinds(self):
        return [notice.kind for notice in self.counters.notices]


@pytest.fixture
def stage(monkeypatch):
    return Stage(monkeypatch)


def test_a_successor_takes_over_when_it_covers_and_the_old_one_is_closed_as_planned(stage):
    old = stage.live()
    assert stage.connection_manager.rotate(stage.slot, "age", 10.0)
    new = stage.opened(10.0)
    new.agree()
    stage.covers = False
    stage.connection_manager.tick(11.0)
    assert not old.closing
    stage.covers = True
    stage.connection_manager.tick(12.0)
    assert old.closing
    assert stage.slot.active.connection_id == new.connection_id
    old.end = ConnectionEnded("closed", 1000, "closed as we asked")
    stage.connection_manager.tick(13.0)
    assert stage.slot.drops_total == 0
    assert stage.counters.connection_errors == {}


def test_the_selector_awaits_what_a_connection_waits_for_and_hears_of_changes_only(stage):
    connection = stage.live()
    manager, descriptor = stage.connection_manager, connection.fileno()
    assert stage.selector.awaited == {descriptor: EVENT_READ}
    calls = stage.selector.calls
    for second in range(5):
        manager.tick(second)
    assert stage.selector.calls == calls
    connection.wants_write = True
    manager.tick(6.0)
    assert stage.selector.awaited == {descriptor: EVENT_READ | EVENT_WRITE}
    manager.read(False)
    assert stage.selector.awaited == {descriptor: EVENT_WRITE}
    connection.wants_write = False
    manager.tick(7.0)
    assert stage.selector.awaited == {}
    manager.read(True)
    assert stage.selector.awaited == {descriptor: EVENT_READ}
    connection.end = ConnectionEnded("eof", 1006, "gone")
    manager.tick(8.0)
    assert stage.selector.awaited == {}


def test_one_that_ends_while_nothing_is_read_is_forgotten_too(stage):
    connection = stage.live()
    stage.connection_manager.read(False)
    connection.end = ConnectionEnded("eof", 1006, "gone")
    stage.connection_manager.tick(1.0)
    assert stage.selector.awaited == {}
    assert connection.connection_id not in stage.connection_manager.connections


def test_a_successor_that_is_not_listed_completely_is_given_up_and_tried_again(stage):
    old = stage.live()
    stage.connection_manager.rotate(stage.slot, "age", 10.0)
    new = stage.opened(10.0)
    new.agree("ethusdt@trade")
    stage.connection_manager.tick(11.0)
    assert not old.closing
    assert new.connection_id not in stage.connection_manager.connections
    assert stage.kinds()[-1] == "rotation_failed"
    assert stage.counters.rotations_failed_total == 1
    assert stage.slot.rotation is not None
    assert stage.slot.attempt_at > 11.0
    assert stage.slot.drops_total == 0
    again = stage.opened(20.0)
    again.agree()
    stage.connection_manager.tick(21.0)
    assert old.closing


def test_what_the_old_one_does_not_hear_either_holds_no_rotation_up(stage):
    old = stage.opened(0.0)
    old.agree("ethusdt@trade")
    stage.connection_manager.tick(1.0)
    assert "not subscribed" in stage.counters.notices[-1].detail["message"]
    stage.connection_manager.rotate(stage.slot, "age", 10.0)
    new = stage.opened(10.0)
    new.agree("ethusdt@trade")
    stage.connection_manager.tick(11.0)
    assert old.closing


def test_a_successor_serves_nothing_before_its_streams_are_listed(stage):
    stage.live()
    stage.connection_manager.rotate(stage.slot, "age", 10.0)
    new = stage.opened(10.0)
    new.subscribed = True
    stage.connection_manager.tick(11.0)
    assert stage.slot.successor.subscribed_at is None
    new.listed = True
    stage.connection_manager.tick(12.0)
    assert stage.slot.active.connection_id == new.connection_id


def test_attempts_for_a_rotation_fail_and_are_repeated_with_growing_delays(stage):
    old = stage.live()
    stage.connection_manager.rotate(stage.slot, "age", 10.0)
    now, delays = 10.0, []
    for _ in range(6):
        stage.connection_manager.tick(now)
        stage.connector.ready.append(
            Failed(stage.connector.asked[-1], HandshakeError("refused", "nobody"), 0.1)
        )
        stage.connection_manager.tick(now)
        delays.append(stage.slot.attempt_at - now)
        now = stage.slot.attempt_at
    assert stage.counters.rotations_failed_total == 6
    assert max(delays) > 1.0
    assert stage.slot.live
    assert not old.closing
    new = stage.opened(now)
    new.agree()
    stage.connection_manager.tick(now)
    assert old.closing


@pytest.mark.parametrize(("status", "again_at"), [(418, 600.0), (429, 600.0), (503, 120.0)])
def test_nothing_makes_an_attempt_before_a_ban_is_over(stage, status, again_at):
    """A ban is of the IP, and grows with each attempt; a 503 is of what was asked."""
    old = stage.live()
    stage.connection_manager.rotate(stage.slot, "age", 0.0)
    stage.connection_manager.tick(0.0)
    refused = UpgradeError("no", status=status, retry_after_seconds=600.0)
    stage.connector.ready.append(Failed(stage.connector.asked[-1], refused, 0.1))
    stage.connection_manager.tick(0.0)
    old.end = ConnectionEnded("reset", 1006, "the connection was reset")
    stage.connection_manager.tick(100.0)  # which wishes for another one at once
    asked = len(stage.connector.asked)
    moments = [again_at - 1.0, again_at] if again_at == 600.0 else [again_at]
    for now in moments:
        assert len(stage.connector.asked) == asked
        stage.connection_manager.tick(now)
    assert len(stage.connector.asked) == asked + 1


def test_a_ban_that_one_was_told_of_holds_the_others_at_the_address(monkeypatch, tmp_path):
    told, other = (
        Stage(monkeypatch, hold=AddressHold(tmp_path / "held", lambda: 1e9)) for _ in range(2)
    )
    told.connection_manager.tick(0.0)
    refused = UpgradeError("no", status=418, retry_after_seconds=600.0)
    told.connector.ready.append(Failed(told.connector.asked[-1], refused, 0.1))
    told.connection_manager.tick(0.0)
    for now in (0.0, 599.0):
        other.connection_manager.tick(now)
        assert other.connector.asked == []
    (tmp_path / "held").unlink()
    other.connection_manager.tick(600.0)
    assert len(other.connector.asked) == 1


def test_each_of_several_attempts_its_part_of_what_the_address_may(monkeypatch):
    connection = ConnectionConfig(backoff_initial=1.0, backoff_max=1.0, attempts_limit=7)
    stage = Stage(monkeypatch, connection=connection, shard=ShardConfig(index=1, count=3))
    failed = 0
    for now in range(100):
        stage.connection_manager.tick(float(now))
        if len(stage.connector.asked) > failed:
            failed += 1
            stage.connector.ready.append(
                Failed(stage.connector.asked[-1], HandshakeError("refused", "refused"), 0.1)
            )
    assert failed == 2


def test_when_the_old_one_dies_while_the_new_one_is_half_open_the_new_one_serves(stage):
    old = stage.live()
    stage.connection_manager.rotate(stage.slot, "age", 10.0)
    new = stage.opened(10.0)
    old.end = ConnectionEnded("reset", 1006, "reset")
    stage.connection_manager.tick(11.0)
    assert stage.slot.active.connection_id == new.connection_id
    assert stage.slot.drops_total == 1  # nothing is heard until it is subscribed
    attempts = len(stage.connector.asked)
    new.agree()
    stage.connection_manager.tick(12.5)
    assert stage.slot.live
    assert stage.connection_manager.take_events() == [Lost(NAMES), Restored(NAMES, 1.5)]
    assert len(stage.connector.asked) == attempts  # no third connection


def test_sight_is_lost_again_when_one_ends_that_was_subscribed_in_part(stage):
    old = stage.live()
    old.end = ConnectionEnded("reset", 1006, "reset")
    stage.connection_manager.tick(1.0)
    new = stage.opened(stage.slot.attempt_at)  # some streams may be heard on it already
    new.end = ConnectionEnded("reset", 1006, "reset")
    stage.connection_manager.tick(10.0)
    assert stage.slot.drops_total == 1
    assert stage.connection_manager.take_events() == [Lost(NAMES), Lost(NAMES)]


def test_sight_is_lost_again_when_what_a_rotation_replaced_ends_after_what_replaced_it(stage):
    old = stage.live()
    stage.connection_manager.rotate(stage.slot, "age", 10.0)
    new = stage.live(10.0)
    assert old.closing
    new.end = ConnectionEnded("reset", 1006, "reset")
    stage.connection_manager.tick(11.0)
    old.end = ConnectionEnded("closed", 1000, "closed")  # what it had on the way was taken
    stage.connection_manager.tick(11.1)
    assert stage.connection_manager.take_events() == [Lost(NAMES), Lost(NAMES)]


def test_nothing_is_heard_of_streams_that_join_what_nothing_serves(stage):
    old = stage.live()
    stage.connection_manager.change(["bnbusdt@trade"], [], 1.0)
    assert stage.connection_manager.take_events() == []
    old.end = ConnectionEnded("reset", 1006, "reset")
    stage.connection_manager.tick(2.0)
    stage.connection_manager.take_events()
    stage.connection_manager.change(["solusdt@trade"], [], 2.0)
    assert stage.connection_manager.take_events() == [Lost(("solusdt@trade",))]


def test_one_whose_end_is_announced_is_replaced(stage):
    old = stage.live()
    old.shutdown_announced = True
    stage.connection_manager.tick(1.0)
    new = stage.opened(1.0)
    new.agree()
    stage.connection_manager.tick(2.0)
    assert old.closing
    assert stage.slot.active.connection_id == new.connection_id
    assert stage.kinds().count("rotation_started") == 1


def test_when_the_old_one_dies_during_an_attempt_its_result_serves(stage):
    old = stage.live()
    stage.connection_manager.rotate(stage.slot, "age", 10.0)
    stage.connection_manager.tick(10.0)
    old.end = ConnectionEnded("reset", 1006, "reset")
    stage.connection_manager.tick(10.5)
    assert stage.slot.active is None
    attempts = len(stage.connector.asked)
    stage.connector.ready.append(Opened(stage.connector.asked[-1], None, 0.1))
    [new] = stage.connection_manager.tick(11.0)
    new.agree()
    stage.connection_manager.tick(11.0)
    assert stage.slot.active.connection_id == new.connection_id
    assert stage.slot.successor is None
    assert len(stage.connector.asked) == attempts


def test_a_connection_is_replaced_before_the_exchange_cuts_it_whatever_the_rules_say(stage):
    stage.live()
    stage.connection_manager.rotate_before_cut(float("inf"), EXCHANGE_CUT_SECONDS - 601.0)
    assert stage.slot.rotation is None
    stage.connection_manager.rotate_before_cut(float("inf"), EXCHANGE_CUT_SECONDS - 600.0)
    assert stage.slot.rotation is not None


def test_a_change_reaches_both_connections_of_a_rotation_which_starts_its_overlap_anew(stage):
    old = stage.live()
    stage.connection_manager.rotate(stage.slot, "age", 10.0)
    new = stage.opened(10.0)
    stage.covers = False
    new.agree()
    stage.connection_manager.tick(11.0)
    stage.connection_manager.change(["bnbusdt@trade"], ["ethusdt@trade"], 12.0)
    stage.covers = True
    stage.connection_manager.tick(12.0)
    assert old.wished == new.wished == {"btcusdt@trade", "bnbusdt@trade"}
    assert not old.closing  # the exchange has not agreed yet
    assert stage.connection_manager.holds("ethusdt@trade")
    for connection in (old, new):
        connection.agree()
    assert not stage.connection_manager.holds("ethusdt@trade")
    stage.connection_manager.tick(13.0)
    assert old.closing
    assert stage.slot.active.settled_at == 13.0


def test_an_empty_slot_closes_its_connections_without_a_drop(stage, monkeypatch):
    monkeypatch.setattr("streamer.network.slots.STREAMS_PER_SLOT", 2)
    first = stage.live()
    stage.connection_manager.change(["bnbusdt@trade"], [], 1.0)
    second = stage.opened(1.0)
    second.agree()
    stage.connection_manager.tick(1.0)
    assert [slot.name for slot in stage.connection_manager.slots] == ["slot-1", "slot-2"]
    stage.connection_manager.change([], ["bnbusdt@trade"], 2.0)
    assert second.closing
    assert not first.closing
    second.end = ConnectionEnded("closed", 1000, "closed as we asked")
    stage.connection_manager.tick(3.0)
    [closed] = [one.detail for one in stage.counters.notices if one.kind == "connection_closed"]
    assert (closed["planned"], closed["dropped"], closed["reason"]) == (True, False, "unsubscribed")
    assert stage.counters.connection_errors == {}
    stage.connection_manager.tick(4.0)
    assert stage.slot.name == "slot-1"


def test_an_attempt_for_an_empty_slot_is_given_up(stage, monkeypatch):
    monkeypatch.setattr("streamer.network.slots.STREAMS_PER_SLOT", 2)
    stage.live()
    stage.connection_manager.change(["bnbusdt@trade"], [], 1.0)
    stage.connection_manager.tick(1.0)
    stage.connection_manager.change([], ["bnbusdt@trade"], 2.0)
    assert stage.connector.cancelled == [stage.connector.asked[-1]]


def test_a_change_that_is_never_answered_costs_a_rotation_and_no_drop(stage):
    connection = stage.live()
    stage.connection_manager.change(["bnbusdt@trade"], [], 1.0)
    connection.trouble, connection.stuck = "not answered", True
    stage.connection_manager.tick(20.0)
    assert stage.slot.rotation.reason == "unanswered"
    assert stage.slot.drops_total == 0


def test_a_stream_that_is_refused_later_is_told_and_nothing_else_happens(stage):
    connection = stage.live()
    stage.connection_manager.change(["bnbusdt@trade"], [], 1.0)
    connection.trouble = "refused"
    stage.connection_manager.tick(2.0)
    stage.connection_manager.tick(3.0)
    warnings = [one for one in stage.counters.notices if one.kind == "warning"]
    assert len(warnings) == 1
    assert stage.slot.rotation is None


def test_a_complaint_about_our_frames_slows_every_connection_and_is_told(stage, caplog):
    first = stage.live()
    assert first.pace.seconds == 0.5
    first.end = ConnectionEnded("server_close", 1008, "Too many requests")
    stage.connection_manager.tick(100.0)
    assert first.pace.seconds == 1.0
    assert "control frames are 1 s apart" in caplog.text
    second = stage.opened(200.0)
    assert second.pace is first.pace
    second.agree()
    stage.connection_manager.tick(699.0)
    assert second.pace.seconds == 1.0
    stage.connection_manager.tick(700.0)
    assert second.pace.seconds == 0.5


def test_complaints_without_an_end_are_no_loop(stage):
    """Each costs an attempt more seldom, up to the maximum of the backoff."""
    now, attempts = 0.0, 0
    while now < 1000.0:
        connection = stage.live(now)
        connection.end = ConnectionEnded("server_close", 1008, "Too many requests")
        stage.connection_manager.tick(now)
        attempts += 1
        assert connection.pace.seconds <= 2.0
        now = max(now, stage.slot.attempt_at)
    assert attempts < 100


def test_a_name_that_is_refused_is_left_out_and_asked_for_again_when_it_is_due(stage):
    connection = stage.opened(0.0)
    connection.refuse(ethusdt="no")
    stage.tick(1.0)

    assert stage.slot.live
    assert list(stage.unavailable) == ["ethusdt@trade"]
    assert stage.connection_manager.rotate(stage.slot, "age", 2.0)
    successor = stage.opened(2.0)
    assert successor.wished == {"btcusdt@trade"}
    successor.agree()
    stage.tick(3.0)
    assert stage.slot.active.connection_id == successor.connection_id
    assert stage.kinds().count("rotation_completed") == 1  # it is in nobody's way

    stage.tick(0.9 + AGAIN_FIRST_SECONDS)
    assert successor.wished == {"btcusdt@trade"}
    stage.tick(1.0 + AGAIN_FIRST_SECONDS)
    assert successor.wished == set(NAMES)
    successor.refuse(ethusdt="no")
    for second in range(62, 62 + int(2 * AGAIN_FIRST_SECONDS) - 1):
        stage.tick(float(second))
    assert successor.wished == {"btcusdt@trade"}  # the pauses double
    stage.tick(63.0 + 2 * AGAIN_FIRST_SECONDS)
    assert successor.wished == set(NAMES)
    successor.agree()
    stage.tick(64.0 + 2 * AGAIN_FIRST_SECONDS)
    assert stage.events[-1] == Accepted("ethusdt@trade")
    assert stage.events.count(Refused("ethusdt@trade", "no")) == 2
    assert not stage.unavailable


def test_where_all_names_are_refused_all_are_asked_for_on_a_new_connection(stage):
    for name in NAMES:
        stage.unavailable.note(name, "refused", None, 0.0)

    assert stage.opened(0.0).wished == set(NAMES)


def test_a_refused_name_without_a_connection_is_no_error(stage):
    stage.unavailable.note("ethusdt@trade", "refused", None, 0.0)
    stage.connection_manager.tick(AGAIN_FIRST_SECONDS)
    stage.connection_manager.resubscribe(["ethusdt@trade", "unheard@trade"], 1.0)
    assert stage.connection_manager.connections == {}


def test_a_stream_is_given_back_and_asked_for_again_on_all_that_serve_it(stage):
    stage.live()
    stage.connection_manager.rotate(stage.slot, "age", 1.0)
    stage.opened(1.0).agree()
    stage.covers = False
    stage.connection_manager.tick(2.0)

    for connection in stage.connection_manager.connections.values():
        connection.changes = []
        connection.change = lambda *change, to=connection.changes: to.append(change)
    stage.connection_manager.resubscribe(["ethusdt@trade"], 3.0)

    changes = [each.changes for each in stage.connection_manager.connections.values()]
    assert changes == [[(("ethusdt@trade",), ("ethusdt@trade",), 3.0)]] * 2
    assert stage.slot.successor.settled_at is None
