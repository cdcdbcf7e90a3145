"""A backfiller that has asked for the time."""

from __future__ import annotations

import pytest

from streamer.data.rest_page import RestRequest
from tests.unit.streamer.repair.exchange_by_hand import UNIX, Candles, World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    assert made.turn() == RestRequest("time", (), 1)  # the first thing asked, as nothing is urgent
    made.say({"serverTime": round(UNIX * 1e6)})
    return made


@pytest.fixture
def candles(tmp_path):
    return Candles(tmp_path)
