"""A market of many symbols in virtual time: what is traded, and what REST tells of it. Pure.

The trades of a symbol come at random times, as often as its rank allows: its rate falls with the
`steepness`-th power of the rank. A taker's order makes one trade or several, which REST sums up.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from random import Random

from streamer.data.rest_page import RestRequest

PRICE, QUANTITY = "64000.00000000", "0.10000000"
_SIZES = (2, 2, 3, 5)  # of an order's trades, where it makes several
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Traded:
    """A trade: its time in seconds from the beginning, and its id."""

    seconds: float
    id: int


class Symbol:
    """One symbol's trades, ids from 1 on, and their aggregates."""

    def __init__(self, name: str, rate: float, seconds: float, singles: float, seed: int) -> None:
        random = Random(f"{seed} {name}")
        self.name = name
        self.times: list[float] = []  # of trade n at n - 1
        self._first_ids: list[int] = []  # of the aggregates
        now = 0.0
        while True:
            size = 1 if random.random() < singles else random.choice(_SIZES)
            now += random.expovariate(rate / size)
            if now >= seconds:
                return
            self._first_ids.append(len(self.times) + 1)
            self.times += [now] * size

    def count_until(self, seconds: float) -> int:
        """Return the last id at a time; 0 before the first."""
        return bisect_right(self.times, seconds)

    def trades(self, first_id: int, limit: int, now: float, unix: float) -> list[object]:
        """Return a page of historicalTrades."""
        last_id = min(self.count_until(now), first_id + limit - 1)
        return [
            {
                "id": each, "price": PRICE, "qty": QUANTITY, "isBuyerMaker": True,
                "time": self._us(each, unix),
            }
            for each in range(max(first_id, 1), last_id + 1)
        ]  # fmt: skip

    def aggregates(self, begin: int, end: int, unix: float) -> list[object]:
        """Return the aggregates with these indices."""
        return [
            {
                "a": index, "p": PRICE, "q": QUANTITY, "f": first, "l": self._last_id(index),
                "T": self._us(first, unix), "m": True,
            }
            for index, first in enumerate(self._first_ids[begin:end], begin)
        ]  # fmt: skip

    def aggregates_between(self, from_seconds: float, to_seconds: float) -> tuple[int, int]:
        """Return the indices of the aggregates of a time."""
        first, last = bisect_left(self.times, from_seconds) + 1, self.count_until(to_seconds)
        return bisect_left(self._first_ids, first), bisect_right(self._first_ids, last)

    def _last_id(self, index: int) -> int:
        following = self._first_ids[index + 1 : index + 2]
        return following[0] - 1 if following else len(self.times)

    def _us(self, trade_id: int, unix: float) -> int:
        return round((unix + self.times[trade_id - 1]) * _MICROSECONDS)


class Market:
    """All symbols, the busiest first; `unix` is the Unix time of its beginning."""

    def __init__(
        self, symbols: int, rate: float, seconds: float, steepness: float, singles: float,
        unix: float, seed: int = 1,
    ) -> None:  # fmt: skip
        weights = [(rank + 1) ** -steepness for rank in range(symbols)]
        self.unix = unix
        self.symbols = {
            name: Symbol(name, rate * weight / sum(weights), seconds, singles, seed)
            for rank, weight in enumerate(weights)
            for name in [f"S{rank:04}USDT"]
        }

    def answer(self, request: RestRequest, now: float) -> bytes:
        """Return the body of an answer; `now` is in seconds from the beginning."""
        told = dict(request.parameters)
        if request.endpoint == "time":
            return json.dumps({"serverTime": round((self.unix + now) * _MICROSECONDS)}).encode()
        symbol = self.symbols[told["symbol"]]
        limit = int(told["limit"])
        if request.endpoint == "historicalTrades":
            page = symbol.trades(int(told["fromId"]), limit, now, self.unix)
        elif "startTime" in told:
            begin, end = symbol.aggregates_between(
                int(told["startTime"]) / 1000 - self.unix,
                min(now, (int(told["endTime"]) + 1) / 1000 - self.unix),
            )
            page = symbol.aggregates(begin, min(end, begin + limit), self.unix)
        else:
            _, end = symbol.aggregates_between(0.0, now)
            page = symbol.aggregates(max(0, end - limit), end, self.unix)
        return json.dumps(page).encode()
