from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from streamer.backpressure import PAUSE_SECONDS
from streamer.feed_counters import FeedCounters
from streamer.flow_control import FlowControl


class Surroundings:
    """A sink, connections and an ingest that note what is done to them."""

    def __init__(self) -> None:
        self.sink: Any = SimpleNamespace(accepting=True)
        self.connection_manager: Any = SimpleNamespace(
            unread_since=None, read=self.read, overlapping=False, first_ids=lambda _: None
        )
        self.ingest: Any = SimpleNamespace(
            take=lambda _connection, payloads, _ids, **_: self.taken.extend(payloads),
            shed=self.shed,
            coverage=SimpleNamespace(
                declare_shed=lambda names, seconds: self.missed.append((names, seconds))
            ),
        )
        self.counters = FeedCounters()
        self.flow_control = FlowControl(
            self.sink, self.connection_manager, self.ingest, self.counters
        )
        self.reading: list[bool] = []
        self.taken: list[bytes] = []
        self.missed: list[tuple[list[str], float]] = []

    def read(self, reading: bool) -> None:
        self.reading.append(reading)

    def shed(self, _connection: object, payloads: list[bytes], names: set[str]) -> int:
        names.add("btcusdt@bookTicker")
        return len(payloads)

    def receive(self, *payloads: bytes) -> None:
        self.flow_control.take(SimpleNamespace(), list(payloads))  # type: ignore[arg-type]


def test_a_short_pause_loses_nothing_and_declares_nothing() -> None:
    it = Surroundings()
    it.flow_control.update(0.0)
    it.receive(b"1")
    it.sink.accepting = False
    it.flow_control.update(1.0)
    assert not it.flow_control.is_open
    it.sink.accepting = True
    it.flow_control.update(2.0)
    it.receive(b"2")
    assert (it.reading, it.taken, it.missed) == ([False, True], [b"1", b"2"], [])
    assert it.counters.shed_total == 0


def test_what_was_let_go_is_counted_and_told_at_the_end() -> None:
    it = Surroundings()
    it.sink.accepting = False
    it.flow_control.update(0.0)
    it.flow_control.update(PAUSE_SECONDS)
    assert it.reading == [False, True]
    it.receive(b"1", b"2")
    it.receive(b"3")
    it.sink.accepting = True
    it.flow_control.update(PAUSE_SECONDS + 5.0)
    it.receive(b"4")
    assert it.taken == [b"4"]
    assert it.missed == [(["btcusdt@bookTicker"], 5.0)]
    assert it.counters.shed_total == 3
    (told,) = [notice for notice in it.counters.notices if notice.kind == "let_go"]
    assert told.detail == {"events": 3, "seconds": 5.0}
