"""Books, klines, tickers and averages from the exchange's tape into files, field by field."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.audit import CLOSED, audit_files, await_caught_up, kind_of, read_files, stored_bytes
from tests.exchange import Exchange
from tests.streaming import ROOT, Process, at_exchange, eventually

STREAMS = (
    "trade", "aggTrade", "bookTicker", "depth", "depth@100ms",
    "kline_1s", "kline_1m", "kline_1M", "miniTicker", "ticker",
    "depth5", "depth20@100ms", "avgPrice",
)  # fmt: skip
SYMBOLS = ("BTCUSDT", "PEPEUSDT")
REFUSED_SECONDS = 3.0
NUMBERED = ("trade", "aggTrade")


def streamer(tmp_path, exchange, streams=STREAMS, **settings):
    settings = {
        "exchange.streams": ",".join(streams),
        "sink.directory": tmp_path / "records",
        "connection.gap_wait": "300ms",
        "connection.backoff_initial": "300ms",
        "connection.rotation_overlap": "1s",
        **settings,
    }
    return Process(tmp_path / "streamer.log", "streamer", *at_exchange(exchange, **settings))


def stored(tmp_path, stream):
    return stored_bytes(tmp_path / "records" / kind_of(stream), "*")


SMALL_BYTES = 500  # what a few records of avgPrice take, one a second of each symbol


def await_more(tmp_path, streams=STREAMS, bytes_more=1500):
    """Wait until every kind has grown: a dozen records of the slowest ones."""
    # Headers first: those of the longest schema are 4 kB.
    eventually(lambda: all(stored(tmp_path, each) for each in streams), what="files")
    sizes = {stream: stored(tmp_path, stream) for stream in streams}
    eventually(
        lambda: all(
            stored(tmp_path, each) > size + (SMALL_BYTES if each == "avgPrice" else bytes_more)
            for each, size in sizes.items()
        ),
        what="more of every stream",
    )


def audits(tmp_path, exchange, streams=STREAMS):
    return {
        (stream, symbol): audit_files(exchange, tmp_path / "records", stream, symbol)
        for stream in streams
        for symbol in SYMBOLS
    }


def gaps(tmp_path, stream, symbol):
    return [
        each
        for each in read_files(tmp_path / "records", "gap")
        if (each["stream"], each["symbol"]) == (stream, symbol)
    ]


def test_every_stream_is_stored_exactly_over_rotations(tmp_path):
    with (
        Exchange(tmp_path, rate=100, symbols=SYMBOLS) as exchange,
        streamer(tmp_path, exchange, connection__max_age="4s") as process,
    ):
        eventually(lambda: stored(tmp_path, "ticker"), what="records")
        eventually(lambda: exchange.status()["attempts_total"] >= 4, what="rotations")
        await_more(tmp_path)
        assert process.stop() == 0, process.output
        for key, audit in audits(tmp_path, exchange).items():
            assert audit.clean, (key, audit)
            assert audit.count > 5, (key, audit)
            assert not audit.backfilled
        assert read_files(tmp_path / "records", "gap") == []
        assert not list((tmp_path / "records" / "rejected").glob("*"))
    command = [sys.executable, "-m", "streamer", "audit", "--json", tmp_path / "records"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {each["stream"] for each in json.loads(done.stdout)["streams"]}
    assert found == {*STREAMS, "depthSnapshot"}


def test_after_a_drop_each_stream_has_what_can_be_had_and_tells_of_the_rest(tmp_path):
    """REST tells trades and closed candles; the book's changes and the tickers are gone."""
    with (
        Exchange(tmp_path, rate=100, symbols=SYMBOLS) as exchange,
        streamer(tmp_path, exchange, connection__backoff_initial="500ms") as process,
    ):
        await_more(tmp_path)
        # So long that every stream misses some: the slowest brings one a second.
        exchange.fault("refuse_connections", how="503", duration=REFUSED_SECONDS)
        reset = exchange.fault("reset")
        dropped_at = exchange.happened(reset["number"])["happened_at"]
        eventually(lambda: "gap: depth" in process.output, what="the gap in the book")
        await_more(tmp_path)
        await_caught_up(exchange, tmp_path / "records", NUMBERED)
        assert process.stop() == 0, process.output
        found = audits(tmp_path, exchange)

        for (stream, symbol), audit in found.items():
            declared = gaps(tmp_path, stream, symbol)
            assert audit.intact, (stream, symbol, audit)
            if stream in ("trade", "aggTrade"):
                assert audit.clean, (stream, symbol, audit)
                assert declared == []
            elif kind_of(stream) == "kline":
                assert [each for each in audit.missing if each[1] == CLOSED] == []
                assert declared == []
            elif kind_of(stream) == "depth":
                check_book_gap(exchange, stream, symbol, audit, declared)
            else:
                [gap] = declared
                assert gap["first_id"] is None
                # What came before the drop was read before it was possible to connect again.
                assert gap["from_time"].timestamp() < dropped_at + REFUSED_SECONDS
                if stream in ("miniTicker", "ticker", "avgPrice") and audit.missing:  # by time
                    assert audit.missing[-1] < gap["to_time"].timestamp() * 1e6
        assert found["kline_1s", "BTCUSDT"].backfilled


def check_book_gap(exchange, stream, symbol, audit, declared):
    """Exactly the changes that are missing are declared, and that a snapshot is needed."""
    tape = exchange.tape(stream, symbol, audit.missing[0], audit.missing[-1])
    assert len(tape) == len(audit.missing)
    [gap] = declared
    assert (gap["first_id"], gap["last_id"]) == (tape[0]["U"], tape[-1]["u"])
    assert gap["missing"] == tape[-1]["u"] - tape[0]["U"] + 1
    assert gap["reason"] == "not_repaired"


ONE_BY_ONE = ("depth@100ms", "kline_1s", "ticker")


@pytest.mark.parametrize(
    "fault", [pytest.param("duplicate", marks=pytest.mark.full), "reorder", "malformed"]
)
def test_what_happens_to_single_events_is_put_right(tmp_path, fault):
    with (
        Exchange(tmp_path, rate=50, symbols=SYMBOLS) as exchange,
        # Two of a ticker in the wrong order come a second apart.
        streamer(tmp_path, exchange, ONE_BY_ONE, connection__gap_wait="2500ms") as process,
    ):
        await_more(tmp_path, ONE_BY_ONE, 800)
        records = [
            exchange.fault(fault, stream=stream, symbol="BTCUSDT", count=2) for stream in ONE_BY_ONE
        ]
        for record in records:
            exchange.happened(record["number"])
        await_more(tmp_path, ONE_BY_ONE, 800)
        assert process.stop() == 0, process.output
        for (stream, symbol), audit in audits(tmp_path, exchange, ONE_BY_ONE).items():
            assert audit.intact, (stream, symbol, audit)
            late = (stream, symbol, fault) == ("ticker", "BTCUSDT", "reorder")
            assert len(audit.missing) == late, (stream, symbol, audit)
        rejected = list((tmp_path / "records" / "rejected").glob("*"))
        assert bool(rejected) == (fault == "malformed")


def test_a_missing_closing_is_fetched_and_candles_without_trades_are_no_gap(tmp_path):
    streams = ("kline_1s", "kline_1m")
    with (
        Exchange(tmp_path, rate=2, symbols=SYMBOLS, extra=["--rest-nasty", "0.3"]) as exchange,
        streamer(tmp_path, exchange, streams) as process,
    ):
        await_more(tmp_path, streams, 500)
        lost = exchange.fault("withhold", stream="kline_1s", symbol="BTCUSDT", count=3)
        withheld = exchange.happened(lost["number"])["withheld"]["btcusdt@kline_1s"]
        eventually(lambda: "suspected gap: kline_1s" in process.output, what="a suspected gap")
        await_more(tmp_path, streams, 2500)
        assert process.stop() == 0, process.output
        found = audits(tmp_path, exchange, streams)

        assert all(audit.clean for audit in found.values()), found
        backfilled = found["kline_1s", "BTCUSDT"].backfilled
        assert len(backfilled) == withheld["events"] == 3
        assert not gaps(tmp_path, "kline_1s", "BTCUSDT")


def test_a_closing_that_rest_does_not_tell_becomes_a_record(tmp_path):
    with (
        Exchange(tmp_path, rate=20, symbols=SYMBOLS) as exchange,
        streamer(tmp_path, exchange, ("kline_1s",), repair__give_up_after="1s") as process,
    ):
        await_more(tmp_path, ("kline_1s",), 500)
        exchange.fault("rest_error", status=503, duration=60)
        exchange.fault("withhold", stream="kline_1s", symbol="BTCUSDT", count=2)
        eventually(lambda: "gap: kline_1s" in process.output, what="the gap")
        await_more(tmp_path, ("kline_1s",))
        assert process.stop() == 0, process.output
        [gap] = gaps(tmp_path, "kline_1s", "BTCUSDT")
        audit = audits(tmp_path, exchange, ("kline_1s",))["kline_1s", "BTCUSDT"]

        assert audit.intact, audit
        assert len(audit.missing) == gap["missing"] == 2
        assert (gap["to_time"] - gap["from_time"]).total_seconds() == 2
        assert gap["first_id"] is None
        opens = [open_time for open_time, _ in audit.missing]
        assert gap["from_time"].timestamp() * 10**6 == opens[0]


def test_a_killed_streamer_goes_on_with_every_stream(tmp_path):
    """Candles are fetched, lost changes of the book declared; nothing is there twice."""
    with Exchange(tmp_path, rate=100, symbols=SYMBOLS) as exchange:
        with streamer(tmp_path, exchange) as process:
            await_more(tmp_path)
            process.stop(signal.SIGKILL)
        until = exchange.status()["time"] + 2.5
        eventually(lambda: exchange.status()["time"] > until, what="a pause")
        with streamer(tmp_path, exchange, sink__rollover_after="4s") as process:
            await_more(tmp_path)
            await_more(tmp_path)
            await_caught_up(exchange, tmp_path / "records", NUMBERED)
            assert process.stop() == 0, process.output
        until = exchange.status()["time"] + 1.5
        eventually(lambda: exchange.status()["time"] > until, what="a pause")
        with streamer(tmp_path, exchange) as process:
            await_more(tmp_path)
            await_caught_up(exchange, tmp_path / "records", NUMBERED)
            assert process.stop() == 0, process.output
        for (stream, symbol), audit in audits(tmp_path, exchange).items():
            declared = gaps(tmp_path, stream, symbol)
            assert audit.intact, (stream, symbol, audit)
            if kind_of(stream) == "depth":
                lost = [
                    (tape[0]["U"], tape[-1]["u"])
                    for tape in runs(exchange.tape(stream, symbol), audit.missing)
                ]
                assert [(gap["first_id"], gap["last_id"]) for gap in declared] == lost
                assert len(lost) == 2
            elif kind_of(stream) in ("trade", "aggTrade", "kline"):
                closed = [each for each in audit.missing if kind_of(stream) != "kline" or
                          each[1] == CLOSED]  # fmt: skip
                assert closed == []
                assert declared == []
            else:
                assert len(declared) == 2


def runs(tape, missing):
    """Return the neighbours among the tape's payloads that are missing."""
    found, neighbours = [], False
    for payload in tape:
        is_missing = payload["u"] in missing
        if is_missing and neighbours:
            found[-1].append(payload)
        elif is_missing:
            found.append([payload])
        neighbours = is_missing
    return found
