from types import SimpleNamespace

import pytest

from streamer.config import KafkaConfig
from streamer.feed_counters import FeedCounters
from streamer.memory.free_heap import FreeHeap
from streamer.memory.parts import MemoryAccount
from streamer.messages import SinkCounts
from streamer.network.slot import SlotConnection
from streamer.network.slots import Slots
from streamer.repair.staleness import StalenessProbe
from streamer.report import IdleClock, Reporter
from streamer.routes import Routes
from streamer.unavailable import UnavailableStreams

BEGAN, STALE_AFTER = 100.0, 30.0


class Stage:
    """A reporter over routes and slots, without connections."""

    def __init__(self, *, probe=True):
        self.routes = Routes(["trade"], ["BTCUSDT", "ETHUSDT"])
        self.btc, self.eth = self.routes
        self.slots = Slots(lambda: None)
        (self.slot,) = self.slots.add(route.name for route in self.routes)
        self.slot.active = SlotConnection(1, BEGAN + 1.0, subscribed_at=BEGAN + 2.0)
        self.clock = IdleClock(self.routes, BEGAN)
        self.probe = StalenessProbe(STALE_AFTER) if probe else None
        self.unavailable = UnavailableStreams()
        self.reporter = Reporter(
            SimpleNamespace(
                name="streamer-1", generation=1, repair=SimpleNamespace(held_in_memory=20_000)
            ),
            self.routes,
            SimpleNamespace(slots=self.slots, connections={}),
            SimpleNamespace(counts=lambda: SinkCounts("null")),
            FeedCounters(),
            self.clock,
            BEGAN,
            silences=self.probe,
            unavailable=self.unavailable,
            memory=MemoryAccount(KafkaConfig(), FreeHeap()),
        )

    def streams(self, seconds):
        return self.reporter.report(BEGAN + seconds, "streaming").streams


@pytest.fixture
def stage():
    return Stage()


def test_a_stream_to_which_nothing_happens_is_told_with_the_same_counts(stage):
    first = stage.streams(5.0)
    assert stage.streams(6.0) == first == stage.streams(17.3)
    stage.btc.received_us = 10**15
    stage.btc.sequence.take(7, (None, 0), BEGAN)
    btc, eth = stage.streams(18.0)
    assert eth == first[1]
    assert btc != first[0]
    assert (btc.last_id, btc.last_event_time, btc.slot) == (7, 1e9, "slot-1")


def test_silence_counts_from_the_subscription_where_that_is_later(stage):
    assert {one.silent_since for one in stage.streams(5.0)} == {2.0}
    stage.slot.active = None
    assert {one.silent_since for one in stage.streams(6.0)} == {0.0}
    assert stage.reporter.silent_seconds(stage.btc, BEGAN + 6.0) == 6.0
    stage.slot.active = SlotConnection(2, BEGAN + 7.0)
    assert stage.reporter.silent_seconds(stage.btc, BEGAN + 8.0) == 8.0
    stage.slot.active.subscribed_at = BEGAN + 7.5
    assert stage.reporter.silent_seconds(stage.btc, BEGAN + 8.0) == 0.5


def test_what_is_known_of_a_silence_is_told_once_it_is_long(stage):
    assert {one.silence for one in stage.streams(31.0)} == {None}
    stage.probe.told(stage.btc.name, "quiet", 30.0, BEGAN + 32.0)
    assert [one.silence for one in stage.streams(32.0)] == ["quiet", "unconfirmed"]
    assert [one.silence for one in Stage(probe=False).streams(99.0)] == [None, None]


def test_what_is_not_served_says_why(stage):
    stage.unavailable.note(stage.eth.name, "refused", None, BEGAN)
    assert [one.unavailable for one in stage.streams(5.0)] == [None, "refused"]


def test_a_stream_whose_slot_is_not_known_is_told_all_the_same(stage):
    stage.slots.remove([stage.btc.name])
    stage.slots.forget(stage.btc.name)
    assert [one.slot for one in stage.streams(5.0)] == [None, "slot-1"]
    assert stage.reporter.silent_seconds(stage.btc, BEGAN + 5.0) == 5.0
