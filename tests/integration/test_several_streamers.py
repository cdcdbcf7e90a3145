"""Several streamers under one supervisor: each on its own, and nothing lost between them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request

import psutil
import pytest

from tests.audit import audit_files, await_caught_up, read_files
from tests.exchange import Exchange
from tests.kafka_cluster import KafkaCluster
from tests.kafka_reader import records as kafka_records
from tests.streaming import ROOT

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT")
"""Of two streamers the second has BTC, SOL and XRP; of three it has BTC and SOL, the third XRP."""


@pytest.fixture
def exchange(vigil):
    with Exchange(vigil.directory, rate=150, symbols=SYMBOLS) as exchange:
        yield exchange


def start(vigil, exchange, count, *command, **settings):
    values = {
        "exchange.websocket_url": exchange.websocket_url,
        "exchange.rest_url": exchange.rest_url,
        "exchange.ca_file": exchange.ca_file,
        "exchange.symbols": ",".join(exchange.symbols),
        "streamers.count": count,
        "sink.directory": records(vigil),
        "telemetry.report_every": 0.2,
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    vigil.log.write_text("")
    vigil.start("", *command, settings=values, launcher=("-m", "supervisor"))


def records(vigil):
    return vigil.directory / "records"


def stop(vigil, exchange):
    await_caught_up(exchange, records(vigil))
    vigil.process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0, vigil.log.read_text()


def symbols_in(vigil, name):
    return {record["symbol"] for record in read_files(records(vigil) / name, "trade", "*.avro*")}


def children(vigil):
    """Return the streamers' processes, the first one first."""
    found = []
    for child in psutil.Process(vigil.process.pid).children():
        if os.getsid(child.pid) == child.pid:
            found.append(child)
    return sorted(found, key=lambda one: one.create_time())


def assert_complete(vigil, exchange):
    for symbol in exchange.symbols:
        audit = audit_files(exchange, records(vigil), "trade", symbol)
        assert audit.clean, (symbol, audit)
    assert not read_files(records(vigil), "gap")
    audit = subprocess.run(
        [sys.executable, "-m", "streamer", "audit", "--no-copies", str(records(vigil))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert audit.returncode == 0, audit.stdout + audit.stderr


@pytest.mark.parametrize("back", [False, pytest.param(True, marks=pytest.mark.full)])
def test_symbols_move_with_the_number_of_streamers_and_nothing_is_lost(vigil, exchange, back):
    start(vigil, exchange, 2, "run")
    for number in (1, 2):
        vigil.until_logged(f"streamer-{number}: generation 1 reports")
    await_caught_up(exchange, records(vigil))
    first, second = children(vigil)
    second.kill()
    vigil.until_logged("streamer-2: generation 2 reports")
    assert first.is_running()
    stop(vigil, exchange)
    assert "streamer-1: generation 2" not in vigil.log.read_text()
    assert symbols_in(vigil, "streamer-1") == {"ETHUSDT", "BNBUSDT"}
    assert symbols_in(vigil, "streamer-2") == {"BTCUSDT", "SOLUSDT", "XRPUSDT"}

    start(vigil, exchange, 3, "run")
    vigil.until_logged("streamer-3: generation 1 reports")
    stop(vigil, exchange)
    assert symbols_in(vigil, "streamer-3") == {"XRPUSDT"}

    if back:
        start(vigil, exchange, 1, "run")
        vigil.until_logged("streamer-1: generation 1 reports")
        stop(vigil, exchange)
        stored = (records(vigil) / "trade").glob("*.avro")
        assert any(stored), "one alone has the directory itself"
    assert_complete(vigil, exchange)


@pytest.mark.full
@pytest.mark.timeout(900)  # the first run on a machine fetches Kafka
def test_into_kafka_and_records_that_wait_for_it_keep_the_number(vigil, exchange, tmp_path):
    topics = {name: f"several.{name}" for name in ("trade", "gap")}
    table = ", ".join(f'{name} = "{topic}"' for name, topic in topics.items())

    def trades(kafka):
        ids = {symbol: [] for symbol in SYMBOLS}
        for record in kafka_records(kafka, topics["trade"]):
            ids[record["symbol"]].append(record["trade_id"])
        return ids

    def caught_up(kafka):
        last = exchange.status()["last_ids"]
        vigil.until(
            lambda: all(
                max(ids, default=0) >= last[f"{symbol.lower()}@trade"]
                for symbol, ids in trades(kafka).items()
            )
        )

    with KafkaCluster(tmp_path / "kafka") as kafka:
        into = {
            "sink__kind": "kafka",
            "kafka__bootstrap_servers": kafka.bootstrap_servers,
            "kafka__topics": f"{{ {table} }}",
            "kafka__positions_topic": "several.positions",
            "kafka__dead_letter_topic": "several.dead",
            "kafka__create_topics": "true",
            "kafka__replication_factor": 1,
            "kafka__partitions": 3,
        }

        def begin(count, running):
            start(vigil, exchange, count, "run", **into)
            for number in range(1, running + 1):
                vigil.until_logged(f"streamer-{number}: generation 1 reports")

        def end(code=0):
            vigil.process.send_signal(signal.SIGTERM)
            assert vigil.exit_code() == code, vigil.log.read_text()

        begin(2, 2)
        vigil.until(lambda: all(trades(kafka).values()))
        for node in range(1, len(kafka.nodes) + 1):
            kafka.stop_node(node)
        sent = exchange.events_sent()
        vigil.until(lambda: exchange.events_sent() > sent + 300)
        end(code=1)  # what waits on disk is not acknowledged
        for node in range(1, len(kafka.nodes) + 1):
            kafka.start_node(node)
        begin(3, 2)
        assert "2 until the next start, not 3: records wait for Kafka in" in vigil.log.read_text()
        caught_up(kafka)
        end()
        begin(3, 3)
        caught_up(kafka)
        children(vigil)[0].kill()
        vigil.until_logged("generation 2 reports")
        caught_up(kafka)
        end()
        begin(1, 1)
        caught_up(kafka)
        end()
        for symbol, ids in trades(kafka).items():
            first = list(dict.fromkeys(ids))
            assert first == list(range(first[0], first[0] + len(first))), symbol


def metrics_url(vigil):
    for one in psutil.Process(vigil.process.pid).net_connections("tcp"):
        if one.status == psutil.CONN_LISTEN:
            return f"http://127.0.0.1:{one.laddr.port}"
    return None


@pytest.mark.full
@pytest.mark.parametrize("killed", [False, True])
def test_a_verdict_is_over_all_of_them(vigil, exchange, killed):
    plan = vigil.directory / "plan.toml"
    # Three that start on a busy machine take longer than the tenth of a run that smoke looks at.
    plan.write_text('base = "smoke"\nduration = "50s"\nrate_window = "40s"\n')
    start(vigil, exchange, 3, "soak", f"--profile={plan}")
    for number in (1, 2, 3):
        vigil.until_logged(f"streamer-{number}: generation 1 reports")
    url = vigil.until(lambda: metrics_url(vigil))

    def ready():
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False

    vigil.until(ready)
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    for number in (1, 2, 3):
        assert f'process_memory_rss_bytes{{streamer="streamer-{number}"}}' in text
    if killed:
        children(vigil)[1].kill()
    code = vigil.exit_code()
    profile = json.loads(vigil.output.read_text())
    outcomes = {one["name"]: one["outcome"] for one in profile["criteria"]}
    assert outcomes["streamer stayed up"] == ("fail" if killed else "pass")
    expected = (3, "fail") if killed else (0, "pass")
    assert (code, profile["verdict"]) == expected, vigil.log.read_text()
    assert [one["name"] for one in profile["streamers"]] == [
        "streamer-1",
        "streamer-2",
        "streamer-3",
    ]
