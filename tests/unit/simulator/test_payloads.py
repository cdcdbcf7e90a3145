"""Payloads: keys, order and number formats of the exchange."""

from __future__ import annotations

import json

import pytest

from simulator.payloads import (
    combined,
    decimal,
    rest_aggregate,
    rest_trade,
    server_shutdown,
    stream_payload,
    time_unit,
)
from simulator.tape import Aggregate, BookTicker, Trade

TRADE = Trade(7, 1_700_000_000_123_456, 6_500_012_000_000, 100_000_000, buyer_is_maker=True)
AGGREGATE = Aggregate(3, 1_700_000_000_123_456, 1, 25, False, 7, 9)


def test_a_trade_has_the_documented_keys_in_order() -> None:
    assert stream_payload("BTCUSDT", TRADE, "us") == (
        '{"e":"trade","E":1700000000123756,"s":"BTCUSDT","t":7,"p":"65000.12000000",'
        '"q":"1.00000000","T":1700000000123456,"m":true,"M":true}'
    )


def test_milliseconds_are_cut_off_not_rounded() -> None:
    data = json.loads(stream_payload("BTCUSDT", TRADE, "ms"))
    assert (data["T"], data["E"]) == (1_700_000_000_123, 1_700_000_000_123)


def test_an_aggregate_names_its_trades() -> None:
    assert stream_payload("X", AGGREGATE, "ms") == (
        '{"e":"aggTrade","E":1700000000123,"s":"X","a":3,"p":"0.00000001","q":"0.00000025",'
        '"f":7,"l":9,"T":1700000000123,"m":false,"M":true}'
    )


def test_a_book_ticker_has_neither_type_nor_time() -> None:
    payload = stream_payload("X", BookTicker(5, 1, 2 * 10**8, 3, 4 * 10**8, 5), "us")
    assert (
        payload
        == '{"u":5,"s":"X","b":"2.00000000","B":"0.00000003","a":"4.00000000","A":"0.00000005"}'
    )


def test_symbols_may_be_anything_that_json_can_hold() -> None:
    assert json.loads(stream_payload("币安人生USDT", TRADE, "ms"))["s"] == "币安人生USDT"
    assert "币安人生usdt@trade" in combined("币安人生usdt@trade", "{}")


def test_rest_uses_its_own_keys_for_trades() -> None:
    assert json.loads(rest_trade(TRADE, "us")) == {
        "id": 7, "price": "65000.12000000", "qty": "1.00000000", "quoteQty": "65000.12000000",
        "time": 1_700_000_000_123_456, "isBuyerMaker": True, "isBestMatch": True,
    }  # fmt: skip
    assert json.loads(rest_aggregate(AGGREGATE, "ms")) == {
        "a": 3, "p": "0.00000001", "q": "0.00000025", "f": 7, "l": 9,
        "T": 1_700_000_000_123, "m": False, "M": True,
    }  # fmt: skip


def test_server_shutdown_has_two_shapes() -> None:
    raw = {"e": "serverShutdown", "E": 1_700_000_000_123}
    assert json.loads(server_shutdown(1_700_000_000_123_456, "ms", wrapped=False)) == raw
    wrapped = json.loads(server_shutdown(1_700_000_000_123_456, "ms", wrapped=True))
    assert wrapped == {"stream": "!serverShutdown", "data": raw}


def test_decimals_keep_eight_places() -> None:
    assert [decimal(units) for units in (0, 1, 10**8, 123_456_789)] == [
        "0.00000000", "0.00000001", "1.00000000", "1.23456789",
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "unit"), [("MICROSECOND", "us"), ("millisecond", "ms")])
def test_time_units_as_documented(text: str, unit: str) -> None:
    assert time_unit(text) == unit


@pytest.mark.parametrize("text", ["Microsecond", "us", ""])
def test_other_time_units_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected MILLISECOND"):
        time_unit(text)
