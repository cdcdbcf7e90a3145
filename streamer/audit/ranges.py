"""A set of numbers as ranges: neighbours cost nothing, however many they are. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

Range = tuple[int, int]
"""First and last number, both included."""


class IdRanges:
    """A set of whole numbers; its memory grows with its holes, not with its numbers."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __iter__(self) -> Iterator[Range]:
        """Yield the ranges in ascending order; no two of them touch."""
        return zip(self._firsts, self._lasts, strict=True)

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._firsts, number) - 1
        return index >= 0 and number <= self._lasts[index]

    def has(self, first: int, last: int) -> bool:
        """Return whether all numbers from `first` to `last` are in it."""
        index = bisect_right(self._firsts, first) - 1
        return index >= 0 and last <= self._lasts[index]

    @property
    def first(self) -> int:
        """The lowest number; there must be one."""
        return self._firsts[0]

    @property
    def last(self) -> int:
        """The highest number; there must be one."""
        return self._lasts[-1]

    @property
    def total(self) -> int:
        """How many numbers there are."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def append(self, first: int, last: int) -> bool:
        """Add what comes right after the highest number; False when it does not. The fast path."""
        if self._lasts and self._lasts[-1] == first - 1:
            self._lasts[-1] = last
            return True
        return False

    def add(self, first: int, last: int) -> int:
        """Add the numbers from `first` to `last` and return how many of them are new."""
        # The ranges from `begin` to `end` overlap or touch what is added.
        begin = bisect_left(self._lasts, first - 1)
        end = bisect_right(self._firsts, last + 1)
        known = sum(
            max(min(last, self._lasts[index]) - max(first, self._firsts[index]) + 1, 0)
            for index in range(begin, end)
        )
        joined_first, joined_last = first, last
        if begin < end:
            joined_first = min(first, self._firsts[begin])
            joined_last = max(last, self._lasts[end - 1])
        self._firsts[begin:end] = [joined_first]
        self._lasts[begin:end] = [joined_last]
        return last - first + 1 - known

    def between(self) -> IdRanges:
        """Return what is missing between the lowest and the highest number."""
        missing = IdRanges()
        for index in range(1, len(self._firsts)):
            missing.add(self._lasts[index - 1] + 1, self._firsts[index] - 1)
        return missing

    def without(self, other: IdRanges) -> IdRanges:
        """Return what is in this set and not in the other."""
        left = IdRanges()
        for first, last in self:
            position = first
            index = bisect_left(other._lasts, first)
            while index < len(other._firsts) and other._firsts[index] <= last:
                if other._firsts[index] > position:
                    left.add(position, other._firsts[index] - 1)
                position = other._lasts[index] + 1
                index += 1
            if position <= last:
                left.add(position, last)
        return left
