"""Gaps are repaired over REST, however nasty it is: the audit finds nothing missing.

REST of these exchanges does something unpleasant to a third of the requests.
"""

from __future__ import annotations

import itertools
import time

import pytest

from tests.audit import audit_files, await_caught_up, read_files, stored_bytes
from tests.exchange import Exchange
from tests.streaming import Process, at_exchange, eventually
from tests.unit.streamer.loopback import read_head, serve

STREAMS = ("trade", "aggTrade")
NASTY = ("--rest-nasty", "0.3")


def streamer(tmp_path, exchange, **settings):
    settings = {
        "exchange.streams": ",".join(STREAMS),
        "sink.directory": tmp_path / "records",
        "connection.gap_wait": "200ms",
        "connection.backoff_initial": "300ms",
        **settings,
    }
    return Process(tmp_path / "streamer.log", "streamer", *at_exchange(exchange, **settings))


def stored(tmp_path, stream="trade"):
    return stored_bytes(tmp_path / "records" / stream, "*")


def await_growth(tmp_path, bytes_more=20_000):
    size = stored(tmp_path)
    eventually(lambda: stored(tmp_path) > size + bytes_more, what="more records")


def await_every_symbol(tmp_path, exchange, stream="trade"):
    """Wait until an event of each symbol is stored: before that nothing can be missing."""

    def there():
        found = read_files(tmp_path / "records", stream, "*.avro*")
        return {record["symbol"] for record in found} == set(exchange.symbols)

    eventually(there, what="a record of each symbol")


def opened(exchange):
    """How many connections the exchange has accepted so far."""
    return exchange.status()["attempts_total"]


def audits(tmp_path, exchange):
    return {
        (stream, symbol): audit_files(exchange, tmp_path / "records", stream, symbol)
        for stream in STREAMS
        for symbol in exchange.symbols
    }


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        ("reset", {}),
        ("stall", {"duration": 1.0}),
        ("withhold", {"stream": "trade", "symbol": "ETHUSDT", "count": 7}),
        ("malformed", {"variant": "reserved_bit", "stream": "trade"}),
    ],
)
def test_nothing_is_missing_after(tmp_path, fault, arguments):
    with (
        Exchange(tmp_path, rate=300, extra=NASTY) as exchange,
        streamer(tmp_path, exchange) as process,
    ):
        await_every_symbol(tmp_path, exchange)
        record = exchange.fault(fault, **arguments)
        exchange.happened(record["number"])
        eventually(lambda: "suspected gap" in process.output, what="a suspected gap")
        await_growth(tmp_path)
        await_caught_up(exchange, tmp_path / "records", STREAMS)
        assert process.stop() == 0, process.output
        found = audits(tmp_path, exchange)
        assert all(audit.clean for audit in found.values()), found
        assert found["trade", "ETHUSDT"].backfilled
        assert not read_files(tmp_path / "records", "gap")


def test_data_of_a_symbol_waits_for_its_gap_and_that_of_others_does_not(tmp_path):
    """REST is away: what comes above the gap goes from memory to disk, and out again in order."""
    with (
        Exchange(tmp_path, rate=600) as exchange,
        streamer(tmp_path, exchange, repair__held_in_memory=100) as process,
    ):
        await_every_symbol(tmp_path, exchange)
        away = exchange.fault("rest_error", status=503, duration=3600.0)
        lost = exchange.fault("withhold", stream="trade", symbol="ETHUSDT", count=5)
        first_lost = exchange.happened(lost["number"])["withheld"]["ethusdt@trade"]["first_id"]
        eventually(lambda: "suspected gap" in process.output, what="a suspected gap")
        await_growth(tmp_path, 80_000)
        eventually(
            lambda: any("/held/" in path for path in process.open_files),
            what="more than may be in memory",
        )
        waiting = [r["trade_id"] for r in read_files(tmp_path / "records", "trade", "*.avro*")
                   if r["symbol"] == "ETHUSDT"]  # fmt: skip
        assert max(waiting) == first_lost - 1
        exchange.end(away["number"])
        await_growth(tmp_path)
        await_caught_up(exchange, tmp_path / "records", STREAMS)
        assert process.stop() == 0, process.output
        found = audits(tmp_path, exchange)
        assert all(audit.clean for audit in found.values()), found
        backfilled = found["trade", "ETHUSDT"].backfilled
        assert backfilled == tuple(range(first_lost, first_lost + 5))


def test_what_rest_never_tells_becomes_a_record(tmp_path):
    with (
        Exchange(tmp_path, rate=300) as exchange,
        streamer(tmp_path, exchange, repair__give_up_after="1s") as process,
    ):
        await_every_symbol(tmp_path, exchange)
        exchange.fault("rest_empty", duration=60)
        lost = exchange.fault("withhold", stream="trade", symbol="ETHUSDT", count=5)
        withheld = exchange.happened(lost["number"])["withheld"]["ethusdt@trade"]
        eventually(lambda: "gap: trade of ETHUSDT" in process.output, what="the gap")
        await_growth(tmp_path)
        await_caught_up(exchange, tmp_path / "records", STREAMS)
        assert process.stop() == 0, process.output
        [gap] = read_files(tmp_path / "records", "gap")
        audit = audits(tmp_path, exchange)["trade", "ETHUSDT"]
        first, last = withheld["first_id"], withheld["last_id"]
        assert audit.holes == [(first, last)]
        assert (gap["symbol"], gap["stream"], gap["reason"]) == ("ETHUSDT", "trade", "lagging")
        assert (gap["first_id"], gap["last_id"], gap["missing"]) == (first, last, 5)
        assert gap["record_id"] == f"binance:spot:ETHUSDT:trade:gap:{first}-{last}"


def hostile_rest(number):
    """Return what the `number`-th connection to a hostile REST does."""

    def drip(sock):
        read_head(sock)
        while True:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.05)

    def say(sock):
        read_head(sock)
        sock.sendall(
            [
                b"HTTP/1.1 200 OK\r\nX-MBX-USED-WEIGHT-1M: " + b"9" * 5000
                + b'\r\nContent-Length: 18\r\n\r\n{"serverTime":9e999',
                b"HTTP/1.1 429 x\r\nRetry-After: " + b"9" * 5000 + b"\r\n\r\n",
            ][number > 2]
        )  # fmt: skip

    return drip if number in (1, 2) else say


def test_rest_that_never_ends_an_answer_and_then_bans_us_for_years_costs_one_gap(tmp_path):
    """Every request has an end, and so has the wait for REST, though it forbids to be asked."""
    numbers = itertools.count()
    with (
        serve(lambda sock: hostile_rest(next(numbers))(sock)) as port,
        Exchange(tmp_path, rate=300) as exchange,
        streamer(
            tmp_path, exchange, repair__give_up_after="2s", repair__request_timeout="500ms",
            exchange__rest_url=f"http://127.0.0.1:{port}",
        ) as process,
    ):  # fmt: skip
        await_every_symbol(tmp_path, exchange)
        lost = exchange.fault("withhold", stream="trade", symbol="ETHUSDT", count=5)
        withheld = exchange.happened(lost["number"])["withheld"]["ethusdt@trade"]
        eventually(lambda: "gap: trade of ETHUSDT" in process.output, what="the gap")
        await_growth(tmp_path)
        await_caught_up(exchange, tmp_path / "records", STREAMS)
        assert process.stop() == 0, process.output
        assert "Traceback" not in process.output
        assert next(numbers) >= 3, "nothing was asked after an answer that did not end"
        [gap] = read_files(tmp_path / "records", "gap")
        assert (gap["first_id"], gap["last_id"]) == (withheld["first_id"], withheld["last_id"])
        assert audits(tmp_path, exchange)["trade", "ETHUSDT"].holes == [
            (withheld["first_id"], withheld["last_id"])
        ]


def test_a_time_in_which_quotes_were_missed_becomes_a_record(tmp_path):
    with (
        Exchange(tmp_path, rate=100, symbols=("BTCUSDT",)) as exchange,
        streamer(tmp_path, exchange, exchange__streams="trade,bookTicker") as process,
    ):
        eventually(lambda: stored(tmp_path, "bookTicker"), what="records")
        exchange.fault("refuse_connections", how="tcp", duration=0.5)  # so that some are missed
        exchange.fault("reset")
        eventually(
            lambda: "that cannot be repaired" in process.output, what="the end of the silence"
        )
        await_growth(tmp_path)  # one trade, one quote: some come after the gap for sure
        assert process.stop() == 0, process.output
        [gap] = read_files(tmp_path / "records", "gap")
        assert (gap["stream"], gap["reason"], gap["first_id"]) == (
            "bookTicker", "not_repaired", None,
        )  # fmt: skip
        quotes = read_files(tmp_path / "records", "bookTicker")
        before = [one for one in quotes if one["received_time"] <= gap["from_time"]]
        after = [one for one in quotes if one["received_time"] >= gap["to_time"]]
        missing = audit_files(exchange, tmp_path / "records", "bookTicker", "BTCUSDT").missing
        assert missing
        assert before[-1]["update_id"] < min(missing)
        assert max(missing) < after[0]["update_id"]


def test_a_quiet_symbol_costs_no_rotation_and_a_dead_stream_does(tmp_path):
    symbols = ("BTCUSDT", "ETHUSDT=0.0001")
    with Exchange(tmp_path, rate=100, symbols=symbols) as exchange:
        exchange.symbols = ["BTCUSDT", "ETHUSDT"]
        with streamer(tmp_path, exchange, connection__stale_after="2500ms") as process:
            eventually(lambda: stored(tmp_path), what="records")
            await_growth(tmp_path, 40_000)  # four seconds: ETHUSDT is silent, and quiet
            assert opened(exchange) == 1
            exchange.fault("stall", stream="trade", symbol="BTCUSDT", duration=10)
            eventually(lambda: opened(exchange) >= 2, what="a rotation")
            assert "btcusdt@trade has been silent" in process.output
            assert "ethusdt@trade has been silent" not in process.output
            assert process.stop() == 0, process.output
