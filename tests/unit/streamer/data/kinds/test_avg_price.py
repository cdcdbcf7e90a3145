from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import fastavro
import pytest

from streamer.data.kinds.avg_price import AvgPrice
from streamer.data.records import encoder, load_schema
from streamer.errors import FrameRejected
from streamer.routes import Routes
from tests.unit.streamer.payloads import AVG_PRICE, NOW_US, frame

US = AVG_PRICE["E"]


@pytest.fixture
def route():
    return Routes(("avgPrice",), ("BTCUSDT",)).by_name["btcusdt@avgPrice"]


def decode(route, payload):
    return route.decode(frame(payload, route.name), NOW_US)


def at(time_us):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)


def test_an_average_keeps_every_field(route):
    event = decode(route, AVG_PRICE)
    assert event == AvgPrice(
        event_type="avgPrice",
        event_time=US,
        symbol="BTCUSDT",
        interval="5m",
        average_price="65001.73000000",
        last_trade_time=AVG_PRICE["T"],
    )
    body = encoder("avgPrice", "BTCUSDT")(event, NOW_US)
    schema = fastavro.parse_schema(load_schema("avgPrice"))
    assert fastavro.schemaless_reader(io.BytesIO(body), schema) == {
        "record_id": f"binance:spot:BTCUSDT:avgPrice:{US}",
        "symbol": "BTCUSDT",
        "event_time": at(US),
        "received_time": at(NOW_US),
        "interval": "5m",
        "average_price": Decimal("65001.73"),
        "last_trade_time": at(AVG_PRICE["T"]),
        "source": "live",
    }


def test_a_symbol_that_nobody_ever_traded_has_an_average_too(route):
    assert decode(route, AVG_PRICE | {"w": "0.00000000", "T": 0}).last_trade_time == 0


@pytest.mark.parametrize(
    ("error_type", "changes"),
    [
        ("bad_time", {"E": US // 1000}),
        ("bad_time", {"T": US // 1000}),
        ("bad_time", {"T": -1}),
        ("bad_price", {"w": "-1"}),
        ("wrong_type", {"i": 5}),
        ("wrong_symbol", {"s": "ETHUSDT"}),
        ("wrong_type", {"e": "kline"}),
    ],
)
def test_what_cannot_be_is_rejected(route, error_type, changes):
    with pytest.raises(FrameRejected) as raised:
        decode(route, AVG_PRICE | changes)
    assert raised.value.error_type == error_type


def test_a_later_average_supersedes(route):
    for shift, is_news in ((0, True), (1, True), (1, False), (0, False), (3_600_000_000, True)):
        event = decode(route, AVG_PRICE | {"E": US - 7_200_000_000 + shift})
        taken = route.sequence.advance(event.id) or bool(
            route.sequence.take(event.id, (event, NOW_US), 0.0)
        )
        assert taken == is_news, shift
