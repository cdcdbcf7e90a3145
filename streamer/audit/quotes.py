"""Compares a rebuilt book with the recorded quotes: the book is wrong, or quotes are missing. Pure.

A change has all prices that the updates from its first id to its last one touched. So a quote of
its last update has the top of the book after it; and a quote of an update before that has, on each
side, the best price that was not touched, or a better one that was. A quote that has neither shows
that the book is wrong (or the quote), whatever else is missing. The ids of quotes jump, so no id
tells that one is missing; but where the top of the book changes between two quotes that both
agree with it, the quote of that change is not there.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from streamer.audit.findings import LISTED
from streamer.book.keeper import Change, Levels, Number, Side

CHANGE_BYTES = 64
"""What a change takes in `BookTops`, about: its id, its top, and one to three hashes a side."""
UNKNOWN = -1  # no hash is
_Level = tuple[Number, Number]


@dataclass(frozen=True, slots=True)
class Quote:
    """A record of kind `bookTicker`: the best prices with their quantities after an update."""

    update_id: int
    received_us: int
    bid: _Level
    ask: _Level


@dataclass(frozen=True, slots=True)
class MissingQuotes:
    """How often the top of the book changed between two quotes that follow each other."""

    at_least: int
    after_id: int
    before_id: int
    from_us: int  # when the quote before was received
    to_us: int

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class QuoteTally:
    """What the comparison of one book with the quotes of its symbol came to."""

    compared: int = 0
    differing: int = 0  # the book is wrong there
    missing: int = 0  # quotes, at least, of which no gap record tells
    recorded: int = 0  # quotes, at least, that are missing where a gap record says so
    ranges: list[MissingQuotes] = field(default_factory=list)  # the first LISTED


def _no_integers() -> array[int]:
    return array("q")


@dataclass(slots=True)
class BookTops:
    """The tops of a book after each change, and those that it can have had within it: as hashes."""

    ids: array[int] = field(default_factory=_no_integers)  # the last one of each change
    tops: array[int] = field(default_factory=_no_integers)  # UNKNOWN where it is not known
    # Of bids and asks of each change: the best level that was not touched, and the better prices
    # that were; nothing where that is not known.
    possible: array[int] = field(default_factory=_no_integers)
    ends: array[int] = field(default_factory=_no_integers)  # of bids and asks, in `possible`

    def add(self, change: Change, bids: Side, asks: Side, *, is_known: bool, is_next: bool) -> None:
        """Note the book after a change.

        `is_known`: whether it is right; `is_next`: whether the change before is there.
        """
        self.ids.append(change.last_id)
        bid, ask = bids.best, asks.best
        self.tops.append(_top(bid, ask) if is_known and bid and ask else UNKNOWN)
        for side, levels in ((bids, change.bids), (asks, change.asks)):
            if is_known and is_next:
                self.possible.extend(_possible(side, levels))
            self.ends.append(len(self.possible))

    def admits(self, quote: Quote) -> bool | None:
        """Return whether the book can have had a quote; None where that is not known."""
        index = bisect_left(self.ids, quote.update_id)
        if index == len(self.ids):
            return None
        if self.ids[index] == quote.update_id and self.tops[index] != UNKNOWN:
            return self.tops[index] == _top(quote.bid, quote.ask)
        begin = self.ends[2 * index - 1] if index else 0
        is_known = False
        for side, level in enumerate((quote.bid, quote.ask)):
            end = self.ends[2 * index + side]
            possible = self.possible[begin:end]
            if possible and hash(level) not in possible and hash(level[0]) not in possible:
                return False
            is_known |= bool(possible)
            begin = end
        return True if is_known else None

    def between(self, after_id: int, before_id: int) -> Iterator[int]:
        """Yield the tops that are known after the changes that end between two updates."""
        for index in range(bisect_right(self.ids, after_id), bisect_left(self.ids, before_id)):
            if self.tops[index] != UNKNOWN:
                yield self.tops[index]


def _top(bid: _Level, ask: _Level) -> int:
    return hash((*bid, *ask))


def _possible(side: Side, levels: Levels) -> Iterator[int]:
    """Yield what the best level of a side can have been within a change, which touched these."""
    touched = {price for price, _ in levels}
    untouched = side.best_besides(touched)
    if untouched is not None:
        yield hash(untouched)
        yield from (hash(price) for price in touched if side.is_better(price, untouched[0]))


class QuoteComparison:
    """Compares the quotes of one symbol, in the order of their ids, with a book of it."""

    def __init__(self, book: BookTops, tally: QuoteTally) -> None:
        self._book = book
        self._tally = tally
        self._before: Quote | None = None
        self._was_wrong = False

    def take(self, quote: Quote, *, is_recorded: bool) -> None:
        """Take the next quote; `is_recorded`: gap records say that some before it are missing."""
        tally, admitted = self._tally, self._book.admits(quote)
        is_wrong = admitted is False
        tally.compared += admitted is not None
        tally.differing += is_wrong
        if self._before is not None:
            self._between(self._before, quote, is_wrong or self._was_wrong, is_recorded)
        self._before, self._was_wrong = quote, is_wrong

    def _between(self, before: Quote, quote: Quote, is_wrong: bool, is_recorded: bool) -> None:
        """Judge the tops after the changes between two quotes, of which at least one may differ."""
        tally = self._tally
        quoted = latest = _top(before.bid, before.ask)
        compared = differing = changed = 0
        for top in self._book.between(before.update_id, quote.update_id):
            compared += 1
            differing += top != quoted
            changed += top != latest
            latest = top
        if is_recorded:
            tally.recorded += changed
            return
        tally.compared += compared
        if is_wrong:
            tally.differing += differing
        elif changed:
            tally.missing += changed
            if len(tally.ranges) < LISTED:
                tally.ranges.append(
                    MissingQuotes(
                        changed,
                        before.update_id,
                        quote.update_id,
                        before.received_us,
                        quote.received_us,
                    )
                )
