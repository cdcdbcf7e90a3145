"""`connection.read_interval`: fewer wake-ups, and nothing is lost by them."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from tests.audit import audit_files, await_caught_up
from tests.exchange import Exchange
from tests.streaming import Process, at_exchange

LOOK_SECONDS = 4.0
MOST_PER_SECOND = 25  # 4 reads, 10 turns of the housekeeping; without the interval 60 and more


@pytest.mark.full
def test_the_streamer_wakes_less_often_and_records_everything(tmp_path: Path) -> None:
    records = tmp_path / "records"
    with Exchange(tmp_path, rate=100) as exchange:
        settings = at_exchange(exchange, connection__read_interval="250ms", sink__directory=records)
        with Process(tmp_path / "log", "streamer", *settings) as streamer:
            await_caught_up(exchange, records)
            process = psutil.Process(streamer.process.pid)
            before = process.num_ctx_switches().voluntary
            time.sleep(LOOK_SECONDS)
            woken = process.num_ctx_switches().voluntary - before
            await_caught_up(exchange, records)
            assert streamer.stop() == 0
        for symbol in exchange.symbols:
            assert audit_files(exchange, records, "trade", symbol).clean
    assert woken / LOOK_SECONDS < MOST_PER_SECOND
