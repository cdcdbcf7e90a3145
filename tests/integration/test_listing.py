"""Symbols by pattern: who is listed joins, who is delisted leaves, and nobody else notices."""

from __future__ import annotations

from tests.audit import audit_files, read_files
from tests.exchange import Exchange
from tests.streaming import Process, at_exchange, eventually

SYMBOLS = ("BTCUSDT", "ETHUSDT", "币安人生USDT", "BTCDOWNUSDT", "ETHBTC")


def test_listings_join_and_delistings_leave_without_disturbing_others(tmp_path):
    directory, log = tmp_path / "records", tmp_path / "streamer.log"

    def arguments(exchange, *symbols):
        return at_exchange(
            exchange,
            exchange__symbols=",".join(symbols),
            exchange__symbols_every="200ms",
            connection__rotation_overlap="100ms",
            sink__directory=directory,
        )

    def until(text, times=1):
        eventually(lambda: log.read_text().count(text) >= times)

    def stored(symbol):
        return sum(one["symbol"] == symbol for one in read_files(directory, "trade", "*"))

    with Exchange(tmp_path, rate=100, symbols=SYMBOLS) as exchange:
        patterns = "*usdt", "!*DOWNUSDT"
        with Process(log, "streamer", *arguments(exchange, *patterns)) as process:
            until("symbols listed: BTCUSDT, ETHUSDT, 币安人生USDT")
            eventually(lambda: all(stored(symbol) > 10 for symbol in SYMBOLS[:3]))
            fault = exchange.fault("rest_halt", symbol="ETHUSDT", duration=600)
            until("ethusdt@trade has left")
            before = stored("ETHUSDT")
            exchange.end(fault["number"])
            until("symbols listed: ETHUSDT")
            eventually(lambda: stored("ETHUSDT") > before + 10)
            assert process.stop() == 0

        for symbol in SYMBOLS[:3]:  # ETHUSDT went on after its last record
            assert audit_files(exchange, directory, "trade", symbol).clean
        text = log.read_text()
        assert "symbols delisted: ETHUSDT" in text
        assert "rotat" not in text
        assert "suspected gap: trade of BTCUSDT" not in text
        assert {one["symbol"] for one in read_files(directory, "trade", "*")} == set(SYMBOLS[:3])
        reasons = [(one["symbol"], one["reason"]) for one in read_files(directory, "gap")]
        assert reasons == [("ETHUSDT", "delisted")]

        # What was known last is streamed at once, though the exchange cannot tell.
        fault = exchange.fault("rest_error", status=503, duration=600)
        with Process(log, "streamer", *arguments(exchange, *patterns)) as process:
            until("known last")
            until("suspected gap: trade of BTCUSDT")
            exchange.end(fault["number"])
            assert process.stop() == 0
        assert audit_files(exchange, directory, "trade", "BTCUSDT").clean
