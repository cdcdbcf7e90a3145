from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import fastavro
import pytest

from streamer.classify import classify
from streamer.data.kinds.partial_depth import KIND, PartialDepth
from streamer.data.records import encoder, load_schema
from streamer.errors import FrameRejected
from streamer.routes import Routes
from tests.unit.streamer.payloads import NOW_US, PARTIAL_DEPTH, TRADE, frame


def routes(*symbols):
    return Routes(KIND.streams, symbols or ("BTCUSDT",))


def decode(stream, payload):
    name = f"btcusdt@{stream}"
    return routes().by_name[name].decode(frame(payload, name), NOW_US)


def test_three_depths_come_at_two_speeds():
    assert set(KIND.streams) == {
        "depth5",
        "depth10",
        "depth20",
        "depth5@100ms",
        "depth10@100ms",
        "depth20@100ms",
    }


@pytest.mark.parametrize("stream", KIND.streams)
def test_a_partial_book_keeps_every_field_and_is_of_its_streams_symbol(stream):
    event = decode(stream, PARTIAL_DEPTH)
    assert event == PartialDepth(
        id=400_900_217,
        symbol="BTCUSDT",
        bids=[("65000.11000000", "31.21000000"), ("64999.00000000", "0.40000000")],
        asks=[("65000.12000000", "40.66000000")],
    )
    body = encoder(stream, "BTCUSDT")(event, NOW_US)
    schema = fastavro.parse_schema(load_schema("partialDepth"))
    assert fastavro.schemaless_reader(io.BytesIO(body), schema) == {
        "record_id": f"binance:spot:BTCUSDT:{stream}:400900217",
        "symbol": "BTCUSDT",
        "stream": stream,
        "last_update_id": 400_900_217,
        "received_time": datetime.fromtimestamp(NOW_US / 1e6, UTC),
        "bids": [
            {"price": Decimal("65000.11"), "quantity": Decimal("31.21")},
            {"price": Decimal("64999"), "quantity": Decimal("0.4")},
        ],
        "asks": [{"price": Decimal("65000.12"), "quantity": Decimal("40.66")}],
        "source": "live",
    }


def test_the_books_of_two_symbols_are_told_apart_by_their_streams():
    both = routes("BTCUSDT", "ETHUSDT")
    found = [
        both.by_name[name].decode(frame(PARTIAL_DEPTH, name), NOW_US).symbol
        for name in ("ethusdt@depth5", "btcusdt@depth5")
    ]
    assert found == ["ETHUSDT", "BTCUSDT"]


def test_sides_may_be_empty_and_not_longer_than_the_stream_says():
    empty = decode("depth5", PARTIAL_DEPTH | {"bids": [], "asks": []})
    body = encoder("depth5", "BTCUSDT")(empty, NOW_US)
    schema = fastavro.parse_schema(load_schema("partialDepth"))
    record = fastavro.schemaless_reader(io.BytesIO(body), schema)
    assert record["bids"] == record["asks"] == []
    six = [[str(price), "1"] for price in range(10, 4, -1)]
    assert len(decode("depth10", PARTIAL_DEPTH | {"bids": six}).bids) == 6
    for side in ("bids", "asks"):
        with pytest.raises(FrameRejected, match=f"expected at most 5 {side} on depth5, not 6"):
            decode("depth5", PARTIAL_DEPTH | {side: six})


@pytest.mark.parametrize(
    ("error_type", "changes"),
    [
        ("bad_id", {"lastUpdateId": -1}),
        ("wrong_type", {"lastUpdateId": "1"}),
        ("wrong_symbol", {"s": "ETHUSDT"}),
        ("wrong_type", {"bids": [["1"]]}),
        ("bad_price", {"bids": [["0.0", "2"]]}),
        ("bad_quantity", {"asks": [["1", "nan"]]}),
    ],
)
def test_what_cannot_be_is_rejected(error_type, changes):
    with pytest.raises(FrameRejected) as raised:
        decode("depth5", PARTIAL_DEPTH | changes)
    assert raised.value.error_type == error_type


def test_events_of_kinds_that_name_their_symbol_must_do_so():
    route = Routes(("trade",), ("BTCUSDT",)).by_name["btcusdt@trade"]
    with pytest.raises(FrameRejected) as raised:
        route.decode(frame(TRADE | {"s": ""}), NOW_US)
    assert raised.value.error_type == "wrong_symbol"


def test_a_partial_book_is_known_by_its_keys_where_nothing_else_tells_what_it_is():
    for payload, error_type in (
        (frame(PARTIAL_DEPTH, "ethusdt@depth5"), "unknown_stream"),
        (frame(PARTIAL_DEPTH, "ethusdt@news"), "unknown_stream"),
        (json.dumps(PARTIAL_DEPTH).encode(), "not_combined"),
    ):
        with pytest.raises(FrameRejected) as raised:
            classify(payload, routes())
        assert raised.value.error_type == error_type


def test_a_later_book_supersedes_and_numbers_may_jump():
    route = routes().by_name["btcusdt@depth5@100ms"]
    for number, is_news in ((7, True), (900, True), (900, False), (8, False), (901, True)):
        event = route.decode(frame(PARTIAL_DEPTH | {"lastUpdateId": number}, route.name), NOW_US)
        taken = route.sequence.advance(event.id) or bool(
            route.sequence.take(event.id, (event, NOW_US), 0.0)
        )
        assert taken == is_news, number
