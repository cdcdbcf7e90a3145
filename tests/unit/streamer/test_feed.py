from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streamer.assembly import assemble
from streamer.errors import MemberRefused, StreamerError
from streamer.feed import Feed
from streamer.messages import Command, GroupShards, Report
from streamer.order.positions import Position
from streamer.removed_streams import RemovedStreams
from streamer.routes import Routes
from streamer.settings import StreamerSettings, load
from streamer.sinks import Sink, open_sink
from streamer.wanted_streams import WantedStreams


def test_the_sink_is_told_of_streams_that_were_there_before(tmp_path: Path) -> None:
    assignments = ["exchange.symbols=BTCUSDT", "exchange.streams=trade"]
    config = load(
        StreamerSettings, None, [*assignments, f"sink.directory={tmp_path}"]
    ).streamer_config()
    RemovedStreams(tmp_path).note({"ethusdt@trade": None, "ethusdt@aggTrade": Position(5, 0)})
    told: set[str] = set()

    def sink_of(routes: Routes, earlier: Collection[str]) -> Sink:
        told.update(earlier)
        return open_sink(config, routes, earlier)

    feed = Feed(config, assemble(config, sink_of))
    feed.stop("the test has seen it")
    assert feed.run() == 0
    assert told == {"ethusdt@trade", "ethusdt@aggTrade"}


class Group:
    """A membership of which the test says what it is told. Turns of the feed are its time."""

    def __init__(self) -> None:
        self.did: list[Any] = []
        self.failed: StreamerError | None = None
        self.is_settled = False
        self.told = GroupShards("g", 3, (0, 2), 9)
        self.at_turn: Callable[[], None] = lambda: None

    def woke(self, now: float) -> None:
        pass

    def start(self) -> None:
        self.did.append("start")

    def turn(self, now: float) -> None:
        self.at_turn()

    def leave(self, now: float, within_seconds: float) -> None:
        self.did.append(("leave", within_seconds))

    def has_left(self, now: float, within_seconds: float) -> bool:
        return True

    def end_leaving(self, now: float) -> None:
        self.did.append("end_leaving")

    def tell_left(self) -> None:
        self.did.append("tell_left")

    def close(self) -> None:
        self.did.append("close")


class Reports:
    """Telemetry that keeps the reports."""

    def __init__(self) -> None:
        self.sent: list[Report] = []

    def commands(self) -> list[Command]:
        return []

    def send(self, report: Report) -> None:
        self.sent.append(report)

    def close(self) -> None:
        pass


def feed_of(tmp_path: Path, group: Group, reports: Reports, **launch: float) -> Feed:
    config = load(
        StreamerSettings, None, ["sink.kind=null", f"sink.directory={tmp_path}"]
    ).streamer_config(**launch)
    config = replace(config, exchange=replace(config.exchange, symbols=()))
    parts = assemble(config, lambda routes, earlier: open_sink(config, routes, earlier))
    feed = Feed(config, replace(parts, group=cast("Any", group), telemetry=cast("Any", reports)))
    group.at_turn = lambda: feed.stop("the test has seen it")
    return feed


@pytest.mark.parametrize(("in_all", "handover"), [(None, 5.0), (4.0, 2.0)])
def test_a_member_of_a_group_has_half_of_its_time_for_the_handover(
    tmp_path: Path, in_all: float | None, handover: float
) -> None:
    group = Group()
    feed = feed_of(tmp_path, group, Reports(), stop_within=10.0)
    group.at_turn = lambda: feed.stop("drain", 3.0, in_all_seconds=in_all)
    assert feed.run() == 0
    assert group.did == ["start", ("leave", handover), "end_leaving", "tell_left", "close"]


def test_a_member_is_streaming_when_all_of_its_shards_are_recorded(tmp_path: Path) -> None:
    group, reports = Group(), Reports()
    feed = feed_of(tmp_path, group, reports)
    assert feed.run() == 0
    assert reports.sent[0].state == "connecting"
    group, reports = Group(), Reports()
    group.is_settled = True
    assert feed_of(tmp_path, group, reports).run() == 0
    assert reports.sent[0].state == "streaming"
    assert reports.sent[0].shards == group.told


def test_a_member_that_does_not_know_what_trades_is_not_streaming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WantedStreams, "is_known", property(lambda _: False))
    group, reports = Group(), Reports()
    group.is_settled = True
    assert feed_of(tmp_path, group, reports).run() == 0
    assert reports.sent[0].state == "connecting"


def test_a_member_that_can_be_none_leaves_what_it_holds_to_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, reports = Group(), Reports()
    feed = feed_of(tmp_path, group, reports)
    monkeypatch.setattr(feed._sink, "keep", lambda: "/data/overflow")
    group.failed = MemberRefused("another one has this name")
    with pytest.raises(MemberRefused):
        feed.run()
    assert reports.sent[-1].final
    assert reports.sent[-1].exit_reason == (
        "another one has this name; 0 records wait in /data/overflow: "
        "the next start delivers them first"
    )
    assert group.did == ["start", "close"]


def test_a_member_that_was_stopped_as_it_read_is_asked_for_before_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lay in the socket meanwhile may be somebody else's to record."""
    group, did = Group(), []
    feed = feed_of(tmp_path, group, Reports())

    def receive(*_: object) -> list[bytes]:
        did.append("receive")
        return [b"{}"]

    monkeypatch.setattr(feed._connection_manager, "receive", receive)
    monkeypatch.setattr(feed._flow_control, "take", lambda *_: did.append("take"))
    monkeypatch.setattr(group, "woke", lambda _: did.append("woke"))
    feed._read(cast("Any", SimpleNamespace(wants_write=False)))
    assert did == ["receive", "woke", "take"]
