"""What is asked of REST, and what its answers become, by kind: without a connection."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamer.data.catalogue import BY_STREAM, REPAIRABLE
from streamer.data.kinds.agg_trade import latest_request, since_request
from streamer.data.kinds.kline import Kline
from streamer.data.rest_page import RestRequest, Unusable
from streamer.data.same import is_same
from streamer.routes import Routes
from tests.unit.streamer.payloads import AGG_TRADE, KLINE, NOW_US, TRADE, frame

CANDLE = KLINE["k"] | {"x": True}
NEXT_MINUTE = CANDLE["t"] + 60_000_000
ROWS: dict[str, list[Any]] = {
    "trade": [
        {"id": TRADE["t"] + number, "price": "65000.12", "qty": "0.00123", "quoteQty": "79.9",
         "time": TRADE["T"], "isBuyerMaker": True, "isBestMatch": True}
        for number in range(2)
    ],
    "aggTrade": [
        {"a": AGG_TRADE["a"] + number, "p": "65000.12", "q": "0.00123", "f": AGG_TRADE["f"],
         "l": AGG_TRADE["l"], "T": AGG_TRADE["T"], "m": False, "M": True}
        for number in range(2)
    ],
    "kline_1m": [
        [begin, *(CANDLE[key] for key in "ohlcv"), begin + 59_999_999,
         *(CANDLE[key] for key in "qnVQ"), "0"]
        for begin in (CANDLE["t"], NEXT_MINUTE)
    ],
}  # fmt: skip
STREAMED = {"trade": TRADE, "aggTrade": AGG_TRADE, "kline_1m": KLINE | {"k": CANDLE}}
REQUESTS = {
    "trade": RestRequest(
        "historicalTrades", (("symbol", "BTCUSDT"), ("fromId", "1001"), ("limit", "7")), 25
    ),
    "aggTrade": RestRequest(
        "aggTrades", (("symbol", "BTCUSDT"), ("fromId", "1001"), ("limit", "7")), 4
    ),
    "kline_1m": RestRequest(
        "klines",
        (("symbol", "BTCUSDT"), ("interval", "1m"), ("startTime", "2"), ("limit", "7")),
        2,
    ),
}


def read(
    stream: str, rows: Any, *, factor: int = 1, unusable: list[Unusable] | None = None
) -> list[Any]:
    past = BY_STREAM[stream].past
    assert past is not None
    return past.read(stream, "BTCUSDT", json.dumps(rows).encode(), factor, unusable)


def test_all_that_have_a_past_are_here():
    assert {BY_STREAM[stream].name for stream in ROWS} == REPAIRABLE


@pytest.mark.parametrize("stream", ROWS)
def test_the_past_is_asked_for_from_an_id_on(stream):
    past = BY_STREAM[stream].past
    assert past is not None
    assert past.request(stream, "BTCUSDT", 1001, 7) == REQUESTS[stream]  # of candles µs, up to ms


def test_the_latest_aggregate_is_asked_for_without_an_id():
    expected = RestRequest("aggTrades", (("symbol", "BTCUSDT"), ("limit", "1")), 4)
    assert latest_request("BTCUSDT") == expected
    asked = (("symbol", "BTCUSDT"), ("startTime", "1795780000000"), ("limit", "1"))
    assert since_request("BTCUSDT", 1_795_780_000_000) == RestRequest("aggTrades", asked, 4)


@pytest.mark.parametrize("stream", ROWS)
def test_what_rest_tells_is_what_the_stream_told(stream):
    first, second = read(stream, ROWS[stream])
    route = Routes((stream,), ("BTCUSDT",)).by_name[f"btcusdt@{stream}"]
    streamed = route.decode(frame(STREAMED[stream], route.name), NOW_US)

    assert first.source == second.source == "backfill"
    assert first.id == streamed.id < second.id
    assert is_same(streamed, first)


def test_a_candle_is_closed_for_sure_when_there_is_another_one():
    first, last = read("kline_1m", ROWS["kline_1m"])
    assert isinstance(first, Kline)
    assert (first.candle.is_closed, first.event_time) == (True, NEXT_MINUTE)
    assert (last.candle.is_closed, last.event_time) == (False, NEXT_MINUTE)
    assert first.candle.first_trade_id is first.candle.last_trade_id is None


@pytest.mark.parametrize("stream", ROWS)
def test_milliseconds_become_microseconds(stream):
    [once], [thousandfold] = (read(stream, ROWS[stream][:1], factor=each) for each in (1, 1000))
    assert thousandfold.event_time == once.event_time * 1000


@pytest.mark.parametrize("stream", ROWS)
def test_pages_that_are_not_as_documented_are_refused(stream):
    with pytest.raises(ValueError, match="ids are not ascending"):
        read(stream, ROWS[stream][::-1])
    for wrong in ({}, [1], [ROWS[stream][0], {}]):
        with pytest.raises(ValueError, match="not the documented JSON"):
            read(stream, wrong)


@pytest.mark.parametrize(("stream", "key"), [("trade", "id"), ("aggTrade", "a")])
def test_an_element_of_which_the_id_alone_can_be_read_is_set_apart(stream, key):
    good, bad = ROWS[stream]
    spoilt = {name: value for name, value in bad.items() if name not in ("price", "p")}
    unusable: list[Unusable] = []

    assert [each.id for each in read(stream, [good, spoilt], unusable=unusable)] == [good[key]]
    assert [(each.id, json.loads(each.content)) for each in unusable] == [(bad[key], spoilt)]
    assert "missing required field" in unusable[0].error
    with pytest.raises(ValueError, match="missing required field"):
        read(stream, [good, spoilt])
    with pytest.raises(ValueError, match="not the documented JSON"):
        read(stream, [good, {}], unusable=[])
