"""A day against the exchange.

    pytest tests/soak/test_binance_24h_soak.py --timeout=90000 -v -s

Against the real exchange, or whichever `VIGIL_EXCHANGE__WEBSOCKET_URL` names; every other setting
can be given in the same way. Writes `binance_soak_memory_profile.json` into the current folder.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soaking import assert_complete, assert_passed, run_soak

PROFILE = Path("binance_soak_memory_profile.json")


@pytest.mark.soak
def test_a_day_without_leak_loss_or_drop():
    soak = run_soak("24h", PROFILE.absolute())
    assert_passed(soak)
    assert_complete(soak.profile)
    # Connections of four hours: six rotations, of which one may fall on the last second.
    assert soak.profile["summary_statistics"]["rotations"] >= 5
