"""What the numbers of one stream of one symbol say, in the order in which they are stored. Pure.

`Contiguous` is for streams without holes, `Increasing` for those whose numbers grow by jumps.
Both remember which numbers came again or late (`again`): a second look compares those.
"""

from __future__ import annotations

from typing import Protocol

from streamer.audit.ranges import IdRanges


class Order(Protocol):
    """Takes the numbers of records one after the other."""

    records: int
    disorder: int
    again: IdRanges

    @property
    def first_id(self) -> int:
        """The lowest number; there must have been one."""

    @property
    def last_id(self) -> int:
        """The highest number; there must have been one."""

    def take(self, first: int, last: int) -> None:
        """Take a record that covers the numbers from `first` to `last`: mostly the same one."""


class Contiguous:
    """Every number is wanted: trade, aggTrade, and what covers ranges of numbers."""

    __slots__ = ("_highest", "again", "copies", "disorder", "ids", "overlaps", "records")

    def __init__(self) -> None:
        self.ids = IdRanges()
        self.again = IdRanges()
        self.records = 0
        self.copies = 0
        self.disorder = 0
        self.overlaps = 0  # records that were there in part: no copies, and not in order
        self._highest = -1

    @property
    def first_id(self) -> int:
        return self.ids.first

    @property
    def last_id(self) -> int:
        return self.ids.last

    def take(self, first: int, last: int) -> None:
        self.records += 1
        if first > self._highest and self.ids.append(first, last):
            self._highest = last
            return
        new = self.ids.add(first, last)
        if not new:
            self.copies += 1
            self.again.add(first, last)
            return
        if new < last - first + 1:
            self.overlaps += 1
        elif first < self._highest:
            self.disorder += 1
        self._highest = max(self._highest, last)


class Increasing:
    """Numbers that grow by jumps: bookTicker. What is missing cannot be seen by them.

    What does not grow is a copy or comes late; which of both shows the second look: `again`.
    """

    __slots__ = ("_first", "_highest", "again", "backwards", "disorder", "overlaps", "records")

    def __init__(self) -> None:
        self.again = IdRanges()
        self.backwards: dict[int, int] = {}  # number → how often it did not grow
        self.records = 0
        self.disorder = 0
        self.overlaps = 0
        self._first: int | None = None
        self._highest = -1

    @property
    def first_id(self) -> int:
        assert self._first is not None  # noqa: S101 - for the type checker: something was taken
        return self._first

    @property
    def last_id(self) -> int:
        return self._highest

    def take(self, first: int, last: int) -> None:
        self.records += 1
        if last > self._highest:
            if self._first is None:
                self._first = first
            self._highest = last
            return
        self.again.add(last, last)
        self.backwards[last] = self.backwards.get(last, 0) + 1
        self._first = min(self.first_id, first)
