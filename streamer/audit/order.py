"""What the numbers of one stream of one symbol say, in the order in which they are stored. Pure.

`Contiguous` is for streams without holes, `Increasing` for those whose numbers grow by jumps.
Both remember which numbers came again or late (`again`): a second look compares those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from streamer.audit.ranges import IdRanges

Times = Mapping[int, int]
"""How often each number of `again` is there, by the second look."""


class Order(Protocol):
    """Takes the numbers of records one after the other."""

    again: IdRanges

    @property
    def records(self) -> int:
        """How many there were."""

    @property
    def ids(self) -> IdRanges:
        """What is there, where it can be told what is missing; empty elsewhere."""

    @property
    def first_id(self) -> int:
        """The lowest number; there must have been one."""

    @property
    def last_id(self) -> int:
        """The highest number; there must have been one."""

    @property
    def take(self) -> Callable[..., None]:
        """Takes what orders a record: the numbers of `Layout.ordering`."""

    def holes(self) -> IdRanges:
        """Return what is missing between the lowest and the highest number."""

    def copies(self, times: Times) -> int:
        """Return how many records were there before."""

    def disorder(self, times: Times) -> int:
        """Return how many first occurrences come after a higher one."""


class Contiguous:
    """Every number is wanted: trade, aggTrade, and depth, whose records cover several of them."""

    __slots__ = ("_again", "_highest", "_late", "again", "ids", "records")

    def __init__(self) -> None:
        self.ids = IdRanges()
        self.again = IdRanges()
        self.records = 0
        self._again = 0
        self._late = 0  # or there in part: no copies, and not in order
        self._highest = -1

    @property
    def first_id(self) -> int:
        return self.ids.first

    @property
    def last_id(self) -> int:
        return self.ids.last

    def take(self, first: int, last: int | None = None) -> None:
        last = first if last is None else last
        self.records += 1
        if first > self._highest and self.ids.append(first, last):
            self._highest = last
            return
        new = self.ids.add(first, last)
        if not new:
            self._again += 1
            self.again.add(last, last)
        elif first <= self._highest:
            self._late += 1
        self._highest = max(self._highest, last)

    def holes(self) -> IdRanges:
        return self.ids.between()

    def copies(self, times: Times) -> int:
        return self._again

    def disorder(self, times: Times) -> int:
        return self._late


class Aggregates(Contiguous):
    """Aggregate trades: their numbers are contiguous, and so are those of the trades in them."""

    __slots__ = ("_last_trade", "apart")

    def __init__(self) -> None:
        super().__init__()
        self.apart = IdRanges()  # those whose trades do not follow the trades of the one before
        self._last_trade = 0

    def take(self, number: int, first_trade: int, last_trade: int) -> None:  # type: ignore[override] # other numbers
        if number == self._highest + 1 and self.records and first_trade != self._last_trade + 1:
            self.apart.add(number, number)
        if number > self._highest:
            self._last_trade = last_trade
        super().take(number)


class Increasing:
    """Numbers that grow by jumps: bookTicker. What is missing cannot be seen by them.

    What does not grow is a copy or comes late; which of both shows the second look.
    """

    __slots__ = ("_backwards", "_first", "_highest", "again", "ids", "records")

    def __init__(self) -> None:
        self.ids = IdRanges()
        self.again = IdRanges()
        self.records = 0
        self._backwards: dict[int, int] = {}  # number → how often it did not grow
        self._first: int | None = None
        self._highest = -1

    @property
    def first_id(self) -> int:
        assert self._first is not None  # noqa: S101 - for the type checker: something was taken
        return self._first

    @property
    def last_id(self) -> int:
        return self._highest

    def take(self, number: int) -> None:
        self.records += 1
        if number > self._highest:
            if self._first is None:
                self._first = number
            self._highest = number
            return
        self.backwards(number)
        self._first = min(self.first_id, number)

    def backwards(self, number: int) -> None:
        """Note a number that comes again or late."""
        self.again.add(number, number)
        self._backwards[number] = self._backwards.get(number, 0) + 1

    def holes(self) -> IdRanges:
        return IdRanges()

    def copies(self, times: Times) -> int:
        return sum(self._backwards.values()) - self.disorder(times)

    def disorder(self, times: Times) -> int:
        return sum(times.get(number) == back for number, back in self._backwards.items())
