"""Books, klines, tickers and averages as the exchange writes them: JSON of streams and of REST.

Key order, spacing and eight decimals are the exchange's, as in `simulator.payloads`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice

from simulator.book import BookState, Level
from simulator.payloads import DIVISOR, FLAG, UNIT, TimeUnit, decimal
from simulator.summaries import Average, Depth, Kline, PartialDepth, Summary, Ticker
from simulator.tape import EVENT_DELAY_MICROSECONDS

_DAY_MICROSECONDS = 86_400_000_000


def summary_payload(symbol: str, event: Summary, unit: TimeUnit) -> str:
    """Return the raw payload of an event on its WebSocket stream."""
    name = json.dumps(symbol, ensure_ascii=False)
    happened = (event.time + EVENT_DELAY_MICROSECONDS) // DIVISOR[unit]
    if isinstance(event, Depth):
        return (
            f'{{"e":"depthUpdate","E":{happened},"s":{name},"U":{event.first},"u":{event.id},'
            f'"b":{_levels(event.bids)},"a":{_levels(event.asks)}}}'
        )
    if isinstance(event, PartialDepth):  # has neither event type nor time nor symbol
        bids, asks = _levels(event.bids), _levels(event.asks)
        return f'{{"lastUpdateId":{event.id},"bids":{bids},"asks":{asks}}}'
    if isinstance(event, Average):
        return (
            f'{{"e":"avgPrice","E":{happened},"s":{name},"i":"5m",'
            f'"w":"{decimal(event.price)}","T":{event.last_trade_time // DIVISOR[unit]}}}'
        )
    if isinstance(event, Kline):
        return f'{{"e":"kline","E":{happened},"s":{name},"k":{_candle(name, event, unit)}}}'
    if event.is_brief:
        return f'{{"e":"24hrMiniTicker","E":{happened},"s":{name},{_brief(event)}}}'
    return f'{{"e":"24hrTicker","E":{happened},"s":{name},{_statistics(event, unit)}}}'


def rest_candle(kline: Kline, unit: TimeUnit) -> str:
    """Return an element of `klines`."""
    opening, closing, high, low = map(decimal, _prices(kline))
    begin, end = _bounds(kline, unit)
    span = kline.span
    return (
        f'[{begin},"{opening}","{high}","{low}","{closing}",'
        f'"{decimal(span.volume if span else 0)}",{end},'
        f'"{decimal(span.value // UNIT if span else 0)}",{span.trades if span else 0},'
        f'"{decimal(span.taker_buy_volume if span else 0)}",'
        f'"{decimal(span.taker_buy_value // UNIT if span else 0)}","0"]'
    )


def rest_depth(last_id: int, book: BookState, limit: int) -> str:
    """Return the answer of `depth`: the best levels of each side, at most `limit`."""
    bids, asks = (_levels(islice(side.items(), limit)) for side in book)
    return f'{{"lastUpdateId":{last_id},"bids":{bids},"asks":{asks}}}'


def _levels(levels: Iterable[Level]) -> str:
    pairs = (f'["{decimal(price)}","{decimal(quantity)}"]' for price, quantity in levels)
    return f"[{','.join(pairs)}]"


def _candle(name: str, kline: Kline, unit: TimeUnit) -> str:
    opening, closing, high, low = map(decimal, _prices(kline))
    begin, end = _bounds(kline, unit)
    span = kline.span
    return (
        f'{{"t":{begin},"T":{end},"s":{name},"i":"{kline.interval}",'
        f'"f":{span.first.id if span else -1},"L":{span.last.id if span else -1},'
        f'"o":"{opening}","c":"{closing}","h":"{high}","l":"{low}",'
        f'"v":"{decimal(span.volume if span else 0)}","n":{span.trades if span else 0},'
        f'"x":{FLAG[kline.is_closed]},"q":"{decimal(span.value // UNIT if span else 0)}",'
        f'"V":"{decimal(span.taker_buy_volume if span else 0)}",'
        f'"Q":"{decimal(span.taker_buy_value // UNIT if span else 0)}","B":"0"}}'
    )


def _prices(event: Kline | Ticker) -> tuple[int, int, int, int]:
    """Return open, close, high and low; all the price before where nobody traded."""
    span = event.span
    if span is None:
        return (event.price_before,) * 4
    return span.first.price, span.last.price, span.high, span.low


def _bounds(kline: Kline, unit: TimeUnit) -> tuple[int, int]:
    """Return the first and the last moment of a candle."""
    factor = 1_000_000 // DIVISOR[unit]
    return kline.start * factor, kline.end * factor - 1


def _brief(event: Ticker) -> str:
    opening, closing, high, low = map(decimal, _prices(event))
    span = event.span
    return (
        f'"c":"{closing}","o":"{opening}","h":"{high}","l":"{low}",'
        f'"v":"{decimal(span.volume if span else 0)}",'
        f'"q":"{decimal(span.value // UNIT if span else 0)}"'
    )


def _statistics(event: Ticker, unit: TimeUnit) -> str:
    prices = _prices(event)
    opening, closing, high, low = map(decimal, prices)
    change, span, book = prices[1] - prices[0], event.span, event.book
    thousandths = abs(change) * 100_000 // prices[0]  # of a percent
    sign = "-" if change < 0 else ""
    return (
        f'"p":"{sign}{decimal(abs(change))}",'
        f'"P":"{sign}{thousandths // 1000}.{thousandths % 1000:03d}",'
        f'"w":"{decimal(span.value // span.volume if span else prices[1])}",'
        f'"x":"{decimal(event.price_before)}","c":"{closing}",'
        f'"Q":"{decimal(span.last.quantity if span else 0)}",'
        f'"b":"{decimal(book.bid)}","B":"{decimal(book.bid_quantity)}",'
        f'"a":"{decimal(book.ask)}","A":"{decimal(book.ask_quantity)}",'
        f'"o":"{opening}","h":"{high}","l":"{low}",'
        f'"v":"{decimal(span.volume if span else 0)}",'
        f'"q":"{decimal(span.value // UNIT if span else 0)}",'
        f'"O":{(event.time - _DAY_MICROSECONDS) // DIVISOR[unit]},'
        f'"C":{event.time // DIVISOR[unit]},'
        f'"F":{span.first.id if span else -1},"L":{span.last.id if span else -1},'
        f'"n":{span.trades if span else 0}'
    )
