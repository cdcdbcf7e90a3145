"""A market of any number of symbols that costs its exchange next to nothing. Pure.

Each stream's events come at even intervals, so that the one with a given id is a matter of
arithmetic: for the stream, for REST, and for whoever compares what was stored. Of ten aggregates
as many as told are single trades. Times are microseconds of the Unix epoch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("trade", "bookTicker", "depth@100ms")
FIRST_ID = 1_000_000_000
_MICROSECONDS = 1_000_000
_OF_SEVERAL = 3  # trades of an aggregate that is not a single one
_PRICES = 10_000_000  # that follow each other

_PAYLOADS = {
    "trade": (
        b'{"stream":"%s","data":{"e":"trade","E":%d,"s":"%s","t":%d,"p":"%s","q":"0.50000000",'
        b'"T":%d,"m":true,"M":true}}'
    ),
    "bookTicker": (
        b'{"stream":"%s","data":{"u":%d,"s":"%s","b":"1.50000000","B":"31.21000000",'
        b'"a":"1.60000000","A":"40.66000000"}}'
    ),
    "depth@100ms": (
        b'{"stream":"%s","data":{"e":"depthUpdate","E":%d,"s":"%s","U":%d,"u":%d,'
        b'"b":[["1.50000000","31.21000000"],["1.49000000","0.00000000"]],'
        b'"a":[["1.60000000","40.66000000"]]}}'
    ),
}


@dataclass(frozen=True, slots=True)
class Series:
    """The events of a stream: one each `period_us`, the first at `begin_us` with `FIRST_ID`."""

    symbol: str
    kind: str
    begin_us: int
    period_us: int

    @property
    def name(self) -> str:
        """Its name on the wire."""
        return f"{self.symbol.lower()}@{self.kind}"

    def count(self, at_us: int) -> int:
        """Return how many events there are at a time."""
        return max((at_us - self.begin_us) // self.period_us + 1, 0)

    def time_us(self, index: int) -> int:
        """Return the time of the event with this index."""
        return self.begin_us + index * self.period_us

    def frame(self, index: int) -> bytes:
        """Return the payload of the event with this index, as a combined stream has it."""
        name, symbol = self.name.encode(), self.symbol.encode()
        event_id, time_us = FIRST_ID + index, self.time_us(index)
        if self.kind == "trade":
            values = name, time_us, symbol, event_id, price(event_id).encode(), time_us
        elif self.kind == "bookTicker":
            values = name, event_id, symbol
        else:
            values = name, time_us, symbol, event_id, event_id
        return _PAYLOADS[self.kind] % values


def price(event_id: int) -> str:
    """Return the price of a trade, which follows from its id."""
    return f"{1 + event_id % _PRICES / 1e8:.8f}"


class CannedMarket:
    """All streams of `symbols` symbols, the busiest first.

    `rate` is in messages a second of all streams together; a symbol's share of it falls with the
    `steepness`-th power of its rank. `singles` of ten aggregates are single trades.
    """

    def __init__(
        self,
        symbols: int,
        kinds: Iterable[str],
        rate: float,
        begin_us: int,
        steepness: float = 0.0,
        singles: int = 10,
    ) -> None:
        sizes = [1 if 7 * each % 10 < singles else _OF_SEVERAL for each in range(10)]
        self._begins = [sum(sizes[:each]) for each in range(10)]  # of aggregates, in a cycle
        self._cycle = sum(sizes)  # trades
        self.symbols = [f"S{number:04}USDT" for number in range(symbols)]
        self.begin_us = begin_us
        self.series: dict[str, Series] = {}
        kinds = tuple(kinds)
        weights = [(rank + 1) ** -steepness for rank in range(symbols)]
        for number, symbol in enumerate(self.symbols):
            own_rate = rate * weights[number] / sum(weights) / len(kinds)
            period_us = max(round(_MICROSECONDS / own_rate), 1)
            for kind in kinds:
                phase_us = hash((number, kind == "trade", len(kind))) % period_us
                made = Series(symbol, kind, begin_us + phase_us, period_us)
                self.series[made.name] = made

    def answer(self, endpoint: str, query: dict[str, str], now_us: int) -> str:
        """Return the body of a good answer of REST. Raises KeyError for what is not there."""
        if endpoint == "time":
            return json.dumps({"serverTime": now_us})
        symbol = query["symbol"]
        if endpoint == "depth":
            book = self.series[f"{symbol.lower()}@depth@100ms"]
            last_id = FIRST_ID + book.count(now_us) - 1
            sides = {
                "bids": [["1.50000000", "31.21000000"]],
                "asks": [["1.60000000", "40.66000000"]],
            }
            return json.dumps({"lastUpdateId": last_id, **sides})
        trades = self.series[f"{symbol.lower()}@trade"]
        limit, count = int(query.get("limit", "500")), trades.count(now_us)
        first = max(int(query.get("fromId", FIRST_ID + count - limit)) - FIRST_ID, 0)
        if "startTime" in query:  # in milliseconds, both included
            first = trades.count(int(query["startTime"]) * 1000 - 1)
            count = min(count, trades.count(int(query["endTime"]) * 1000 + 999))
        if endpoint == "aggTrades":
            return json.dumps(self._aggregates(trades, first, count, now_us)[:limit])
        return json.dumps(
            [_trade(trades, each) for each in range(first, min(first + limit, count))]
        )

    def _aggregates(
        self, trades: Series, first: int, count: int, now_us: int
    ) -> list[dict[str, object]]:
        """Return the aggregates with trades from `first` on that begin before the `count`-th."""
        begins = [
            begin
            for cycle in range(first // self._cycle * self._cycle, count, self._cycle)
            for each in self._begins
            if (begin := cycle + each) < count
        ]
        following = [*self._begins[1:], self._cycle]
        ends = begins[1:]
        if begins:
            place = self._begins.index(begins[-1] % self._cycle)
            ends.append(begins[-1] - begins[-1] % self._cycle + following[place])
        total = trades.count(now_us)  # an order's trades are seen one by one here
        return [
            _aggregate(trades, begin, min(end, total) - 1)
            for begin, end in zip(begins, ends, strict=True)
            if end > first
        ]


def _trade(trades: Series, index: int) -> dict[str, object]:
    event_id = FIRST_ID + index
    return {
        "id": event_id, "price": price(event_id), "qty": "0.50000000", "isBuyerMaker": True,
        "time": trades.time_us(index),
    }  # fmt: skip


def _aggregate(trades: Series, first: int, last: int) -> dict[str, object]:
    first_id = FIRST_ID + first
    return {
        "a": first_id, "p": price(first_id), "q": "0.50000000", "f": first_id, "l": FIRST_ID + last,
        "T": trades.time_us(first), "m": True,
    }  # fmt: skip
