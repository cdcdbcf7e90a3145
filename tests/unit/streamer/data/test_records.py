from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.data import records
from streamer.data.candle import Candle
from streamer.data.catalogue import BY_NAME
from streamer.data.events import GapRecord
from streamer.data.intervals import INTERVALS
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.depth import Depth
from streamer.data.kinds.kline import Kline
from streamer.data.kinds.mini_ticker import MiniTicker
from streamer.data.kinds.ticker import Ticker
from streamer.data.kinds.trade import Trade

KINDS = tuple(BY_NAME)
TRADE_ID = st.integers(-1, 2**63 - 1)
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


LEVELS = st.lists(st.tuples(NUMBER, NUMBER), max_size=200)


@given(
    SYMBOL,
    ID,
    ID,
    TIME,
    TIME,
    LEVELS,
    LEVELS,
    st.sampled_from(["depth", "depth@100ms"]),
)
def test_a_change_of_a_book_is_read_back_whole(
    symbol, first, last, event_time, received_us, bids, asks, stream
):
    event = Depth("depthUpdate", event_time, symbol, first, last, bids, asks)

    assert read("depth", records.encoder(stream, symbol)(event, received_us)) == {
        "record_id": f"binance:spot:{symbol}:{stream}:{last}",
        "symbol": symbol,
        "stream": stream,
        "first_update_id": first,
        "last_update_id": last,
        "event_time": at(event_time),
        "received_time": at(received_us),
        "bids": [{"price": Decimal(p), "quantity": Decimal(q)} for p, q in bids],
        "asks": [{"price": Decimal(p), "quantity": Decimal(q)} for p, q in asks],
        "source": "live",
    }


@given(
    SYMBOL,
    st.sampled_from(INTERVALS),
    TIME,
    TIME,
    TIME,
    TRADE_ID | st.none(),
    TRADE_ID,
    ID,
    st.booleans(),
    st.sampled_from(["live", "backfill"]),
    st.tuples(*[NUMBER] * 8),
)
def test_a_kline_is_read_back_whole(
    symbol, interval, open_time, event_time, received_us, first, last, count, closed, source, n
):
    candle = Candle(
        open_time,
        open_time + 59_999_999,
        symbol,
        interval,
        first,
        last,
        n[0],
        n[1],
        n[2],
        n[3],
        n[4],
        count,
        closed,
        n[5],
        n[6],
        n[7],
    )
    event = Kline("kline", event_time, symbol, candle, source)

    assert read("kline", records.encoder(f"kline_{interval}", symbol)(event, received_us)) == {
        "record_id": f"binance:spot:{symbol}:kline_{interval}:{open_time}:{event_time}",
        "symbol": symbol,
        "interval": interval,
        "open_time": at(open_time),
        "close_time": at(open_time + 59_999_999),
        "event_time": at(event_time),
        "received_time": at(received_us),
        "open": Decimal(n[0]),
        "close": Decimal(n[1]),
        "high": Decimal(n[2]),
        "low": Decimal(n[3]),
        "volume": Decimal(n[4]),
        "quote_volume": Decimal(n[5]),
        "taker_buy_volume": Decimal(n[6]),
        "taker_buy_quote_volume": Decimal(n[7]),
        "trade_count": count,
        "first_trade_id": None if first == -1 else first,
        "last_trade_id": None if last == -1 else last,
        "is_closed": closed,
        "source": source,
    }


@given(SYMBOL, TIME, TIME, st.tuples(*[NUMBER] * 6))
def test_a_mini_ticker_is_read_back_whole(symbol, event_time, received_us, n):
    event = MiniTicker("24hrMiniTicker", event_time, symbol, *n)

    assert read("miniTicker", records.encoder("miniTicker", symbol)(event, received_us)) == {
        "record_id": f"binance:spot:{symbol}:miniTicker:{event_time}",
        "symbol": symbol,
        "event_time": at(event_time),
        "received_time": at(received_us),
        "close": Decimal(n[0]),
        "open": Decimal(n[1]),
        "high": Decimal(n[2]),
        "low": Decimal(n[3]),
        "volume": Decimal(n[4]),
        "quote_volume": Decimal(n[5]),
        "source": "live",
    }


SIGNED = st.from_regex(r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,18})?", fullmatch=True)


@given(
    SYMBOL,
    TIME,
    TIME,
    TIME,
    TIME,
    SIGNED,
    SIGNED,
    st.tuples(*[NUMBER] * 13),
    TRADE_ID,
    TRADE_ID,
    ID,
)
def test_a_ticker_is_read_back_whole(
    symbol, event_time, received_us, begin, end, change, percent, n, first, last, count
):
    event = Ticker(
        "24hrTicker", event_time, symbol, change, percent, *n, begin, end, first, last, count
    )
    names = (
        "weighted_average_price", "previous_price", "last_price", "last_quantity",
        "bid_price", "bid_quantity", "ask_price", "ask_quantity",
        "open", "high", "low", "volume", "quote_volume",
    )  # fmt: skip

    assert read("ticker", records.encoder("ticker", symbol)(event, received_us)) == {
        "record_id": f"binance:spot:{symbol}:ticker:{event_time}",
        "symbol": symbol,
        "event_time": at(event_time),
        "received_time": at(received_us),
        "open_time": at(begin),
        "close_time": at(end),
        "price_change": Decimal(change),
        "price_change_percent": Decimal(percent),
        **{name: Decimal(number) for name, number in zip(names, n, strict=True)},
        "first_trade_id": None if first == -1 else first,
        "last_trade_id": None if last == -1 else last,
        "trade_count": count,
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


@given(SYMBOL, ID, st.binary(max_size=10))
def test_the_number_of_a_record_is_found_behind_any_prefix(symbol, event_id, prefix):
    event = BookTicker(event_id, symbol, "1", "2", "3", "4")
    record = records.encoder("bookTicker", symbol, prefix=prefix)(event, 1)

    assert records.record_place(record, len(prefix)) == (0, event_id)


def test_the_number_of_a_book_change_is_its_last_id_and_that_of_a_summary_its_time():
    depth = Depth("depthUpdate", 10**15, "BTCUSDT", 5, 9, [], [])
    ticker = MiniTicker("24hrMiniTicker", 10**15, "BTCUSDT", *["1"] * 6)

    encoded = records.encoder("depth@100ms", "BTCUSDT")(depth, 1)
    assert records.record_place(encoded, 0) == (0, 9)
    encoded = records.encoder("miniTicker", "BTCUSDT")(ticker, 1)
    assert records.record_place(encoded, 0) == (0, 10**15)


def test_the_number_of_a_gap_is_its_first_id():
    gap = GapRecord(5, "BTCUSDT", "trade", "refused", first_id=5, last_id=9, missing=5)
    record = records.encoder("gap", "BTCUSDT")(gap, 1)

    assert records.record_place(record, 0) == (0, 5)


def test_records_of_an_epoch_have_it_before_the_number():
    event = BookTicker(7, "BTCUSDT", "1", "2", "3", "4")
    gap = GapRecord(
        5, "BTCUSDT", "trade", "refused", first_id=5, last_id=9, missing=5, epoch=1_700_000_000
    )
    encoded = records.encoder("bookTicker", "BTCUSDT", epoch=1_700_000_000)(event, 1)
    assert b"binance:spot:BTCUSDT:bookTicker:1700000000:7" in encoded
    assert records.record_place(encoded, 0) == (1_700_000_000, 7)
    encoded = records.encoder("gap", "BTCUSDT")(gap, 1)
    assert b"binance:spot:BTCUSDT:trade:1700000000:gap:5-9" in encoded
    assert records.record_place(encoded, 0) == (1_700_000_000, 5)
