"""A disk that takes nothing for longer than the exchange waits for a pong."""

from __future__ import annotations

import pytest

from tests.audit import audit_files, read_files
from tests.disks import fill, small_disk
from tests.exchange import Exchange
from tests.streaming import Process, at_exchange, eventually


@pytest.mark.full
def test_pongs_go_out_while_the_sink_takes_nothing_and_no_trade_is_missing(tmp_path):
    patience = ("--ping-interval", "3s", "--pong-timeout", "12s")
    with (
        small_disk(tmp_path / "disk") as disk,
        Exchange(tmp_path, rate=200, symbols=["BTCUSDT", "ETHUSDT"], extra=patience) as exchange,
    ):
        records = disk / "records"
        settings = {"exchange.streams": "trade,bookTicker", "sink.directory": records}
        arguments = at_exchange(exchange, **settings)
        with Process(tmp_path / "log", "streamer", *arguments) as streamer:
            eventually(lambda: exchange.connections() and list(records.glob("trade/*")))
            fill(disk / "filler")
            eventually(lambda: "reading stops" in streamer.output)
            eventually(lambda: "is read and dropped" in streamer.output)
            (connection,) = exchange.connections()
            pongs = connection["pongs_received"]
            # Five more pings and their pongs: longer than the exchange's patience.
            eventually(lambda: exchange.connections()[0]["pongs_received"] >= pongs + 5)
            (disk / "filler").unlink()
            eventually(lambda: "events were dropped" in streamer.output)
            eventually(lambda: streamer.output.count("asking REST") >= 2)
            assert exchange.status()["attempts_total"] == 1, streamer.output
            assert streamer.stop() == 0, streamer.output
        for symbol in exchange.symbols:
            audit = audit_files(exchange, records, "trade", symbol)
            assert audit.clean, audit
            assert audit.backfilled
        gaps = [gap for gap in read_files(records, "gap") if gap["stream"] == "bookTicker"]
        assert {gap["symbol"] for gap in gaps} == set(exchange.symbols)
