from __future__ import annotations

from typing import Any

import pytest

from streamer.data.checks import ERROR_TYPES, TimeWindow
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.trade import Trade
from streamer.errors import FrameRejected
from streamer.order.positions import Position
from streamer.order.sequences import Waiting
from streamer.routes import JUMP_LIMIT, JUMP_US, Route, Routes
from tests.unit.streamer.payloads import (
    AGG_TRADE,
    BOOK_TICKER,
    NOW_US,
    PAYLOADS,
    TRADE,
    frame,
    of_symbol,
    trade,
)

KINDS = ("trade", "aggTrade", "bookTicker")
STREAMS = tuple(PAYLOADS)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "币安人生USDT")


@pytest.fixture
def routes():
    return Routes(STREAMS, SYMBOLS)


def decode(routes: Routes, payload: bytes, now_us: int = NOW_US) -> Any:
    route = routes.find(payload)
    assert route is not None
    return route.decode(payload, now_us)


def test_a_trade_keeps_every_field(routes):
    assert decode(routes, frame(TRADE)) == Trade(
        event_type="trade",
        event_time=TRADE["E"],
        symbol="BTCUSDT",
        id=TRADE["t"],
        price="65000.12000000",
        quantity="0.00123000",
        trade_time=TRADE["T"],
        buyer_is_maker=True,
    )


def test_an_aggregate_trade_keeps_every_field(routes):
    assert decode(routes, frame(AGG_TRADE, "btcusdt@aggTrade")) == AggTrade(
        event_type="aggTrade",
        event_time=AGG_TRADE["E"],
        symbol="BTCUSDT",
        id=AGG_TRADE["a"],
        price="65000.12000000",
        quantity="0.00123000",
        first_trade_id=AGG_TRADE["f"],
        last_trade_id=AGG_TRADE["l"],
        trade_time=AGG_TRADE["T"],
        buyer_is_maker=False,
    )


def test_a_book_ticker_keeps_every_field(routes):
    assert decode(routes, frame(BOOK_TICKER, "btcusdt@bookTicker")) == BookTicker(
        id=BOOK_TICKER["u"],
        symbol="BTCUSDT",
        bid_price="65000.11000000",
        bid_quantity="31.21000000",
        ask_price="65000.12000000",
        ask_quantity="40.66000000",
    )


def test_an_empty_side_of_a_book_is_all_zero(routes):
    zero = "0.00000000"
    event = decode(routes, frame(BOOK_TICKER | {"b": zero, "B": zero}, "btcusdt@bookTicker"))

    assert (event.bid_price, event.bid_quantity) == (zero, zero)


def test_fields_that_nobody_knows_are_ignored(routes):
    assert decode(routes, trade(X=None, Z=[1, {"a": "b"}], M=None)) == decode(routes, frame(TRADE))


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_each_stream_has_a_route_of_its_own(routes, symbol):
    for stream, fields in PAYLOADS.items():
        name = f"{symbol.lower()}@{stream}"
        payload = frame(of_symbol(fields, symbol), name)
        route = routes.find(payload)
        assert route is not None
        assert (route.stream, route.symbol, route.name) == (stream, symbol, name)
        assert route.decode(payload, NOW_US).symbol == symbol
    assert len(routes) == len(list(routes)) == 3 * len(STREAMS)


def test_an_escaped_name_is_found_as_well(routes):
    escaped = frame(TRADE | {"s": "币安人生USDT"}, "币安人生usdt@trade").decode()
    start = escaped.index("币")
    name = "币安人生".encode("ascii", "backslashreplace").decode()
    payload = (escaped[:start] + name + escaped[start + 4 :]).encode()

    assert decode(routes, payload).symbol == "币安人生USDT"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"stream":"',
        b'{"stream":"btcusdt@trade',
        b'{"stream":"btcusdt@depth5@100ms","data":{}}',
        b'{"stream":"BTCUSDT@trade","data":{}}',
        b'{"result":null,"id":1}',
        b'{"data":{},"stream":"btcusdt@trade"}',
        b"\xff\xfe\x00" * 9,
    ],
)
def test_anything_else_has_no_route(routes, payload):
    assert routes.find(payload) is None


def test_milliseconds_become_microseconds_where_the_connection_says_so():
    routes = Routes(KINDS, SYMBOLS, time_unit="ms")
    in_ms = {"E": 1_726_000_000_123, "T": 1_726_000_000_122}

    event = decode(routes, trade(**in_ms))
    ticker = decode(routes, frame(BOOK_TICKER, "btcusdt@bookTicker"))

    assert (event.event_time, event.trade_time) == (1_726_000_000_123_000, 1_726_000_000_122_000)
    assert ticker.id == BOOK_TICKER["u"]


def test_the_window_of_times_can_be_set():
    early = TRADE["T"]
    routes = Routes(KINDS, SYMBOLS, window=TimeWindow(earliest_us=early, ahead_us=0))

    assert decode(routes, frame(TRADE), TRADE["E"]).event_time == TRADE["E"]
    for times in ({"E": early - 1}, {"T": early - 1}):
        with pytest.raises(FrameRejected, match="not within"):
            decode(routes, trade(**times), TRADE["E"])
    with pytest.raises(FrameRejected, match="not within"):
        decode(routes, frame(TRADE), TRADE["E"] - 1)


TEXT = frame(TRADE).decode()
US = TRADE["E"]
MALFORMED = [
    ("truncated", TEXT[:-1]),
    ("truncated", TEXT[:100]),
    ("not_json", TEXT + "}"),
    ("not_json", TEXT.replace('"E":', '"E"')),
    ("invalid_utf8", TEXT.encode().replace(b"BTCUSDT", b"BTC\xff\xfeDT")),
    ("missing_field", trade(p=None)),
    ("missing_field", trade(t=None)),
    ("missing_field", trade(e=None)),
    ("missing_field", '{"stream":"btcusdt@trade"}'),
    ("wrong_type", trade(p=65000.12)),
    ("wrong_type", trade(t="5123456789")),
    ("wrong_type", trade(t=1.5)),
    ("wrong_type", trade(m="true")),
    ("wrong_type", trade(e="aggTrade")),
    ("wrong_type", frame([TRADE])),
    ("wrong_type", frame("text")),
    ("bad_id", trade(t=-1)),
    ("bad_id", trade(t=2**63)),
    ("bad_id", trade(t=10**30)),
    ("bad_time", trade(E=-1)),
    ("bad_time", trade(E=US // 1000)),
    ("bad_time", trade(T=US // 1000)),
    ("bad_time", trade(E=US * 1000)),
    ("bad_time", trade(T=US + 400 * 24 * 3600 * 10**6)),
    ("bad_time", trade(T=10**30)),
    ("bad_time", trade(E=0)),
    ("bad_price", trade(p="NaN")),
    ("bad_price", trade(p="Infinity")),
    ("bad_price", trade(p="-1.0")),
    ("bad_price", trade(p="6.5e4")),
    ("bad_price", trade(p="0.00000000")),
    ("bad_price", trade(p="")),
    ("bad_price", trade(p="0.0000000000000000001")),
    ("bad_quantity", trade(q="0.00000000")),
    ("bad_quantity", trade(q="nan")),
    ("bad_quantity", trade(q="1" * 21)),
    ("wrong_symbol", trade(s="ETHUSDT")),
    ("wrong_symbol", trade(s="btcusdt")),
    ("bad_id", frame(AGG_TRADE | {"f": 2, "l": 1}, "btcusdt@aggTrade")),
    ("bad_price", frame(AGG_TRADE | {"p": "x"}, "btcusdt@aggTrade")),
    ("bad_price", frame(BOOK_TICKER | {"a": "0.0"}, "btcusdt@bookTicker")),
    ("bad_quantity", frame(BOOK_TICKER | {"A": "-0"}, "btcusdt@bookTicker")),
    ("bad_id", frame(BOOK_TICKER | {"u": -5}, "btcusdt@bookTicker")),
]


@pytest.mark.parametrize(("error_type", "payload"), MALFORMED)
def test_malformed_frames_are_refused_by_kind(routes, error_type, payload):
    payload = payload.encode() if isinstance(payload, str) else payload

    with pytest.raises(FrameRejected) as raised:
        decode(routes, payload)

    assert raised.value.error_type == error_type
    assert error_type in ERROR_TYPES
    assert str(raised.value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_absurdly_far_ahead_does_not_silence_the_stream(routes, kind):
    route = routes.by_name[f"btcusdt@{kind}"]
    letter = {"trade": "t", "aggTrade": "a", "bookTicker": "u"}[kind]

    def take(event_id: int) -> list[Any]:
        event = route.decode(frame(PAYLOADS[kind] | {letter: event_id}, route.name), NOW_US)
        return route.sequence.take(event.id, event, 0.0)

    start = 5_000_000_000
    assert take(start)
    with pytest.raises(FrameRejected, match="comes after") as raised:
        take(start + 2**60)
    assert raised.value.error_type == "bad_id"
    assert take(start + 1)
    for step in range(1, 5):  # far, but not absurd: from wherever it has got to
        take(start + step * JUMP_LIMIT)
        route.sequence.expire(99.0)
    assert route.sequence.last_id == start + 4 * JUMP_LIMIT


def test_a_refused_frame_leaves_no_trace_in_its_route(routes):
    route = routes.by_name["btcusdt@trade"]
    with pytest.raises(FrameRejected):
        route.decode(trade(q="0"), NOW_US)

    assert route.received_us is None
    route.decode(frame(TRADE), NOW_US)
    assert route.received_us == NOW_US
    assert route.sequence.last_id is None


@pytest.mark.parametrize("kind", ["trade", "aggTrade"])
def test_what_waits_on_disk_comes_out_as_it_was(tmp_path, kind):
    route = Route(kind, "BTCUSDT", window=TimeWindow(), waiting=Waiting(1, tmp_path / "held"))
    id_key = "t" if kind == "trade" else "a"
    first, *later = [
        (route.decode(frame({**PAYLOADS[kind], id_key: 100 + i}, f"btcusdt@{kind}"), NOW_US), i)
        for i in (0, 2, 3, 4, 1)
    ]
    released = [
        each
        for arrival in (first, *later)
        for each in route.sequence.take(arrival[0].id, arrival, 0.0)
    ]

    assert (tmp_path / "held").is_dir(), "the second and the third wait on disk"
    assert released == sorted((first, *later), key=lambda arrival: arrival[1])


def test_a_route_that_goes_on_takes_longer_jumps_the_longer_nobody_listened():
    payload = trade(t=41 + 3 * JUMP_LIMIT)
    route = Routes(("trade",), ("BTCUSDT",)).by_name["btcusdt@trade"]
    route.resume(Position(41, NOW_US - JUMP_US))
    with pytest.raises(FrameRejected, match="comes after 41"):
        route.decode(payload, NOW_US)

    route = Routes(("trade",), ("BTCUSDT",)).by_name["btcusdt@trade"]
    route.resume(Position(41, NOW_US - 3 * JUMP_US))
    assert route.decode(payload, NOW_US).id == 41 + 3 * JUMP_LIMIT
