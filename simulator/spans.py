"""Spans of the tape's trades summed up, and the calendar of candles. Pure.

Spans begin and end at whole Unix seconds. Seconds, minutes and hours are remembered, so that a
day is summed up from a few dozen of them, whatever is asked for in whatever order.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache, reduce
from typing import NamedTuple

from simulator.tape import SymbolTape, Trade

_FIXED_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_WEEK_SECONDS, _MONDAY = 7 * 86_400, 4 * 86_400  # 1 January 1970 was a Thursday
INTERVALS = (
    "1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h",
    "1d", "3d", "1w", "1M",
)  # fmt: skip
"""The documented intervals of klines."""


def candle_start(interval: str, second: int) -> int:
    """Return when the candle that a second is in begins, in Unix seconds."""
    if interval == "1M":
        first = datetime.fromtimestamp(second, UTC).replace(day=1, hour=0, minute=0, second=0)
        return int(first.timestamp())
    if interval == "1w":
        return second - (second - _MONDAY) % _WEEK_SECONDS
    length = int(interval[:-1]) * _FIXED_SECONDS[interval[-1]]
    return second - second % length


def candle_end(interval: str, start: int) -> int:
    """Return when the next candle begins; `start` is the beginning of one."""
    if interval == "1M":
        return candle_start(interval, start + 31 * 86_400)
    if interval == "1w":
        return start + _WEEK_SECONDS
    return start + int(interval[:-1]) * _FIXED_SECONDS[interval[-1]]


def candle_starts(
    interval: str, earliest: int, latest: int, limit: int, since: int | None
) -> list[int]:
    """Return the beginnings of candles up to the one that `latest` is in, at most `limit`.

    The first ones that begin at `since` or later; without it the last ones from `earliest` on.
    """
    at = candle_start(interval, earliest)
    if since is not None and since > at:
        at = candle_start(interval, since)
        at = at if at == since else candle_end(interval, at)
    starts: list[int] = []
    while at <= latest and (since is None or len(starts) < limit):
        starts.append(at)
        at = candle_end(interval, at)
    return starts[-limit:]


class Span(NamedTuple):
    """The trades of a span of time; prices and quantities are integers of 1e-8, values of 1e-16."""

    trades: int
    first: Trade
    last: Trade
    high: int
    low: int
    volume: int
    value: int
    taker_buy_volume: int
    taker_buy_value: int


class Spans:
    """What one symbol's tape holds between two whole seconds; None where nobody traded."""

    def __init__(self, tape: SymbolTape) -> None:
        self._tape = tape
        self._second = lru_cache(maxsize=4096)(self._sum_second)
        self._minute = lru_cache(maxsize=4096)(self._sum_minute)
        self._hour = lru_cache(maxsize=256)(self._sum_hour)

    def between(self, begin: int, end: int) -> Span | None:
        """Return the trades from one Unix second on, before another."""
        found: list[Span | None] = []
        second = max(begin, self._tape.start // 1_000_000)
        while second < end:
            if second % 3600 == 0 and second + 3600 <= end:
                found.append(self._hour(second))
                second += 3600
            elif second % 60 == 0 and second + 60 <= end:
                found.append(self._minute(second))
                second += 60
            else:
                found.append(self._second(second))
                second += 1
        return _joined(found)

    def price_before(self, second: int) -> int:
        """Return the price of the last trade before a second, or of the first one ever."""
        return self.last_before(second).price

    def last_before(self, second: int) -> Trade:
        """Return the last trade before a second, or the first one ever."""
        index = self._tape.index_after("trade", second * 1_000_000 - 1)
        trade = self._tape.event("trade", max(0, index - 1))
        assert isinstance(trade, Trade)  # noqa: S101 - for the type checker
        return trade

    def _sum_second(self, second: int) -> Span | None:
        begin, end = (
            self._tape.index_after("trade", at * 1_000_000 - 1) for at in (second, second + 1)
        )
        events = (self._tape.event("trade", index) for index in range(begin, end))
        trades = [event for event in events if isinstance(event, Trade)]
        if not trades:
            return None
        bought = [trade for trade in trades if not trade.buyer_is_maker]
        return Span(
            len(trades),
            trades[0],
            trades[-1],
            max(trade.price for trade in trades),
            min(trade.price for trade in trades),
            sum(trade.quantity for trade in trades),
            sum(trade.price * trade.quantity for trade in trades),
            sum(trade.quantity for trade in bought),
            sum(trade.price * trade.quantity for trade in bought),
        )

    def _sum_minute(self, second: int) -> Span | None:
        return _joined([self._second(each) for each in range(second, second + 60)])

    def _sum_hour(self, second: int) -> Span | None:
        return _joined([self._minute(each) for each in range(second, second + 3600, 60)])


def _joined(spans: list[Span | None]) -> Span | None:
    there = [span for span in spans if span is not None]
    return reduce(_join, there) if there else None


def _join(one: Span, other: Span) -> Span:
    """Return two spans as one; `other` is later."""
    return Span(
        one.trades + other.trades,
        one.first,
        other.last,
        max(one.high, other.high),
        min(one.low, other.low),
        one.volume + other.volume,
        one.value + other.value,
        one.taker_buy_volume + other.taker_buy_volume,
        one.taker_buy_value + other.taker_buy_value,
    )
