"""Do two events under the same id say the same? Pure.

How each came does not matter, nor when the exchange made an event of a trade, which REST does not
tell: `1.50` is `1.5`, and so on.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from streamer.data.events import AggTrade, Depth, Event, Trade
from streamer.data.summaries import Candle, Kline

_NO_NUMBER = Decimal(-1)


def is_same(streamed: Event, told: Event) -> bool:
    """Return whether what the stream told and what REST tells under the same id is the same.

    Of a candle that was open, what the stream told may be less than what became of it.
    """
    if isinstance(streamed, AggTrade) and isinstance(told, AggTrade):
        ids = streamed.first_trade_id, streamed.last_trade_id
        return ids == (told.first_trade_id, told.last_trade_id) and _same(streamed, told)
    if isinstance(streamed, Trade) and isinstance(told, Trade):
        return _same(streamed, told)
    if isinstance(streamed, Kline) and isinstance(told, Kline):
        return _became(streamed.candle, told.candle)
    return False


def differs(first: Event, copy: Event) -> bool:
    """Return whether an event is no copy of another one, though it comes under the same ids.

    Events that cannot be copies of each other, such as two states of a candle, do not differ.
    """
    if first.id != copy.id:
        return False
    if isinstance(first, Kline) and isinstance(copy, Kline):
        if first.event_time == copy.event_time and first.source == copy.source:
            return first.candle != copy.candle
        are_closed = first.candle.is_closed and copy.candle.is_closed
        return are_closed and not _became(first.candle, copy.candle)
    if isinstance(first, Depth) and isinstance(copy, Depth):
        ends = first.last_update_id, copy.last_update_id  # each server may cut them elsewhere
        return ends[0] == ends[1] and (first.bids, first.asks) != (copy.bids, copy.asks)
    if isinstance(first, (Trade, AggTrade)):
        return not is_same(first, copy)
    return first != copy


def _same(one: Trade | AggTrade, other: Trade | AggTrade) -> bool:
    return (
        one.trade_time == other.trade_time
        and one.buyer_is_maker == other.buyer_is_maker
        and _number(one.price) == _number(other.price)
        and _number(one.quantity) == _number(other.quantity)
    )


def _became(streamed: Candle, told: Candle) -> bool:
    """Return whether one candle can be what became of the other."""
    if streamed.is_closed and told.is_closed:
        closed = streamed.trade_count, _prices(streamed), _number(streamed.volume)
        return closed == (told.trade_count, _prices(told), _number(told.volume))
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
    high_low = _number(candle.high), _number(candle.low)
    return (_number(candle.open), *high_low, _number(candle.close))


def _number(text: str) -> Decimal:
    """Return the number that a text is; below 0 where it is none."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return _NO_NUMBER
