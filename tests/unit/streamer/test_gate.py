from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from streamer.backpressure import PAUSE_SECONDS
from streamer.gate import Gate
from streamer.tally import Tally


class Surroundings:
    """A sink, links and an intake that note what is done to them."""

    def __init__(self) -> None:
        self.sink: Any = SimpleNamespace(accepting=True)
        self.links: Any = SimpleNamespace(
            unread_since=None, read=self.read, overlapping=False, first_ids=lambda _: None
        )
        self.intake: Any = SimpleNamespace(
            take=lambda _connection, payloads, _ids, **_: self.taken.extend(payloads),
            let_go=self.let_go,
            declare_let_go=lambda names, seconds: self.missed.append((names, seconds)),
        )
        self.tally = Tally()
        self.gate = Gate(self.sink, self.links, self.intake, self.tally)
        self.reading: list[bool] = []
        self.taken: list[bytes] = []
        self.missed: list[tuple[list[str], float]] = []

    def read(self, reading: bool) -> None:
        self.reading.append(reading)

    def let_go(self, _connection: object, payloads: list[bytes], names: set[str]) -> int:
        names.add("btcusdt@bookTicker")
        return len(payloads)

    def receive(self, *payloads: bytes) -> None:
        self.gate.take(SimpleNamespace(), list(payloads))  # type: ignore[arg-type]


def test_a_short_pause_loses_nothing_and_declares_nothing() -> None:
    it = Surroundings()
    it.gate.heed(0.0)
    it.receive(b"1")
    it.sink.accepting = False
    it.gate.heed(1.0)
    assert not it.gate.is_open
    it.sink.accepting = True
    it.gate.heed(2.0)
    it.receive(b"2")
    assert (it.reading, it.taken, it.missed) == ([False, True], [b"1", b"2"], [])
    assert it.tally.let_go_total == 0


def test_what_was_let_go_is_counted_and_told_at_the_end() -> None:
    it = Surroundings()
    it.sink.accepting = False
    it.gate.heed(0.0)
    it.gate.heed(PAUSE_SECONDS)
    assert it.reading == [False, True]
    it.receive(b"1", b"2")
    it.receive(b"3")
    it.sink.accepting = True
    it.gate.heed(PAUSE_SECONDS + 5.0)
    it.receive(b"4")
    assert it.taken == [b"4"]
    assert it.missed == [(["btcusdt@bookTicker"], 5.0)]
    assert it.tally.let_go_total == 3
    (told,) = [notice for notice in it.tally.notices if notice.kind == "let_go"]
    assert told.detail == {"events": 3, "seconds": 5.0}
