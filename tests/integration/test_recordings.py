"""Frames of the real exchange, replayed over TLS, through the whole way into files."""

from __future__ import annotations

from collections import defaultdict

from tests.audit import compare, kind_of, payload_id, read_files
from tests.exchange import Exchange
from tests.recordings import frames, recording
from tests.streaming import Process, at_exchange, eventually

MILLISECONDS = 1000  # ticks per second: the exchange's default, and what was recorded
STREAMS = ("aggTrade", "bookTicker", "depth@100ms", "kline_1m")


def test_recorded_frames_of_the_spot_market_are_stored_exactly(tmp_path):
    path = recording("BINANCE.ws.1.0")
    recorded = defaultdict(list)
    for frame in frames(path):
        name, data = frame["stream"], frame["data"]
        recorded[name.partition("@")[2], data["s"]].append(data)
    symbols = sorted({symbol for _, symbol in recorded})
    assert {stream for stream, _ in recorded} == set(STREAMS)
    expected = sum(map(len, recorded.values()))
    assert expected > 200

    with Exchange(
        tmp_path, symbols=symbols, extra=["--replay", str(path), "--replay-speed", "0"]
    ) as exchange:
        settings = {
            "exchange.streams": ",".join(STREAMS),
            "exchange.time_unit": "ms",
            "connection.gap_wait": "200ms",
            "sink.directory": tmp_path / "records",
        }
        arguments = at_exchange(exchange, **settings)
        with Process(tmp_path / "streamer.log", "streamer", *arguments) as process:
            eventually(
                lambda: sum(each["events_sent"] for each in exchange.connections()) >= expected,
                what="the end of the replay",
            )
            assert process.stop() == 0
        assert not list((tmp_path / "records").glob("rejected/*"))
    assert read_files(tmp_path / "records", "gap") == [], "the recorded book has no hole"
    for stream in STREAMS:
        records = read_files(tmp_path / "records", stream)
        assert len(records) == sum(len(data) for key, data in recorded.items() if key[0] == stream)
        for symbol in {symbol for kind, symbol in recorded if kind == stream}:
            tape = recorded[stream, symbol]
            assert len({payload_id(kind_of(stream), data, MILLISECONDS) for data in tape}) == len(
                tape
            )
            audit = compare(stream, symbol, records, tape, ticks_per_second=MILLISECONDS)
            assert audit.clean, audit
