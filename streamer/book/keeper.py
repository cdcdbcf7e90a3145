"""Keeps a book from snapshots and changes, and knows when it cannot. Pure.

Prices and quantities are any numbers that compare exactly: Decimal, or scaled integers.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeAlias

Number: TypeAlias = Any
"""A Decimal, or an integer: the same for all that one keeper is given."""
Levels: TypeAlias = tuple[tuple[Number, Number], ...]
"""Prices with quantities; a quantity of zero removes the price."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A book after the update `last_id`; `levels` prices of each side were asked for."""

    last_id: int
    levels: int
    bids: Levels
    asks: Levels


@dataclass(frozen=True, slots=True)
class Change:
    """What the updates from `first_id` to `last_id` left at the prices that they touched."""

    first_id: int
    last_id: int
    time_us: int  # Unix time of the event, by the exchange's clock
    bids: Levels
    asks: Levels


class Side:
    """One side of a book."""

    def __init__(self, sign: int) -> None:
        """`sign` is -1 for bids, of which the highest price is the best, 1 for asks."""
        self._sign = sign
        self.quantities: dict[Number, Number] = {}  # by price
        self._prices: list[Number] = []  # the same, in ascending order
        self.limit: Number | None = None  # the last price up to which all is known; None: all is

    def load(self, levels: Levels, asked: int) -> None:
        """Begin with the levels of a snapshot, of which so many were asked for."""
        self.quantities = {price: quantity for price, quantity in levels if quantity}
        self._prices = sorted(self.quantities)
        self.limit = levels[-1][0] if len(levels) >= asked else None

    def apply(self, levels: Levels) -> None:
        """Take what is there now at each price."""
        quantities, prices = self.quantities, self._prices
        for price, quantity in levels:
            if quantity:
                if price not in quantities:
                    insort(prices, price)
                quantities[price] = quantity
            elif quantities.pop(price, None) is not None:
                del prices[bisect_left(prices, price)]

    @property
    def best(self) -> tuple[Number, Number] | None:
        """The best price with its quantity; None where there is none, or it is not known."""
        return self.best_besides(())

    def best_besides(self, others: Collection[Number]) -> tuple[Number, Number] | None:
        """Return the best price that is none of these, with its quantity; None as above."""
        for price in self._best_first():
            if price not in others:
                return (price, self.quantities[price]) if self._is_known(price) else None
        return None

    @property
    def is_known(self) -> bool:
        """Whether the best price is: not if the price has left the levels of the snapshot."""
        return self.limit is None or self.best is not None

    def levels(self) -> Levels:
        """Return all that is known for sure, the best price first."""
        known = takewhile(self._is_known, self._best_first())
        return tuple((price, self.quantities[price]) for price in known)

    def is_better(self, price: Number, other: Number) -> bool:
        """Return whether a price is better than another one."""
        return bool(price > other if self._sign < 0 else price < other)

    def _best_first(self) -> Iterator[Number]:
        return reversed(self._prices) if self._sign < 0 else iter(self._prices)

    def _is_known(self, price: Number) -> bool:
        return self.limit is None or not self.is_better(self.limit, price)


class BookKeeper:
    """The book of one stream of changes; give it the changes in the order of the records."""

    def __init__(self, snapshots: Iterable[Snapshot]) -> None:
        """`snapshots` are all there are of the symbol, and of the stream's epoch."""
        # Of those after the same update the deepest one.
        by_id = {each.last_id: each for each in sorted(snapshots, key=lambda each: each.levels)}
        self._snapshots = [by_id[last_id] for last_id in sorted(by_id)]
        self._ids = sorted(by_id)
        self.bids, self.asks = Side(-1), Side(1)
        self.last_id: int | None = None  # of the book; None: there is none that is right
        self.reached_id: int | None = None  # of the changes
        self.missing: tuple[int, int] | None = None  # the ids for want of which there is none
        self.differing = 0  # snapshots that were not what had been kept

    def take(self, change: Change) -> bool:
        """Take a change; return whether there is a book that is right after it.

        A copy of an earlier one changes nothing.
        """
        if self.reached_id is not None and change.last_id <= self.reached_id:
            return self.last_id is not None
        if self.last_id is not None and change.first_id > self.last_id + 1:
            self.missing = self.last_id + 1, change.first_id - 1
            self.last_id = None
        self.reached_id = change.last_id
        if self.last_id is not None:
            self._apply(change)
        snapshot = self._snapshot_for(change)
        if snapshot is not None:
            self._begin(snapshot, change)
        return self.last_id is not None

    @property
    def is_crossed(self) -> bool:
        """Whether somebody would pay as much as somebody asks: such a book is wrong."""
        bid, ask = self.bids.best, self.asks.best
        return bid is not None and ask is not None and bool(bid[0] >= ask[0])

    def _snapshot_for(self, change: Change) -> Snapshot | None:
        """Return the latest snapshot that a change goes on from, or that it ends at."""
        index = bisect_left(self._ids, change.last_id + 1) - 1
        if index < 0 or self._ids[index] < change.first_id - 1:
            return None
        del self._snapshots[:index], self._ids[:index]  # passed: each takes 270 kB
        return self._snapshots[0]

    def _begin(self, snapshot: Snapshot, change: Change) -> None:
        """Go on from a snapshot that lies within a change or at its end."""
        kept = None if self.last_id is None else (self.bids.levels(), self.asks.levels())
        self.bids.load(snapshot.bids, snapshot.levels)
        self.asks.load(snapshot.asks, snapshot.levels)
        self.missing = None
        if change.last_id > snapshot.last_id:
            self._apply(change)
        self.last_id = change.last_id
        if kept is not None:
            pairs = zip(kept, (self.bids.levels(), self.asks.levels()), strict=True)
            self.differing += not all(_agree(one, other) for one, other in pairs)

    def _apply(self, change: Change) -> None:
        self.bids.apply(change.bids)
        self.asks.apply(change.asks)
        self.last_id = change.last_id


def _agree(one: Levels, other: Levels) -> bool:
    """Return whether two sides are the same, as far as both are known."""
    count = min(len(one), len(other))
    return one[:count] == other[:count]
