"""An hour against the exchange.

    pytest tests/soak/test_binance_1h_validation.py --timeout=4000 -v -s

Against the real exchange, or whichever `VIGIL_EXCHANGE__WEBSOCKET_URL` names; every other setting
can be given in the same way. Writes `binance_1h_validation_profile.json` into the current folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.soaking import assert_complete, assert_passed, run_soak

PROFILE = Path("binance_1h_validation_profile.json")


@pytest.mark.soak
def test_an_hour_without_leak_loss_or_drop():
    symbols = os.environ.get("VIGIL_EXCHANGE__SYMBOLS", "BTCUSDT,ETHUSDT")
    soak = run_soak("1h", PROFILE.absolute(), settings=["--set", f"exchange.symbols={symbols}"])
    assert_passed(soak)
    assert_complete(soak.profile)
    assert soak.profile["test_metadata"]["symbols"] == symbols.split(",")
