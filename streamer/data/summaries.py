"""Events that sum up a span of time: klines and 24-hour tickers, as typed as JSON can say.

As in `streamer.data.events`: readable names here, single letters on the wire, prices and quantities
the text that came, times in the connection's unit until `Route.decode` has made them microseconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from streamer.data.field_types import SOURCE_KEY, IdOrNone, Source, Whole


class Candle(
    msgspec.Struct,
    frozen=True,
    gc=False,  # holds only texts and numbers: no cycle is possible
    rename={
        "open_time": "t",
        "close_time": "T",
        "symbol": "s",
        "interval": "i",
        "first_trade_id": "f",
        "last_trade_id": "L",
        "open": "o",
        "close": "c",
        "high": "h",
        "low": "l",
        "volume": "v",
        "trade_count": "n",
        "is_closed": "x",
        "quote_volume": "q",
        "taker_buy_volume": "V",
        "taker_buy_quote_volume": "Q",
    },
):
    """One candle, so far or closed. `B`, documented as to be ignored, is left out.

    `close_time` is the last moment that belongs to it. The ids of its trades are -1 where there
    were none and None where REST told of it, which does not tell them.
    """

    open_time: Whole
    close_time: Whole
    symbol: str
    interval: str
    first_trade_id: IdOrNone | None
    last_trade_id: IdOrNone | None
    open: str
    close: str
    high: str
    low: str
    volume: str
    trade_count: Whole
    is_closed: bool
    quote_volume: str
    taker_buy_volume: str
    taker_buy_quote_volume: str

    @property
    def next_open_time(self) -> int:
        """When the next candle begins, in microseconds; the close time may be cut to a millisecond.

        Candles of all intervals begin at whole milliseconds.
        """
        return (self.close_time // 1000 + 1) * 1000


class Kline(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "candle": "k",
        "source": SOURCE_KEY,
    },
):
    """The state of a candle at `event_time`; the last one of a candle says that it is closed."""

    event_type: Literal["kline"]
    event_time: Whole
    symbol: str
    candle: Candle
    source: Source = "live"

    @property
    def id(self) -> int:
        """Its candle's open time: closed candles follow each other without a hole."""
        return self.candle.open_time


class MiniTicker(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "close": "c",
        "open": "o",
        "high": "h",
        "low": "l",
        "volume": "v",
        "quote_volume": "q",
    },
):
    """The last 24 hours in brief; `close` is the latest price."""

    event_type: Literal["24hrMiniTicker"]
    event_time: Whole
    symbol: str
    close: str
    open: str
    high: str
    low: str
    volume: str
    quote_volume: str

    @property
    def id(self) -> int:
        """Its time: a later one supersedes it."""
        return self.event_time


class Ticker(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "price_change": "p",
        "price_change_percent": "P",
        "weighted_average_price": "w",
        "previous_price": "x",
        "last_price": "c",
        "last_quantity": "Q",
        "bid_price": "b",
        "bid_quantity": "B",
        "ask_price": "a",
        "ask_quantity": "A",
        "open": "o",
        "high": "h",
        "low": "l",
        "volume": "v",
        "quote_volume": "q",
        "open_time": "O",
        "close_time": "C",
        "first_trade_id": "F",
        "last_trade_id": "L",
        "trade_count": "n",
    },
):
    """The statistics of the last 24 hours. The changes may be below zero."""

    event_type: Literal["24hrTicker"]
    event_time: Whole
    symbol: str
    price_change: str
    price_change_percent: str
    weighted_average_price: str
    previous_price: str  # of the last trade before these 24 hours
    last_price: str
    last_quantity: str
    bid_price: str
    bid_quantity: str
    ask_price: str
    ask_quantity: str
    open: str
    high: str
    low: str
    volume: str
    quote_volume: str
    open_time: Whole
    close_time: Whole
    first_trade_id: IdOrNone
    last_trade_id: IdOrNone
    trade_count: Whole

    @property
    def id(self) -> int:
        """Its time: a later one supersedes it."""
        return self.event_time
