"""A soak of a minute with 1,200 streams: the supervisor judges all of them and misses no sample."""

from __future__ import annotations

import pytest

from tests.exchange import Exchange
from tests.soaking import assert_complete, assert_passed, run_soak
from tests.streaming import at_exchange

KINDS = "trade,bookTicker,depth@100ms"
SYMBOLS = [f"S{number:04}USDT" for number in range(400)]
SECONDS = 60


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_minute_of_1200_streams_passes_without_a_missing_sample(tmp_path):
    settings = {
        "exchange.streams": KINDS,
        "sink.directory": tmp_path / "records",
        "monitor.metrics_address": "127.0.0.1:0",
    }
    output = tmp_path / "profile.json"
    with Exchange(tmp_path, rate=400, symbols=SYMBOLS) as exchange:
        soak = run_soak(
            "smoke", output, "--duration", f"{SECONDS}s", settings=at_exchange(exchange, **settings)
        )
    assert_passed(soak)
    assert_complete(soak.profile)
    criterion = soak.criteria["samples"]
    assert criterion["observed"] >= criterion["limit"], criterion
