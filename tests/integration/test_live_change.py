"""Symbols and streams that come and go while a streamer runs: the others notice nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.audit import audit_files, audit_records, await_caught_up, read_files
from tests.exchange import Exchange
from tests.kafka_mock import MockKafka
from tests.streaming import ROOT, Process, at_exchange, eventually

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT")


class Lone:
    """A lone streamer whose symbols and streams are in a file."""

    def __init__(self, tmp_path, exchange, **settings):
        self.file = tmp_path / "vigil.toml"
        self.records = tmp_path / "records"
        chosen = {
            "sink.directory": self.records,
            "connection.rotation_overlap": "500ms",
            "connection.backoff_initial": "100ms",
            **settings,
        }
        pairs = at_exchange(exchange, **chosen)
        self.process = Process(tmp_path / "streamer.log", "streamer", *pairs)
        self.process.configure(self.file, "exchange.symbols")

    def want(self, symbols, streams=("trade",), more=""):
        self.file.write_text(
            f"[exchange]\nsymbols = {json.dumps(list(symbols))}\n"
            f"streams = {json.dumps(list(streams))}\n{more}"
        )

    def change(self, symbols, streams=("trade",), more=""):
        self.want(symbols, streams, more)
        self.process.send(signal.SIGHUP)

    def until(self, text):
        eventually(lambda: text in self.process.output, what=repr(text))

    def count(self, symbol, stream="trade"):
        return sum(one["symbol"] == symbol for one in self.read(stream))

    def grows(self, symbol, by=100):
        known = self.count(symbol)
        eventually(lambda: self.count(symbol) >= known + by, what=f"{symbol}")

    def read(self, stream="trade"):
        return records_in(self.records, stream)


def records_in(directory, stream="trade"):
    """Return the records so far, those of the file in progress as far as it is whole."""
    return read_files(directory, stream, "*")


def holds_whole_tape(exchange, records, symbol, stream="trade"):
    audit = audit_files(exchange, records, stream, symbol)
    assert audit.clean, (symbol, audit)
    assert not audit.backfilled, symbol
    return audit


def test_a_symbol_is_added_and_removed_under_load_without_a_hole_elsewhere(tmp_path):
    with Exchange(tmp_path, rate=300, symbols=SYMBOLS) as exchange:
        lone = Lone(tmp_path, exchange)
        lone.want(SYMBOLS[:4])
        with lone.process as process:
            lone.grows("BTCUSDT")
            lone.change(SYMBOLS)
            lone.until("SIGHUP: added xrpusdt@trade")
            lone.grows("XRPUSDT")
            lone.change(SYMBOLS[:4])
            lone.until("SIGHUP: removed xrpusdt@trade")
            lone.until("xrpusdt@trade has left")
            lone.grows("BTCUSDT")
            names = {f"{one.lower()}@trade" for one in SYMBOLS[:4]}
            [connection] = exchange.connections()
            assert set(connection["subscriptions"]) == names
            assert exchange.status()["attempts_total"] == 1
            assert process.stop() == 0
        for symbol in SYMBOLS:
            holds_whole_tape(exchange, lone.records, symbol)
        assert "gap" not in process.output
        assert "unknown_stream" not in process.output
        assert not list((lone.records / "rejected").glob("*"))


def test_one_that_comes_back_begins_anew_or_goes_on_if_it_had_not_left(tmp_path):
    with Exchange(tmp_path, rate=300, symbols=SYMBOLS[:2]) as exchange:
        lone = Lone(tmp_path, exchange, connection__rotation_overlap="1s")
        lone.want(SYMBOLS[:2])
        with lone.process as process:
            lone.grows("ETHUSDT")
            lone.change(SYMBOLS[:1])  # a mistake, mended at once
            lone.until("SIGHUP: removed ethusdt@trade")
            lone.change(SYMBOLS[:2])
            lone.until("SIGHUP: added ethusdt@trade")
            lone.grows("ETHUSDT")
            audit = audit_records(exchange, lone.read(), "trade", "ETHUSDT")
            assert audit.clean, audit
            lone.change(SYMBOLS[:1])
            lone.until("ethusdt@trade has left")
            left = max(one["trade_id"] for one in lone.read("trade") if one["symbol"] == "ETHUSDT")
            latest = exchange.status()["last_ids"]
            eventually(
                lambda: (
                    exchange.status()["last_ids"]["ethusdt@trade"] > latest["ethusdt@trade"] + 50
                )
            )
            lone.change(SYMBOLS[:2])
            lone.grows("ETHUSDT")
            assert process.stop() == 0
        holds_whole_tape(exchange, lone.records, "BTCUSDT")
        audit = audit_files(exchange, lone.records, "trade", "ETHUSDT")
        assert audit.intact
        [(first, _)] = audit.holes
        assert first == left + 1
        assert f"gap: trade of ETHUSDT from {first}" not in process.output
        [gap] = records_in(lone.records, "gap")
        assert (gap["reason"], gap["first_id"]) == ("not_wanted", first)
        audited = subprocess.run(
            [sys.executable, "-m", "streamer", "audit", lone.records], cwd=ROOT, check=False
        )
        assert audited.returncode == 0  # all is explained


def test_killed_as_it_comes_back_what_nobody_wanted_is_on_record_or_there(tmp_path):
    def stored():
        return [one["trade_id"] for one in lone.read() if one["symbol"] == "ETHUSDT"]

    with Exchange(tmp_path, rate=300, symbols=SYMBOLS[:2]) as exchange:
        lone = Lone(tmp_path, exchange)
        lone.want(SYMBOLS[:2])
        with lone.process as process:
            lone.grows("ETHUSDT", 10)
            lone.change(SYMBOLS[:1])
            lone.until("ethusdt@trade has left")
            left = max(stored())
            lone.grows("BTCUSDT", 10)
            lone.change(SYMBOLS[:2])
            eventually(lambda: max(stored()) > left, what="its first record", every=0.01)
            process.send(signal.SIGKILL)
            process.wait()
        with lone.process as process:
            lone.grows("ETHUSDT")
            await_caught_up(exchange, lone.records)
            assert process.stop() == 0
        audit = audit_files(exchange, lone.records, "trade", "ETHUSDT")
        assert audit.intact
        gaps = [(one["first_id"], one["last_id"]) for one in records_in(lone.records, "gap")]
        assert audit.holes == gaps
        assert audit_files(exchange, lone.records, "trade", "BTCUSDT").clean


@pytest.mark.parametrize("at_a_start", [False, True])
def test_one_that_was_removed_while_no_streamer_ran_leaves_no_hole_without_a_record(
    tmp_path, at_a_start
):
    with Exchange(tmp_path, rate=300, symbols=SYMBOLS[:2]) as exchange:
        lone = Lone(tmp_path, exchange)
        lone.want(SYMBOLS[:2])
        with lone.process as process:
            lone.grows("ETHUSDT", 10)
            assert process.stop() == 0
        left = max(one["trade_id"] for one in lone.read() if one["symbol"] == "ETHUSDT")
        lone.want(SYMBOLS[:1])
        with lone.process as process:
            lone.grows("BTCUSDT", 10)
            if not at_a_start:
                lone.change(SYMBOLS[:2])
                lone.grows("ETHUSDT", 10)
            await_caught_up(exchange, lone.records, symbols=SYMBOLS[:1])
            assert process.stop() == 0
        if at_a_start:
            lone.want(SYMBOLS[:2])
            with lone.process as process:
                lone.grows("ETHUSDT", 10)
                await_caught_up(exchange, lone.records)
                assert process.stop() == 0
        audit = audit_files(exchange, lone.records, "trade", "ETHUSDT")
        [(first, last)] = audit.holes
        assert first == left + 1
        [gap] = records_in(lone.records, "gap")
        assert (gap["reason"], gap["first_id"], gap["last_id"]) == ("not_wanted", first, last)


def test_a_new_stream_opens_its_own_files(tmp_path):
    with Exchange(tmp_path, rate=100, symbols=SYMBOLS[:1]) as exchange:
        lone = Lone(tmp_path, exchange)
        lone.want(SYMBOLS[:1])
        with lone.process as process:
            lone.grows("BTCUSDT")
            lone.change(SYMBOLS[:1], ("trade", "aggTrade"))
            eventually(lambda: lone.count("BTCUSDT", "aggTrade") > 20, what="aggregate trades")
            assert process.stop() == 0
        for stream in ("trade", "aggTrade"):
            holds_whole_tape(exchange, lone.records, "BTCUSDT", stream)


def test_wrong_settings_change_nothing_and_others_wait_for_a_new_start(tmp_path):
    with Exchange(tmp_path, rate=100, symbols=SYMBOLS[:2]) as exchange:
        lone = Lone(tmp_path, exchange)
        lone.want(SYMBOLS[:1])
        with lone.process as process:
            lone.grows("BTCUSDT", 10)
            lone.change(["BTC/USDT"])
            lone.until("SIGHUP: nothing is changed: exchange.symbols")
            lone.change(SYMBOLS[:2], more="[connection]\nmax_age = '2h'\n")
            lone.until("SIGHUP: needs a new start: connection.max_age")
            lone.until("SIGHUP: added ethusdt@trade")
            lone.grows("ETHUSDT", 10)
            assert process.stop() == 0


def test_in_the_middle_of_a_rotation_both_connections_follow(tmp_path):
    with Exchange(tmp_path, rate=300, symbols=[*SYMBOLS[:3], "QUIETUSDT=0.0001"]) as exchange:
        exchange.symbols = [*SYMBOLS[:3], "QUIETUSDT"]
        lone = Lone(tmp_path, exchange, connection__max_age="8s", connection__rotation_overlap="7s")
        lone.want(["BTCUSDT", "ETHUSDT", "QUIETUSDT"])  # the quiet one has its whole overlap
        with lone.process as process:
            eventually(lambda: len(exchange.connections()) == 2, what="a rotation")
            lone.change(["BTCUSDT", "BNBUSDT", "QUIETUSDT"])
            wanted = {"btcusdt@trade", "bnbusdt@trade", "quietusdt@trade"}
            eventually(
                lambda: (
                    [set(one["subscriptions"]) == wanted for one in exchange.connections()]
                    == [True, True]
                ),
                what="both",
            )
            eventually(lambda: len(exchange.connections()) == 1, what="its end")
            lone.grows("BNBUSDT")
            lone.until("ethusdt@trade has left")
            assert process.stop() == 0
        for symbol in SYMBOLS[:3]:
            holds_whole_tape(exchange, lone.records, symbol)


@pytest.mark.parametrize("slots", [2])
def test_a_thousand_streams_change_in_small_frames_and_few_of_them(tmp_path, slots):
    many = [f"SYM{number:04d}USDT" for number in range(1100)]
    with Exchange(
        tmp_path,
        rate=100,
        symbols=["BTCUSDT"],
        extra=("--message-limit", "5", "--large-frame-bytes", "3500"),
    ) as exchange:
        lone = Lone(tmp_path, exchange)
        lone.want(["BTCUSDT"])
        with lone.process as process:
            lone.grows("BTCUSDT", 10)
            lone.change(["BTCUSDT", *many])
            eventually(
                lambda: sum(len(one["subscriptions"]) for one in exchange.connections()) == 1101,
                what="every stream",
            )
            assert len(exchange.connections()) == slots
            began = time.monotonic()
            lone.change(["BTCUSDT"])
            eventually(
                lambda: (
                    [one["subscriptions"] for one in exchange.connections()] == [["btcusdt@trade"]]
                ),
                what="the second slot's end",
            )
            assert time.monotonic() - began >= 1.0  # not all at once
            lone.grows("BTCUSDT", 10)
            assert "ended" not in process.output
            assert process.stop() == 0
        holds_whole_tape(exchange, lone.records, "BTCUSDT")


def test_the_supervisor_has_its_streamer_follow_the_settings(vigil):
    def want(*symbols):
        config.write_text(f"[exchange]\nsymbols = {json.dumps(symbols)}\n")

    def stored(symbol):
        return sum(one["symbol"] == symbol for one in records_in(vigil.directory / "records"))

    config = vigil.directory / "vigil.toml"
    want(*SYMBOLS[:2])
    with Exchange(vigil.directory, rate=100, symbols=SYMBOLS) as exchange:
        settings = {
            "exchange.websocket_url": exchange.websocket_url,
            "exchange.rest_url": exchange.rest_url,
            "exchange.ca_file": exchange.ca_file,
            "connection.rotation_overlap": "300ms",
            "supervisor.drain_grace": 10,
            "sink.directory": vigil.directory / "records",
            "telemetry.report_every": 0.2,
        }
        launcher = ("-m", "supervisor", f"--config={config}")
        process = vigil.start("", "soak", "--profile=smoke", settings=settings, launcher=launcher)
        vigil.until(lambda: stored("BTCUSDT") > 20)
        want("BTCUSDT", "BNBUSDT")
        process.send_signal(signal.SIGHUP)
        vigil.until_logged("streamer-1: added bnbusdt@trade; removed ethusdt@trade")
        vigil.until(lambda: stored("BNBUSDT") > 20)
        vigil.until_logged("ethusdt@trade has left")
        vigil.streamer().kill()
        vigil.exit_code()  # in a soak that is its end
        profile = vigil.profile()
        [change] = profile["subscription_changes"]
        assert change["added"] == ["trade:BNBUSDT"]
        assert change["removed"] == ["trade:ETHUSDT"]
        [event] = [one for one in profile["events"] if one["kind"] == "subscription_changed"]
        assert event["detail"] == {"added": "bnbusdt@trade", "removed": "ethusdt@trade"}
    assert "ETHUSDT" not in "".join(
        one["message"] for one in profile["actions"] if one["rule"] == "silence"
    )


def reload(runtime_directory, config=None):
    """Return the finished client command; its own settings only say whom to ask."""
    command = [sys.executable, "-m", "supervisor", *([f"--config={config}"] if config else [])]
    command += [f"--set=supervisor.runtime_directory={runtime_directory}", "reload"]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


def test_nobody_to_reload_is_said(tmp_path):
    asked = reload(tmp_path)
    assert asked.returncode == 2
    assert f"no supervisor answers at {tmp_path}/control" in asked.stderr


def test_a_restarted_streamer_streams_what_is_wanted_by_then(vigil):
    config = vigil.directory / "vigil.toml"
    config.write_text('[exchange]\nsymbols = ["BTCUSDT"]\n')
    with Exchange(vigil.directory, rate=100, symbols=SYMBOLS) as exchange:
        settings = {
            "exchange.websocket_url": exchange.websocket_url,
            "exchange.rest_url": exchange.rest_url,
            "exchange.ca_file": exchange.ca_file,
            "supervisor.drain_grace": 10,
            "sink.directory": vigil.directory / "records",
        }
        launcher = ("-m", "supervisor", f"--config={config}")
        process = vigil.start("", "run", settings=settings, launcher=launcher)
        vigil.until_logged("generation 1 reports")
        vigil.until(lambda: exchange.connections())
        config.write_text('[exchange]\nsymbols = ["BNBUSDT"]\n')
        asked = reload(vigil.directory / "run", config)
        assert asked.stdout == (
            "changed: exchange.symbols\nstreamer-1: added bnbusdt@trade; removed btcusdt@trade\n"
        )
        assert asked.returncode == 0
        config.write_text("[exchange]\nsymbols = 7\n")
        asked = reload(vigil.directory / "run")
        assert "nothing is changed: exchange.symbols = 7" in asked.stdout
        assert asked.returncode == 2
        config.write_text('[exchange]\nsymbols = ["BNBUSDT"]\n')
        vigil.streamer().kill()
        vigil.until_logged("generation 2 reports")
        vigil.until(
            lambda: (
                [one["subscriptions"] for one in exchange.connections() if not one["closing"]]
                == [["bnbusdt@trade"]]
            )
        )
        process.send_signal(signal.SIGTERM)
        assert vigil.exit_code() == 0


def test_kafka_takes_what_has_a_topic_and_says_what_has_none(tmp_path):
    with MockKafka() as brokers, Exchange(tmp_path, rate=100, symbols=SYMBOLS[:2]) as exchange:
        settings = {"sink.kind": "kafka", "kafka.bootstrap_servers": brokers}
        lone = Lone(tmp_path, exchange, **settings)
        lone.want(SYMBOLS[:1])
        with lone.process as process:
            eventually(lambda: exchange.connections(), what="a connection")
            lone.change(SYMBOLS[:2])
            lone.until("SIGHUP: added ethusdt@trade")
            lone.change(SYMBOLS[:2], ("trade", "aggTrade"))
            lone.until("SIGHUP: the streams stay as they are: the topic market.crypto.aggtrades")
            names = [f"{symbol.lower()}@trade" for symbol in SYMBOLS[:2]]
            eventually(
                lambda: [one["subscriptions"] for one in exchange.connections()] == [names],
                what="both symbols",
            )
            lone.change(SYMBOLS[1:2])
            lone.until("btcusdt@trade has left")
            assert process.stop() == 0
