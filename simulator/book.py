"""The order book of a symbol: one book, of which every stream and answer shows a part.

The state after each update is a function of the tape, computed when it is asked for, so that it is
the same for streams, REST and auditors, at any rate. Its top is the bookTicker of that update.
Below it orders lie on a grid of prices and change now and then, so that whoever misses a change has
a wrong book for long. Trades are drawn around the same price, and are not matched against it.

Where ids begin anew (the fault `ids_anew`), those of the book go on: quotes alone get others.

Changes hold every price that was touched meanwhile, also one that is again what it was: whoever has
a snapshot from in between needs it, and every quote fits the change that it is within. Above some
350 updates a second not every one is looked at: those that are are the ones that snapshots are made
of, and quotes of the others may not fit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from simulator.tape import SymbolTape

LEVELS = 40  # of a side below its best price, an eighth of them empty: partial books show 20
_GRID = 0.0001  # of the price lies between two levels: the whole book is 0.8 % of the price
_LOOKS = 24  # at the book in a tenth of a second, about
_ERA = 8  # updates between which no level below the best prices changes
_ERAS = 8  # for which the quantity of a level stays as it is
_MASK = (1 << 64) - 1
_MIX_PRICE, _MIX_ERA, _MIX = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # odd

Level = tuple[int, int]
"""Price and quantity, integers of 1e-8; quantity 0 removes the price."""


class BookState(NamedTuple):
    """Quantities by price, the best price of each side first."""

    bids: dict[int, int]
    asks: dict[int, int]


_EMPTY = BookState({}, {})


class _Side(NamedTuple):
    """One side: the best price, and what lies on the grid below it."""

    price: int
    quantity: int
    below: dict[int, int]

    def levels(self) -> dict[int, int]:
        return {self.price: self.quantity, **self.below}


_NO_SIDE = _Side(0, 0, {})


class OrderBook:
    """The book of one symbol after each update; updates are the bookTickers of its tape."""

    def __init__(self, tape: SymbolTape) -> None:
        self._tape = tape
        tick = tape.instrument.tick
        self._grid = max(1, round(tape.instrument.price * _GRID / tick)) * tick
        random = tape.random("levels ", 0)
        self._bid_key, self._ask_key = (
            int.from_bytes(random[at : at + 8], "little") for at in (0, 8)
        )
        self._stride = max(1, round(tape.book_rate * 0.1 / _LOOKS))  # updates between two looks
        # A tick is asked for many times before it is due, by streams of several speeds.
        self.index_before = lru_cache(maxsize=16)(self._find_index_before)
        self.changes = lru_cache(maxsize=16)(self._compare)
        self._sides = lru_cache(maxsize=4 * _LOOKS)(self._find_sides)
        self._below = lru_cache(maxsize=32)(self._fill)

    def snapshot_index(self, microseconds: int) -> int:
        """Return the index of the update that a snapshot at a time is made of; -1: of none."""
        count = self._find_index_before(microseconds + 1) + 1
        return count - count % self._stride - 1

    def id_at(self, index: int) -> int:
        """Return the id of an update; before the first one, the id below it."""
        return self._tape.update(index).id if index >= 0 else self._tape.first.update - 1

    def _find_index_before(self, microseconds: int) -> int:
        """Return the index of the last update before a time; -1: there was none."""
        return self._tape.index_after("bookTicker", microseconds - 1) - 1

    def state(self, index: int) -> BookState:
        """Return the whole book after an update; -1 is before the first one, when it is empty."""
        if index < 0:
            return _EMPTY
        bids, asks = self._sides(index)
        return BookState(bids.levels(), asks.levels())

    def _find_sides(self, index: int) -> tuple[_Side, _Side]:
        if index < 0:
            return _NO_SIDE, _NO_SIDE
        top, grid, era = self._tape.update(index), self._grid, index // _ERA
        below = self._below((top.bid - 1) // grid * grid, -grid, self._bid_key, era)
        above = self._below(top.ask // grid * grid + grid, grid, self._ask_key, era)
        return _Side(top.bid, top.bid_quantity, below), _Side(top.ask, top.ask_quantity, above)

    def _fill(self, begin: int, step: int, key: int, era: int) -> dict[int, int]:
        """Return the quantities on the grid from a price on."""
        lot, found = self._tape.instrument.lot, {}
        for price in range(begin, max(0, begin + LEVELS * step), step):
            place = (price * _MIX_PRICE ^ key) & _MASK
            age = (era + (place >> 61)) // _ERAS  # not all levels change at once
            size = (place ^ age * _MIX_ERA) * _MIX & _MASK
            if size >> 61:  # else nobody has an order there
                found[price] = lot * (1 + (size >> 40 & 1023))
        return found

    def _compare(self, begin: int, end: int) -> tuple[list[Level], list[Level]]:
        """Return what was touched by the updates after `begin` up to `end`, as it is then."""
        looks = range(begin - (begin + 1) % self._stride + self._stride, end, self._stride)
        before = self._sides(begin)
        touched: tuple[set[int], set[int]] = set(), set()
        for index in (*looks, end):
            after = self._sides(index)
            for prices, old, new in zip(touched, before, after, strict=True):
                _add_changed(prices, old, new)
            before = after
        bids, asks = self.state(end)
        return (
            [(price, bids.get(price, 0)) for price in sorted(touched[0], reverse=True)],
            [(price, asks.get(price, 0)) for price in sorted(touched[1])],
        )


def _add_changed(prices: set[int], old: _Side, new: _Side) -> None:
    """Add the prices whose quantities two sides differ in."""
    if old.below is not new.below:
        prices.update(price for price, _ in old.below.items() ^ new.below.items())
    if old[:2] != new[:2]:
        prices.update(side.price for side in (old, new) if side.price)
