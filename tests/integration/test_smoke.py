"""The soaks' own code with time compressed: a day's rotations in three quarters of a minute."""

from __future__ import annotations

import subprocess
import sys

from tests.audit import audit_files
from tests.exchange import Exchange
from tests.soaking import assert_complete, assert_passed, run_soak
from tests.streaming import at_exchange

ROTATIONS_OF_A_DAY = 5  # six; one may fall on the last second


def test_a_day_of_rotations_passes_and_every_trade_is_stored(tmp_path):
    settings = {
        "exchange.streams": "trade,aggTrade",
        "sink.directory": tmp_path / "records",
        "connection.max_age": "7s",
        "connection.rotation_overlap": "500ms",
        "monitor.metrics_address": "127.0.0.1:0",
    }
    output = tmp_path / "profile.json"
    with Exchange(tmp_path, rate=100) as exchange:
        soak = run_soak(
            "smoke", output, "--duration", "45s", settings=at_exchange(exchange, **settings)
        )
        assert_passed(soak)
        assert_complete(soak.profile)
        assert soak.profile["summary_statistics"]["rotations"] >= ROTATIONS_OF_A_DAY
        for stream in ("trade", "aggTrade"):
            for symbol in exchange.symbols:
                audit = audit_files(exchange, tmp_path / "records", stream, symbol)
                assert audit.clean, (stream, symbol, audit)
    total = soak.profile["summary_statistics"]["total_messages"]
    assert total == soak.profile["summary_statistics"]["sink_acknowledged"]

    judged = subprocess.run(
        [sys.executable, "-m", "supervisor", "judge", str(output)], capture_output=True, check=False
    )
    assert judged.returncode == soak.exit_code
