"""A candle, as an event of the kind `kline` holds it and as REST tells it. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from streamer.data.field_types import IdOrNone, Whole
from streamer.data.numbers import number


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


def became(streamed: Candle, told: Candle) -> bool:
    """Return whether one candle can be what became of the other."""
    if streamed.is_closed and told.is_closed:
        closed = streamed.trade_count, _prices(streamed), number(streamed.volume)
        return closed == (told.trade_count, _prices(told), number(told.volume))
    if not (streamed.trade_count and told.trade_count):
        return True  # nobody had traded: its prices were those of the one before
    open_, high, low, _ = _prices(streamed)
    told_open, told_high, told_low, _ = _prices(told)
    if not told.is_closed:  # REST may lag behind the stream: either can be the later one
        return open_ == told_open
    return (
        told_open == open_
        and told_high >= high
        and told_low <= low
        and told.trade_count >= streamed.trade_count
    )


def _prices(candle: Candle) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    high_low = number(candle.high), number(candle.low)
    return (number(candle.open), *high_low, number(candle.close))
