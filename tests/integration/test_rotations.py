"""Rotations in a row under load: nothing missing, nothing doubled, nothing that grows.

`pytest tests/integration/test_rotations.py -m full -s` makes a thousand of them, in some twenty
minutes, and prints the figures.
"""

from __future__ import annotations

import itertools
import json
import time
from datetime import timedelta

import psutil
import pytest

from tests.audit import audit_files, compare, read_files
from tests.exchange import Exchange
from tests.streaming import Process, at_exchange
from tests.waiting import WITHIN_SECONDS

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT")
RATE = 300
MIB = 1 << 20
GROWTH_BYTES = 2 * MIB  # of the floor, over the last nine tenths; measured: 0.7 and 0.8


def watch(pid, exchange, rotations):
    """Return looks (attempts, RSS, descriptors, threads) until there were so many rotations."""
    process = psutil.Process(pid)
    deadline = time.monotonic() + WITHIN_SECONDS + 4 * rotations
    looks = []
    while (attempts := exchange.status()["attempts_total"]) <= rotations:
        assert time.monotonic() < deadline, f"{attempts} attempts"
        looks.append(
            (attempts, process.memory_info().rss, process.num_fds(), process.num_threads())
        )
        time.sleep(0.2)
    return looks


def floors(looks, column):
    """Return the least value in each tenth of the looks."""
    tenths = [looks[len(looks) * part // 10 : len(looks) * (part + 1) // 10] for part in range(10)]
    return [min(look[column] for look in tenth) for tenth in tenths if tenth]


@pytest.mark.timeout(5400)
@pytest.mark.parametrize("rotations", [20, pytest.param(1000, marks=pytest.mark.full)])
def test_rotations_in_a_row_leave_no_trace(tmp_path, rotations):
    limit = ("--attempt-limit", "1000000")
    with Exchange(tmp_path, rate=RATE, symbols=SYMBOLS, extra=limit) as exchange:
        settings = {
            "sink.directory": tmp_path / "records",
            "connection.max_age": "300ms",
            "connection.rotation_overlap": "200ms",
            "connection.attempts_limit": 1_000_000,
        }
        began = time.monotonic()
        with Process(
            tmp_path / "streamer.log", "streamer", *at_exchange(exchange, **settings)
        ) as process:
            looks = watch(process.process.pid, exchange, rotations)
            seconds = time.monotonic() - began
            assert process.stop() == 0
        records = read_files(tmp_path / "records", "trade")

        for symbol in SYMBOLS:
            mine = [one for one in records if one["symbol"] == symbol]
            ids = [one["trade_id"] for one in mine]
            audit = compare("trade", symbol, mine, exchange.tape("trade", symbol, ids[0], ids[-1]))
            assert audit.clean, (symbol, audit.missing[:10], audit.doubled[:10])
            assert not audit.backfilled, symbol
    received = sorted(one["received_time"] for one in records)
    pauses = sorted(after - before for before, after in itertools.pairwise(received))
    latencies = sorted(one["received_time"] - one["event_time"] for one in records)
    print(
        json.dumps(
            {
                "rotations": rotations,
                "seconds": round(seconds, 1),
                "records": len(records),
                "rss_floors_mib": [round(one / MIB, 2) for one in floors(looks, 1)],
                "descriptor_floors": floors(looks, 2),
                "descriptors_most": max(look[2] for look in looks),
                "thread_floors": floors(looks, 3),
                "threads_most": max(look[3] for look in looks),
                "longest_pause_ms": pauses[-1] / timedelta(milliseconds=1),
                "latency_ms": {
                    share: latencies[int(len(latencies) * share) - 1] / timedelta(milliseconds=1)
                    for share in (0.5, 0.99, 0.999, 1.0)
                },
            },
            indent=2,
        )
    )
    assert "WARN" not in process.output.upper(), process.output[-2000:]
    for column in (2, 3):  # descriptors and threads
        assert floors(looks, column)[-1] <= max(floors(looks, column)[:5]), column
    if rotations >= 1000:
        rss = floors(looks, 1)
        assert rss[-1] - rss[1] < GROWTH_BYTES, rss


@pytest.mark.parametrize("how", ["503", "hang"])
def test_a_successor_that_cannot_be_had_costs_the_one_before_nothing(tmp_path, how):
    with Exchange(tmp_path, rate=RATE, symbols=SYMBOLS) as exchange:
        settings = {
            "sink.directory": tmp_path / "records",
            "connection.max_age": "1s",
            "connection.rotation_overlap": "200ms",
            "connection.handshake_timeout": "1s",
            "connection.backoff_initial": "200ms",
        }
        with Process(
            tmp_path / "streamer.log", "streamer", *at_exchange(exchange, **settings)
        ) as process:
            watch(process.process.pid, exchange, 1)
            fault = exchange.fault("refuse_connections", how=how, duration=4.0)
            exchange.happened(fault["number"])
            attempts = exchange.status()["attempts_total"]
            watch(process.process.pid, exchange, attempts + 1)  # rotations go on
            assert process.stop() == 0
        assert "no connection (next attempt in" in process.output
        for symbol in SYMBOLS:
            audit = audit_files(exchange, tmp_path / "records", "trade", symbol)
            assert audit.clean, (symbol, audit)
            assert not audit.backfilled  # the old one brought everything
