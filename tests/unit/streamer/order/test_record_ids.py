from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.data.events import GapRecord
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.trade import Trade
from streamer.data.records import encoder, load_schema, single_object_header
from streamer.order.positions import DeclaredGap, Position
from streamer.order.record_ids import (
    Found,
    first_record,
    gap_of,
    gaps_among,
    last_of,
    last_of_each,
    position_of,
)
from streamer.routes import Routes
from tests.unit.streamer.payloads import NOW_US, PAYLOADS, frame

SYMBOLS = (
    "BTCUSDT",
    "币安人生USDT",
    "A",
    "X" * 24,
    "0" * 24,
    "8" * 28,
)  # lengths that look like digits, too
ids = st.integers(0, (1 << 63) - 1)


def trade(trade_id: int, symbol: str, *, prefix: bytes = b"") -> bytes:
    event = Trade("trade", NOW_US, symbol, trade_id, "1.5", "2", NOW_US, True)
    return encoder("trade", symbol, prefix=prefix)(event, NOW_US + trade_id % 1000)


def gap(symbol: str, first_id: int, last_id: int) -> bytes:
    event = GapRecord(first_id, symbol, "trade", "empty", first_id, last_id, 1)
    return encoder("gap", symbol)(event, NOW_US)


@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), ids), min_size=1, max_size=20))
@example([("X" * 24, 44)])  # its symbol's length is a digit, and its trade id an X
@example([("0" * 24, 44), ("0" * 24, 24)])
def test_the_last_record_of_each_route_is_found(records):
    data = b"".join(trade(number, symbol) for symbol, number in records)
    schema = load_schema("trade")

    found = last_of_each(data)

    assert found.keys() == {f"{symbol.lower()}@trade" for symbol, _ in records}
    for symbol, number in dict(records).items():
        record = found[f"{symbol.lower()}@trade"]
        assert position_of(record, data, schema, 0) == Position(number, NOW_US + number % 1000)


@pytest.mark.parametrize("prefix", [b"", single_object_header("trade"), b"\0\0\0\0\7"])
def test_a_message_is_known_by_whatever_header(prefix):
    value = trade(123, "BTCUSDT", prefix=prefix)

    found = first_record(value)

    assert found is not None
    assert (found.route_name, found.number) == ("btcusdt@trade", 123)
    assert position_of(found, value, load_schema("trade"), 0).received_us == NOW_US + 123


def test_what_is_no_record_is_none():
    assert first_record(b"") is None
    assert first_record(b"binance:spot:BTCUSDT:trade:12") is None
    assert last_of_each(b"\xff" * 100) == {}


def test_streams_of_one_kind_are_told_apart():
    one = encoder("bookTicker", "BTCUSDT")(BookTicker(7, "BTCUSDT", "1", "2", "3", "4"), NOW_US)
    other = one.replace(b"bookTicker", b"depth@50ms")

    assert last_of_each(one + other).keys() == {"btcusdt@bookTicker", "btcusdt@depth@50ms"}


def test_an_id_of_two_times_counts_by_the_latter():
    record = b"binance:spot:BTCUSDT:kline_1m:1726000020000000:1726000031000000\x0eBTCUSDT"

    found = first_record(record)

    assert found == Found("btcusdt@kline_1m", 1_726_000_031_000_000, len(record) - 8)


@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), ids, ids), max_size=5))
@example([("X" * 24, 44, 44)])
def test_gaps_of_ids_are_found(gaps):
    data = b"".join(gap(*each) for each in gaps)

    assert gaps_among(data, load_schema("gap")) == [
        DeclaredGap(f"{symbol.lower()}@trade", first_id, last_id, NOW_US)
        for symbol, first_id, last_id in gaps
    ]


def test_a_gap_of_time_is_none_of_ids():
    event = GapRecord(
        NOW_US, "BTCUSDT", "bookTicker", "not_repaired", from_time=NOW_US, to_time=NOW_US + 5
    )
    data = encoder("gap", "BTCUSDT")(event, NOW_US)
    found = first_record(data)

    assert found is not None
    assert gap_of(found, data, load_schema("gap")) is None
    assert gaps_among(data, load_schema("gap")) == []


@pytest.mark.parametrize("schema", [None, {"fields": []}, {"fields": [{}, {"type": "unheard"}]}])
def test_with_a_strange_schema_the_id_is_known_and_the_time_is_not(schema):
    data = trade(5, "BTCUSDT")

    assert position_of(last_of_each(data)["btcusdt@trade"], data, schema, 99) == Position(5, 99)


@given(st.lists(st.tuples(st.sampled_from(SYMBOLS), ids), min_size=1, max_size=20))
def test_one_route_is_found_as_all_of_them_are(records):
    data = b"".join(trade(number, symbol) for symbol, number in records)
    data += b"binance:spot:BTCUSDT:trade:torn"

    for name, record in last_of_each(data).items():
        assert last_of(data, name) == record
    assert last_of(data, "nobody@trade") is None
    assert last_of(b"", "btcusdt@trade") is None


NUMBERS = {"trade": "t", "aggTrade": "a", "bookTicker": "u", "depth": "u", "depth@100ms": "u",
           "depth5": "lastUpdateId", "depth20@100ms": "lastUpdateId"}  # fmt: skip


@pytest.mark.parametrize("stream", PAYLOADS)
def test_the_last_record_of_every_kind_of_stream_is_found(stream):
    route = Routes((stream,), ("BTCUSDT",)).by_name[f"btcusdt@{stream}"]
    event = route.decode(frame(PAYLOADS[stream], route.name), NOW_US)
    record = encoder(stream, "BTCUSDT")(event, NOW_US)
    number = PAYLOADS[stream][NUMBERS.get(stream, "E")]

    [(name, last)] = last_of_each(record * 3).items()
    assert name == route.name
    assert last_of(record * 3, name) == last
    position = position_of(last, record * 3, load_schema(route.kind), 0)
    assert position == Position(number, NOW_US)


@pytest.mark.parametrize("stream", PAYLOADS)
def test_a_route_says_the_same_number_of_its_last_event(stream):
    route = Routes((stream,), ("BTCUSDT",)).by_name[f"btcusdt@{stream}"]
    event = route.decode(frame(PAYLOADS[stream], route.name), NOW_US)
    if not route.sequence.advance(event.id):
        assert route.sequence.take(event.id, (event, NOW_US), 0.0)

    assert route.sequence.last_id == PAYLOADS[stream][NUMBERS.get(stream, "E")]
