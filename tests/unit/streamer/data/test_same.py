"""Copies that are none."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from streamer.data.candle import Candle
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.depth import Depth
from streamer.data.kinds.kline import Kline
from streamer.data.kinds.trade import Trade
from streamer.data.same import differs, is_same

TRADE = Trade("trade", 1000, "BTCUSDT", 7, "1.5", "2", 990, True)
AGG_TRADE = AggTrade("aggTrade", 1000, "BTCUSDT", 7, "1.5", "2", 70, 72, 990, True)
BOOK = BookTicker(7, "BTCUSDT", "1", "2", "3", "4")
DEPTH = Depth("depthUpdate", 1000, "BTCUSDT", 7, 9, [("1", "2")], [])
CANDLE = Candle(0, 59_999_999, "BTCUSDT", "1m", 1, 3, "1", "2", "3", "0.5", "9", 3, True,
                "9", "4", "4")  # fmt: skip
OPEN = replace(CANDLE, is_closed=False, close="2.5", trade_count=2, volume="5")
KLINE = Kline("kline", 60_000_000, "BTCUSDT", CANDLE)


def kline(candle: Candle, event_time: int = 60_000_000, source: str = "live") -> Kline:
    return replace(KLINE, candle=candle, event_time=event_time, source=source)


@pytest.mark.parametrize("event", [TRADE, AGG_TRADE, KLINE])
def test_the_same_is_the_same_however_it_came(event):
    other = replace(event, source="backfill", event_time=event.event_time - 10)
    assert is_same(event, other)
    assert not differs(event, other)


def test_numbers_are_compared_not_how_they_are_written():
    assert is_same(TRADE, replace(TRADE, price="1.50000000", quantity="2.0"))
    assert not is_same(TRADE, replace(TRADE, price="NA"))


@pytest.mark.parametrize(
    "change", [{"price": "1.6"}, {"quantity": "3"}, {"trade_time": 991}, {"buyer_is_maker": False}]
)
@pytest.mark.parametrize("event", [TRADE, AGG_TRADE])
def test_trades_differ_by_what_they_say(event, change):
    assert not is_same(event, replace(event, **change))
    assert differs(event, replace(event, **change))


def test_aggregates_differ_by_their_trades():
    assert differs(AGG_TRADE, replace(AGG_TRADE, last_trade_id=73))
    assert differs(AGG_TRADE, replace(AGG_TRADE, first_trade_id=69))


def test_events_of_two_kinds_or_ids_are_not_compared():
    assert not is_same(TRADE, AGG_TRADE)
    assert not is_same(BOOK, BOOK)  # REST does not tell them
    assert not differs(TRADE, replace(TRADE, id=8, price="9"))
    assert differs(TRADE, replace(AGG_TRADE, id=TRADE.id))  # under one id: never a copy


def test_an_open_candle_becomes_what_it_becomes():
    assert is_same(kline(OPEN), KLINE)
    assert is_same(kline(replace(OPEN, trade_count=0, open="8")), KLINE)
    assert is_same(KLINE, kline(OPEN))  # REST lags
    assert is_same(KLINE, kline(replace(OPEN, trade_count=0, open="8")))
    for change in ({"open": "1.1"}, {"high": "3.1"}, {"low": "0.4"}, {"trade_count": 4}):
        assert not is_same(kline(replace(OPEN, **change)), KLINE)
    assert not is_same(KLINE, kline(replace(OPEN, open="8")))


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
def test_a_closed_candle_stays_what_it_is(field):
    other = replace(CANDLE, **{field: "0.9"})
    assert not is_same(KLINE, kline(other))
    assert differs(KLINE, kline(other))
    assert differs(KLINE, kline(other, 60_000_001, "backfill"))
    assert not differs(KLINE, kline(CANDLE, 60_000_001, "backfill"))


def test_two_states_of_a_candle_do_not_differ():
    assert not differs(kline(OPEN, 30), kline(replace(OPEN, close="2.6"), 31))
    assert differs(kline(OPEN, 30), kline(replace(OPEN, close="2.6"), 30))


def test_books_differ_by_their_levels():
    assert not differs(BOOK, replace(BOOK))
    assert differs(BOOK, replace(BOOK, ask_quantity="5"))
    assert not differs(DEPTH, replace(DEPTH, event_time=1001))
    assert differs(DEPTH, replace(DEPTH, bids=[("1", "3")]))
    assert differs(DEPTH, replace(DEPTH, asks=[("1", "3")]))
    assert not differs(DEPTH, replace(DEPTH, last_update_id=10, bids=[]))
