"""A streamer that was killed or stopped goes on where its files end: they equal the tape.

No record is missing and none is there twice; REST tells what came in between.
"""

from __future__ import annotations

import json
import shutil
import signal
import time

from tests.audit import audit_files, await_caught_up, read_files, stored_bytes
from tests.exchange import Exchange
from tests.streaming import Process, at_exchange, eventually
from tests.waiting import WITHIN_SECONDS

STREAMS = ("trade", "aggTrade")
NASTY = ("--rest-nasty", "0.2")


def streamer(tmp_path, exchange, **settings):
    settings = {
        "exchange.streams": ",".join(STREAMS),
        "sink.directory": tmp_path / "records",
        "connection.gap_wait": "200ms",
        "connection.backoff_initial": "300ms",
        **settings,
    }
    return Process(tmp_path / "streamer.log", "streamer", *at_exchange(exchange, **settings))


def streams(process):
    """Whether a process has a connection: of two on one directory, only one has."""
    return any("socket:" in each for each in process.open_files)


def records(tmp_path):
    return tmp_path / "records"


def stored(tmp_path, stream="trade"):
    return stored_bytes(records(tmp_path) / stream, "*.avro*")


def await_growth(tmp_path, bytes_more=30_000):
    size = stored(tmp_path)
    eventually(lambda: stored(tmp_path) > size + bytes_more, what="more records")


def assert_complete(tmp_path, exchange, *, streams=STREAMS, directory=None):
    for stream in streams:
        for symbol in exchange.symbols:
            audit = audit_files(exchange, directory or records(tmp_path), stream, symbol)
            assert audit.clean, (stream, symbol, audit)
            assert audit.backfilled, (stream, symbol)


def test_killed_again_and_again_under_load_nothing_is_missing_or_doubled(tmp_path):
    with Exchange(tmp_path, rate=300, extra=NASTY) as exchange:
        for _ in range(3):
            with streamer(tmp_path, exchange, sink__rollover_bytes="80kB") as process:
                await_growth(tmp_path, 120_000)
                process.stop(signal.SIGKILL)
        with streamer(tmp_path, exchange) as process:
            await_caught_up(exchange, records(tmp_path), STREAMS)
            assert process.stop() == 0, process.output
        assert_complete(tmp_path, exchange)
        assert not read_files(records(tmp_path), "gap")


def test_killed_while_events_wait_above_an_open_gap(tmp_path):
    """What waited was in no file: the next start asks for it again, the gap included."""
    with Exchange(tmp_path, rate=600) as exchange:
        with streamer(tmp_path, exchange, repair__held_in_memory=100) as process:
            await_growth(tmp_path)
            away = exchange.fault("rest_error", status=503, duration=3600.0)
            lost = exchange.fault("withhold", stream="trade", symbol="ETHUSDT", count=5)
            exchange.happened(lost["number"])
            eventually(lambda: "suspected gap" in process.output, what="a suspected gap")
            await_growth(tmp_path, 60_000)
            process.stop(signal.SIGKILL)
        exchange.end(away["number"])
        with streamer(tmp_path, exchange) as process:
            await_caught_up(exchange, records(tmp_path), STREAMS)
            assert process.stop() == 0, process.output
        assert_complete(tmp_path, exchange)


def test_a_planned_restart_leaves_no_trace(tmp_path):
    with Exchange(tmp_path, rate=300) as exchange:
        for _ in range(2):
            with streamer(tmp_path, exchange) as process:
                await_growth(tmp_path)
                await_caught_up(exchange, records(tmp_path), STREAMS)
                assert process.stop() == 0, process.output
        with streamer(tmp_path, exchange) as process:
            await_caught_up(exchange, records(tmp_path), STREAMS)
            assert process.stop() == 0, process.output
        assert_complete(tmp_path, exchange)


def test_complete_files_may_be_moved_away_at_any_time(tmp_path):
    moved = tmp_path / "moved"

    def move():
        for stream in STREAMS:
            (moved / stream).mkdir(parents=True, exist_ok=True)
            for path in (records(tmp_path) / stream).glob("*.avro"):
                shutil.move(path, moved / stream / path.name)

    with Exchange(tmp_path, rate=600) as exchange:
        with streamer(tmp_path, exchange, sink__rollover_bytes="100kB") as process:
            await_growth(tmp_path, 300_000)
            move()
            await_growth(tmp_path)
            process.stop(signal.SIGKILL)
            move()
        with streamer(tmp_path, exchange) as process:
            await_growth(tmp_path)
            await_caught_up(exchange, records(tmp_path), STREAMS)
            assert process.stop() == 0, process.output
        move()
        assert not list(records(tmp_path).glob("*/*.avro*"))
        with streamer(tmp_path, exchange) as process:
            await_caught_up(exchange, records(tmp_path), STREAMS)
            assert process.stop() == 0, process.output
        move()
        assert_complete(tmp_path, exchange, directory=moved)
        names = [path.name.rpartition("-")[2] for path in (moved / "trade").iterdir()]
        assert len(set(names)) == len(names), "a number is used once"


def test_of_two_that_start_at_once_the_second_goes_on_after_the_first(tmp_path):
    with Exchange(tmp_path, rate=300) as exchange:
        with streamer(tmp_path, exchange) as first, streamer(tmp_path, exchange) as second:
            await_growth(tmp_path)
            assert exchange.status()["attempts_total"] == 1, "the second one waits"
            winner, loser = (first, second) if streams(first) else (second, first)
            assert winner.stop() == 0
            await_caught_up(exchange, records(tmp_path), STREAMS)
            assert loser.stop() == 0, loser.output
        assert_complete(tmp_path, exchange)


def last_trades(tmp_path, symbol):
    found = read_files(records(tmp_path), "trade", "*.avro*")
    return max((each["trade_id"] for each in found if each["symbol"] == symbol), default=0)


def test_the_last_trades_of_a_symbol_that_falls_silent_are_fetched(tmp_path):
    """Nothing live comes after them, neither after a kill nor after a mere reconnect."""
    with Exchange(tmp_path, rate=300) as exchange:
        settings = {"connection.stale_after": "1500ms"}
        with streamer(tmp_path, exchange, **settings) as process:
            await_growth(tmp_path)
            process.stop(signal.SIGKILL)
        silenced = exchange.fault("stall", stream="trade", symbol="ETHUSDT", duration=60)
        exchange.begun(silenced["number"])
        killed = exchange.tape("trade", "ETHUSDT")[-1]["t"]
        with streamer(tmp_path, exchange, **settings) as process:
            eventually(lambda: last_trades(tmp_path, "ETHUSDT") >= killed)
            exchange.fault("reset")
            cut = exchange.tape("trade", "ETHUSDT")[-1]["t"]
            eventually(lambda: last_trades(tmp_path, "ETHUSDT") >= cut)
            await_caught_up(exchange, records(tmp_path), ["aggTrade"])
            await_caught_up(exchange, records(tmp_path), symbols=["BTCUSDT", "BNBUSDT"])
            assert process.stop() == 0, process.output
        assert audit_files(exchange, records(tmp_path), "trade", "ETHUSDT").clean


def test_a_stop_above_an_open_gap_leaves_the_rest_to_the_next_start(tmp_path):
    """Not all that was received is stored, so the exit code is 1; nothing is lost all the same."""
    with Exchange(tmp_path, rate=300) as exchange:
        with streamer(tmp_path, exchange) as process:
            await_growth(tmp_path)
            away = exchange.fault("rest_error", status=503, duration=3600.0)
            lost = exchange.fault("withhold", stream="trade", symbol="ETHUSDT", count=5)
            exchange.happened(lost["number"])
            eventually(lambda: "suspected gap" in process.output, what="a suspected gap")
            await_growth(tmp_path)
            assert process.stop() == 1
            assert "events above an open gap are left to the next start" in process.output
        exchange.end(away["number"])
        with streamer(tmp_path, exchange) as process:
            await_caught_up(exchange, records(tmp_path), STREAMS)
            assert process.stop() == 0, process.output
        assert_complete(tmp_path, exchange)


def test_what_is_too_old_is_declared_and_the_rest_is_fetched(tmp_path):
    """As after a night in which nobody ran: an hour of tape, of which ten minutes are wanted."""
    extra = ("--history", "1h")
    with Exchange(tmp_path, rate=20, symbols=("BTCUSDT",), extra=extra) as exchange:
        began = exchange.tape("trade", "BTCUSDT", to_id=5_000_000_100)[-1]
        left = {"last_id": began["t"], "received_us": began["E"]}
        document = {"version": 1, "next_file": 7, "positions": {"btcusdt@trade": left}}
        path = records(tmp_path) / "positions" / "trade.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(document))
        settings = {"exchange.streams": "trade", "repair.max_age": "10m"}
        started = time.time()
        with streamer(tmp_path, exchange, **settings) as process:
            await_caught_up(exchange, records(tmp_path))
            assert process.stop() == 0, process.output
        audit = audit_files(exchange, records(tmp_path), "trade", "BTCUSDT")
        assert audit.clean
        found = read_files(records(tmp_path), "trade")
        [gap] = read_files(records(tmp_path), "gap")
        assert (gap["stream"], gap["reason"]) == ("trade", "too_old")
        assert (gap["first_id"], gap["last_id"]) == (began["t"] + 1, found[0]["trade_id"] - 1)
        page_seconds = 1000 / 20
        age = started - found[0]["trade_time"].timestamp()
        assert 600 - WITHIN_SECONDS < age < 600 + page_seconds
        told = f"gap: trade of BTCUSDT from {gap['first_id']} to {gap['last_id']} "
        assert told in process.output


def test_quotes_between_two_runs_are_a_gap_of_time(tmp_path):
    with Exchange(tmp_path, rate=100, symbols=("BTCUSDT",)) as exchange:
        for _ in range(2):
            with streamer(tmp_path, exchange, exchange__streams="bookTicker") as process:
                size = stored(tmp_path, "bookTicker")
                eventually(lambda: stored(tmp_path, "bookTicker") > size + 5_000, what="quotes")  # noqa: B023
                assert process.stop() == 0, process.output
        [gap] = read_files(records(tmp_path), "gap")
        assert (gap["stream"], gap["reason"], gap["first_id"]) == (
            "bookTicker", "not_repaired", None,
        )  # fmt: skip
        heard = [record["received_time"] for record in read_files(records(tmp_path), "bookTicker")]
        assert gap["from_time"] in heard
        assert len([time for time in heard if gap["from_time"] < time <= gap["to_time"]]) < 10


def test_positions_are_a_file_that_people_can_read(tmp_path):
    with Exchange(tmp_path, rate=100, symbols=("BTCUSDT",)) as exchange:
        with streamer(tmp_path, exchange) as process:
            await_growth(tmp_path)
            assert process.stop() == 0
        written = json.loads((records(tmp_path) / "positions" / "trade.json").read_text())
        last = read_files(records(tmp_path), "trade")[-1]
        position = written["positions"]["btcusdt@trade"]
        assert position["last_id"] == last["trade_id"]
        assert (written["version"], written["next_file"]) == (1, 2)
