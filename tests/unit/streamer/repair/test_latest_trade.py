"""What the exchange's latest trade says about ids."""

from __future__ import annotations

import json

import pytest

from streamer.repair.latest_trade import latest_id, read_latest
from streamer.repair.rest_requests import RestResponse
from streamer.routes import Routes
from tests.unit.streamer.repair.exchange_by_hand import latest


@pytest.mark.parametrize(("stream", "expected"), [("trade", 40), ("aggTrade", 7)])
def test_a_stream_has_its_own_id_of_the_latest_trade(stream, expected):
    route = Routes((stream,), ("BTCUSDT",)).by_name[f"btcusdt@{stream}"]
    body = json.dumps([latest(trade_id=40, age_seconds=0)]).encode()
    told = read_latest(route, RestResponse(body, 0.0, 0.0), in_milliseconds=False)
    assert told is not None
    assert latest_id(route, told) == expected


def test_a_symbol_that_never_traded_has_none():
    route = Routes(("trade",), ("BTCUSDT",)).by_name["btcusdt@trade"]
    assert read_latest(route, RestResponse(b"[]", 0.0, 0.0), in_milliseconds=False) is None


def test_what_is_no_page_is_refused():
    route = Routes(("trade",), ("BTCUSDT",)).by_name["btcusdt@trade"]
    with pytest.raises(ValueError, match=r".+"):
        read_latest(route, RestResponse(b"{}", 0.0, 0.0), in_milliseconds=False)
