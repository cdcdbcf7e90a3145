"""What comes again under its ids and says something else."""

from __future__ import annotations

import pytest

from streamer.data.rejected import RejectedFrames
from streamer.feed_counters import FeedCounters
from streamer.ingest.ingest import Ingest
from streamer.routes import Routes
from tests.unit.streamer.ingest.test_ingest import Connection, Sink
from tests.unit.streamer.payloads import AGG_TRADE, BOOK_TICKER, DEPTH, KLINE, TRADE, frame

STREAMS = {
    "trade": (TRADE, {"p": "1.5"}, {"t": TRADE["t"] + 1}),
    "aggTrade": (AGG_TRADE, {"q": "9.5"}, {"a": AGG_TRADE["a"] + 1}),
    "bookTicker": (BOOK_TICKER, {"b": "1.5"}, {"u": BOOK_TICKER["u"] + 1}),
    "depth": (DEPTH, {"b": [["1.5", "2"]]}, {"U": DEPTH["u"] + 1, "u": DEPTH["u"] + 9}),
    "kline_1m": (KLINE, {"k": {**KLINE["k"], "c": "65001.5"}}, None),
}


class Stage:
    def __init__(self, directory):
        self.sink, self.counters = Sink(), FeedCounters()
        routes = Routes(STREAMS, ["BTCUSDT"])
        self.rejected = RejectedFrames(directory, 1 << 20)
        self.ingest = Ingest(routes, self.sink, self.rejected, self.counters, overlap_seconds=5.0)

    def hear(self, stream, *payloads, overlapping=False):
        frames = [frame(each, f"btcusdt@{stream}") for each in payloads]
        self.ingest.take(Connection(), frames, None, overlapping=overlapping)

    @property
    def stored(self):
        return len(self.sink.put_of)


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_copy_of_the_latest_event_with_other_content_is_kept_and_counted(stage, stream, tmp_path):
    first, change, _ = STREAMS[stream]
    stage.hear(stream, first, first)
    assert not stage.counters.message_errors

    stage.hear(stream, {**first, **change})

    assert stage.stored == 1
    assert stage.counters.message_errors == {"differing_copy": 1}
    [letter] = (tmp_path / "rejected" / "first.jsonl").read_text().splitlines()
    assert "differing_copy" in letter
    [notice] = [each for each in stage.counters.notices if each.kind == "frame_rejected"]
    assert notice.detail["error_type"] == "differing_copy"


@pytest.mark.parametrize("stream", [each for each in STREAMS if STREAMS[each][2]])
def test_while_connections_overlap_earlier_events_are_compared_too(stage, stream):
    first, change, following = STREAMS[stream]
    stage.hear(stream, first, {**first, **following}, overlapping=True)
    stage.hear(stream, first, {**first, **following}, overlapping=True)
    assert not stage.counters.message_errors

    stage.hear(stream, {**first, **change}, overlapping=True)

    assert stage.stored == 2
    assert stage.counters.message_errors == {"differing_copy": 1}


@pytest.mark.parametrize("stream", ["trade", "aggTrade"])
def test_what_waits_above_a_gap_is_compared_too(stage, stream):
    first, change, following = STREAMS[stream]
    [key] = following
    waits = {**first, key: first[key] + 5}
    stage.hear(stream, first, waits, waits)
    assert not stage.counters.message_errors

    stage.hear(stream, {**waits, **change})

    assert stage.counters.message_errors == {"differing_copy": 1}


@pytest.mark.parametrize("stream", ["trade", "aggTrade", "depth"])
def test_what_may_begin_a_new_epoch_is_compared_too(stage, stream):
    first, change, _ = STREAMS[stream]
    time_key = "E" if stream == "depth" else "T"
    anew = {**first, time_key: first[time_key] + 5_000_000}
    anew |= {"U": 7, "u": 9} if stream == "depth" else {"t": 7} if stream == "trade" else {"a": 7}
    stage.hear(stream, first, anew, anew)
    assert not stage.counters.message_errors

    stage.hear(stream, {**anew, **change})

    assert stage.counters.message_errors == {"differing_copy": 1}


def test_after_the_overlap_nothing_is_remembered(stage):
    first, change, following = STREAMS["trade"]
    stage.hear("trade", first, {**first, **following}, overlapping=True)
    stage.hear("trade")
    stage.hear("trade", {**first, **change})

    assert not stage.counters.message_errors
