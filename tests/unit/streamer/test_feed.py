from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from streamer.assembly import assemble
from streamer.feed import Feed
from streamer.order.positions import Position
from streamer.removed_streams import RemovedStreams
from streamer.routes import Routes
from streamer.settings import StreamerSettings, load
from streamer.sinks import Sink, open_sink


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
