"""Depth, klines and tickers from the wire to their routes: fields, units, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.data.candle import Candle
from streamer.data.checks import ERROR_TYPES
from streamer.data.kinds.depth import Depth
from streamer.data.kinds.kline import Kline
from streamer.data.kinds.mini_ticker import MiniTicker
from streamer.data.kinds.ticker import Ticker
from streamer.errors import FrameRejected
from streamer.order.sequences import Waiting
from streamer.routes import Route, Routes
from tests.unit.streamer.payloads import DEPTH, KLINE, MINI_TICKER, NOW_US, PAYLOADS, TICKER, frame

STREAMS = tuple(PAYLOADS)


def route_of(stream: str, **settings: Any) -> Route:
    return Routes(STREAMS, ("BTCUSDT",), **settings).by_name[f"btcusdt@{stream}"]


def decode(stream: str, payload: dict[str, Any], **settings: Any) -> Any:
    return route_of(stream, **settings).decode(frame(payload, f"btcusdt@{stream}"), NOW_US)


@pytest.mark.parametrize("stream", ["depth", "depth@100ms"])
def test_a_change_of_a_book_keeps_every_field(stream):
    assert decode(stream, DEPTH) == Depth(
        event_type="depthUpdate",
        event_time=DEPTH["E"],
        symbol="BTCUSDT",
        id=DEPTH["U"],
        last_update_id=DEPTH["u"],
        bids=[("65000.11000000", "31.21000000"), ("64999.00000000", "0.00000000")],
        asks=[("65000.12000000", "40.66000000")],
    )


def test_a_kline_keeps_every_field():
    event, wire = decode("kline_1m", KLINE), KLINE["k"]

    assert event == Kline(
        event_type="kline",
        event_time=KLINE["E"],
        symbol="BTCUSDT",
        candle=Candle(
            open_time=wire["t"],
            close_time=wire["T"],
            symbol="BTCUSDT",
            interval="1m",
            first_trade_id=wire["f"],
            last_trade_id=wire["L"],
            open="65001.00000000",
            close="65000.12000000",
            high="65002.50000000",
            low="64998.75000000",
            volume="12.34500000",
            trade_count=90,
            is_closed=False,
            quote_volume="802431.48140000",
            taker_buy_volume="7.00000000",
            taker_buy_quote_volume="455000.84000000",
        ),
    )
    assert event.id == wire["t"]
    assert event.candle.next_open_time == wire["t"] + 60_000_000


def test_a_mini_ticker_keeps_every_field():
    event = decode("miniTicker", MINI_TICKER)

    assert event == MiniTicker(
        event_type="24hrMiniTicker",
        event_time=MINI_TICKER["E"],
        symbol="BTCUSDT",
        close="65000.12000000",
        open="64000.00000000",
        high="66000.00000000",
        low="63500.50000000",
        volume="12345.67800000",
        quote_volume="802431481.40000000",
    )
    assert event.id == event.event_time


def test_a_ticker_keeps_every_field():
    event = decode("ticker", TICKER)

    assert event == Ticker(
        event_type="24hrTicker",
        event_time=TICKER["E"],
        symbol="BTCUSDT",
        price_change="-999.88000000",
        price_change_percent="-1.515",
        weighted_average_price="65010.00000000",
        previous_price="65999.00000000",
        last_price="65000.12000000",
        last_quantity="0.00123000",
        bid_price="65000.11000000",
        bid_quantity="31.21000000",
        ask_price="65000.12000000",
        ask_quantity="40.66000000",
        open="66000.00000000",
        high="66500.00000000",
        low="63500.50000000",
        volume="12345.67800000",
        quote_volume="802431481.40000000",
        open_time=TICKER["O"],
        close_time=TICKER["C"],
        first_trade_id=TICKER["F"],
        last_trade_id=TICKER["L"],
        trade_count=3_456_790,
    )
    assert event.id == event.event_time


def test_milliseconds_become_microseconds_where_the_connection_says_so():
    wire = {**KLINE["k"], "t": 1_725_999_960_000, "T": 1_726_000_019_999}
    at = {"E": 1_726_000_000_123}

    kline = decode("kline_1m", KLINE | at | {"k": wire}, time_unit="ms")
    ticker = decode(
        "ticker", TICKER | at | {"O": 1_725_913_600_123, "C": 1_726_000_000_123}, time_unit="ms"
    )

    assert decode("depth", DEPTH | at, time_unit="ms").event_time == 1_726_000_000_123_000
    assert (kline.event_time, kline.id) == (1_726_000_000_123_000, 1_725_999_960_000_000)
    assert kline.candle.close_time == 1_726_000_019_999_000
    assert kline.candle.next_open_time == 1_726_000_020_000_000
    assert ticker.event_time == ticker.close_time == 1_726_000_000_123_000
    assert ticker.open_time == 1_725_913_600_123_000


def test_a_candle_without_trades_and_a_ticker_without_any_are_events():
    nothing = {"f": -1, "L": -1, "n": 0, "v": "0", "q": "0", "V": "0", "Q": "0"}
    zeros = dict.fromkeys("owxcQbBaAhlvqpP", "0.00000000") | {"F": -1, "L": -1, "n": 0}

    assert decode("kline_1m", KLINE | {"k": KLINE["k"] | nothing}).candle.first_trade_id == -1
    assert decode("ticker", TICKER | zeros).first_trade_id == -1
    assert decode("miniTicker", MINI_TICKER | dict.fromkeys("cohlvq", "0.00000000")).close
    assert decode("depth", DEPTH | {"b": [], "a": []}).bids == []


def kline(**changes: Any) -> dict[str, Any]:
    return KLINE | {"k": KLINE["k"] | changes}


US = KLINE["E"]
MALFORMED = [
    ("bad_id", "depth", DEPTH | {"U": DEPTH["u"] + 1}),
    ("bad_id", "depth", DEPTH | {"u": -1}),
    ("bad_time", "depth", DEPTH | {"E": US // 1000}),
    ("wrong_symbol", "depth", DEPTH | {"s": "ETHUSDT"}),
    ("wrong_type", "depth", DEPTH | {"b": [["1"]]}),
    ("wrong_type", "depth", DEPTH | {"b": [["1", "2", "3"]]}),
    ("wrong_type", "depth", DEPTH | {"b": [["1", 2]]}),
    ("bad_price", "depth", DEPTH | {"b": [["0.0", "2"]]}),
    ("bad_price", "depth", DEPTH | {"a": [["-1", "2"]]}),
    ("bad_quantity", "depth", DEPTH | {"a": [["1", "nan"]]}),
    ("wrong_type", "kline_1m", KLINE | {"k": []}),
    ("missing_field", "kline_1m", {key: KLINE[key] for key in "eEs"}),
    ("bad_time", "kline_1m", KLINE | {"E": US * 1000}),
    ("bad_time", "kline_1m", kline(t=US // 1000)),
    ("bad_time", "kline_1m", kline(t=-1)),
    ("bad_time", "kline_1m", kline(T=KLINE["k"]["t"] - 1)),
    ("bad_time", "kline_1m", kline(T=US * 1000)),
    ("bad_id", "kline_1m", kline(f=-2)),
    ("bad_id", "kline_1m", kline(n=-1)),
    ("wrong_symbol", "kline_1m", kline(s="ETHUSDT")),
    ("wrong_symbol", "kline_1m", KLINE | {"s": "ETHUSDT"}),
    ("wrong_interval", "kline_1m", kline(i="1M")),
    ("bad_price", "kline_1m", kline(o="0.0")),
    ("bad_price", "kline_1m", kline(l="-1")),
    ("bad_quantity", "kline_1m", kline(V="-1")),
    ("wrong_type", "kline_1m", kline(x="true")),
    ("bad_time", "miniTicker", MINI_TICKER | {"E": 0}),
    ("bad_price", "miniTicker", MINI_TICKER | {"h": "-1"}),
    ("bad_quantity", "miniTicker", MINI_TICKER | {"q": ""}),
    ("wrong_type", "miniTicker", MINI_TICKER | {"e": "24hrTicker"}),
    ("bad_time", "ticker", TICKER | {"C": US * 1000}),
    ("bad_time", "ticker", TICKER | {"O": TICKER["C"] + 1}),
    ("bad_time", "ticker", TICKER | {"O": -1}),
    ("bad_price", "ticker", TICKER | {"p": "--1"}),
    ("bad_price", "ticker", TICKER | {"P": "1e3"}),
    ("bad_price", "ticker", TICKER | {"b": "-1"}),
    ("bad_quantity", "ticker", TICKER | {"A": "-1"}),
]


@pytest.mark.parametrize(("error_type", "stream", "payload"), MALFORMED)
def test_malformed_events_are_refused_by_kind(error_type, stream, payload):
    with pytest.raises(FrameRejected) as raised:
        decode(stream, payload)

    assert raised.value.error_type == error_type
    assert error_type in ERROR_TYPES


def take(route: Route, payload: dict[str, Any]) -> list[Any]:
    event = route.decode(frame(payload, route.name), NOW_US)
    if route.sequence.advance(event.id):
        return [event]
    return [
        item if not isinstance(item, tuple) else item[0]
        for item in route.sequence.take(event.id, (event, NOW_US), 0.0)
    ]


def test_a_book_goes_on_by_its_update_ids():
    route = route_of("depth@100ms")

    assert take(route, DEPTH | {"U": 5, "u": 9})
    assert take(route, DEPTH | {"U": 11, "u": 12}) == []
    assert [each.id for each in take(route, DEPTH | {"U": 10, "u": 10})] == [10, 11]
    assert route.sequence.last_id == 12
    assert route.repaired is None


def test_a_candle_follows_the_one_before(tmp_path):
    route = route_of("kline_1m", waiting=Waiting(100, tmp_path))
    minute, begin = 60_000_000, KLINE["k"]["t"] - 120_000_000

    def candle(number: int, closed: bool = True) -> dict[str, Any]:
        open_time = begin + number * minute
        return kline(t=open_time, T=open_time + minute - 1, x=closed)

    assert take(route, candle(0))
    assert take(route, candle(2, closed=False)) == []
    assert [each.id for each in take(route, candle(1))] == [begin + minute, begin + 2 * minute]
    assert route.repaired is route.sequence


@pytest.mark.parametrize(("stream", "payload"), [("ticker", TICKER), ("miniTicker", MINI_TICKER)])
def test_a_later_ticker_supersedes_and_hours_of_silence_are_no_jump(stream, payload):
    route = route_of(stream)

    assert take(route, payload | {"E": US - 7_200_000_000})
    assert take(route, payload)
    assert take(route, payload) == take(route, payload | {"E": US - 1}) == []
    assert route.sequence.duplicates_total == 2
