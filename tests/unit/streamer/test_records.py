from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import records
from streamer.checks import TimeWindow
from streamer.events import EVENT_TYPES, AggTrade, BookTicker, GapRecord, Trade
from streamer.routes import Routes
from tests.unit.streamer.payloads import RECORDINGS, recorded

KINDS = tuple(EVENT_TYPES)
SYMBOL = st.sampled_from(["BTCUSDT", "1000SATSUSDT", "币安人生USDT"])
ID = st.integers(0, 2**63 - 1)
TIME = st.integers(int(datetime(2017, 7, 14, tzinfo=UTC).timestamp()) * 10**6, 2**52)
NUMBER = st.from_regex(r"(0|[1-9][0-9]{0,19})(\.[0-9]{1,18})?", fullmatch=True)


def read(kind: str, body: bytes) -> dict[str, Any]:
    stream = io.BytesIO(body)
    record = fastavro.schemaless_reader(stream, fastavro.parse_schema(records.load_schema(kind)))
    assert stream.read() == b""
    return record


def at(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // 10**6, UTC).replace(microsecond=time_us % 10**6)


@given(SYMBOL, ID, TIME, TIME, TIME, NUMBER, NUMBER, st.booleans())
def test_a_trade_is_read_back_whole(
    symbol, event_id, event_time, trade_time, received_us, price, quantity, maker
):
    event = Trade("trade", event_time, symbol, event_id, price, quantity, trade_time, maker)

    assert read("trade", records.encoder("trade", symbol)(event, received_us)) == {
        "record_id": f"binance:spot:{symbol}:trade:{event_id}",
        "symbol": symbol,
        "trade_id": event_id,
        "event_time": at(event_time),
        "trade_time": at(trade_time),
        "received_time": at(received_us),
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "buyer_is_maker": maker,
        "source": "live",
    }


@given(SYMBOL, ID, ID, ID, TIME, TIME, NUMBER, NUMBER, st.booleans())
def test_an_aggregate_trade_is_read_back_whole(
    symbol, event_id, first, last, event_time, received_us, price, quantity, maker
):
    event = AggTrade(
        "aggTrade",
        event_time,
        symbol,
        event_id,
        price,
        quantity,
        first,
        last,
        event_time - 1,
        maker,
    )

    assert read("aggTrade", records.encoder("aggTrade", symbol)(event, received_us)) == {
        "record_id": f"binance:spot:{symbol}:aggTrade:{event_id}",
        "symbol": symbol,
        "aggregate_trade_id": event_id,
        "first_trade_id": first,
        "last_trade_id": last,
        "event_time": at(event_time),
        "trade_time": at(event_time - 1),
        "received_time": at(received_us),
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "buyer_is_maker": maker,
        "source": "live",
    }


@given(SYMBOL, ID, TIME, NUMBER, NUMBER, NUMBER, NUMBER)
def test_a_book_ticker_is_read_back_whole(symbol, event_id, received_us, b, b_q, a, a_q):
    event = BookTicker(event_id, symbol, b, b_q, a, a_q)

    assert read("bookTicker", records.encoder("bookTicker", symbol)(event, received_us)) == {
        "record_id": f"binance:spot:{symbol}:bookTicker:{event_id}",
        "symbol": symbol,
        "update_id": event_id,
        "received_time": at(received_us),
        "bid_price": Decimal(b),
        "bid_quantity": Decimal(b_q),
        "ask_price": Decimal(a),
        "ask_quantity": Decimal(a_q),
        "source": "live",
    }


def test_the_source_and_a_prefix_can_be_told():
    event = Trade("trade", 10**15, "BTCUSDT", 7, "1", "2", 10**15, True, "backfill")
    body = records.encoder("trade", "BTCUSDT", prefix=b"xyz")(event, 10**15)

    assert body[:3] == b"xyz"
    assert read("trade", body[3:])["source"] == "backfill"


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_documented_field_by_field(kind):
    schema = records.load_schema(kind)

    assert schema["namespace"] == "vigil.binance"
    assert schema["doc"]
    assert all(field["doc"] for field in schema["fields"])
    fastavro.parse_schema(schema)


def crc_64_avro(data: bytes) -> int:
    """Return Avro's fingerprint, bit by bit as its specification defines it."""
    fingerprint = empty = 0xC15D213AA4D7A795
    for byte in data:
        fingerprint ^= byte
        for _ in range(8):
            fingerprint = fingerprint >> 1 ^ (empty if fingerprint & 1 else 0)
    return fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_the_single_object_header_holds_the_little_endian_fingerprint(kind):
    canonical = fastavro.schema.to_parsing_canonical_form(records.load_schema(kind))

    header = records.single_object_header(kind)

    assert header == b"\xc3\x01" + crc_64_avro(canonical.encode()).to_bytes(8, "little")


@pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not here")
def test_recorded_spot_events_are_stored_exactly():
    symbols = ("NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR")
    routes = Routes(KINDS, symbols, time_unit="ms", window=TimeWindow())
    stored = 0
    for received, payload in recorded("BINANCE.ws.1.0"):
        if (route := routes.find(payload)) is None:
            continue
        received_us = round(received * 10**6)
        event = route.decode(payload, received_us)
        record = read(route.kind, records.encoder(route.kind, route.symbol)(event, received_us))
        fields = json.loads(payload)["data"]
        assert record["symbol"] == fields["s"]
        assert record["received_time"] == at(received_us)
        if route.kind == "bookTicker":
            assert record["update_id"] == fields["u"]
            names = {"b": "bid_price", "B": "bid_quantity", "a": "ask_price", "A": "ask_quantity"}
        else:
            names = {"p": "price", "q": "quantity"}
            assert record["aggregate_trade_id"] == fields["a"]
            assert (record["first_trade_id"], record["last_trade_id"]) == (fields["f"], fields["l"])
            assert record["event_time"] == at(fields["E"] * 1000)
            assert record["trade_time"] == at(fields["T"] * 1000)
            assert record["buyer_is_maker"] is fields["m"]
        for letter, name in names.items():
            assert record[name] == Decimal(fields[letter])
        stored += 1

    assert stored == 86


@given(SYMBOL, ID, st.binary(max_size=10))
def test_the_number_of_a_record_is_found_behind_any_prefix(symbol, event_id, prefix):
    event = BookTicker(event_id, symbol, "1", "2", "3", "4")
    record = records.encoder("bookTicker", symbol, prefix=prefix)(event, 1)

    assert records.record_number(record, len(prefix)) == event_id


def test_the_number_of_a_gap_is_its_first_id():
    gap = GapRecord(5, "BTCUSDT", "trade", "refused", first_id=5, last_id=9, missing=5)
    record = records.encoder("gap", "BTCUSDT")(gap, 1)

    assert records.record_number(record, 0) == 5
