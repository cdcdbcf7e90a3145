"""The order of one stream of one symbol, out of any number of connections. Pure.

Ids of trades are contiguous [inferred from the exchange's behaviour], so a jump is a suspected
gap: what came after it waits, because another connection or a repair may still bring what is
missing. What stays missing is declared. In short, for `ContiguousSequence`:

- forwarded ids are strictly increasing;
- every id from the first one to the last is either forwarded or in exactly one declared gap;
- an id that comes again, or after its gap was declared, is counted as a duplicate.

A repair has its place here without a change: whatever it finds goes through `take` like the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")

HELD_LIMIT = 20_000
"""Items that wait above a suspected gap: about 10 MiB of events, and seconds of a firehose."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids that are missing, both ends included."""

    first_id: int
    last_id: int

    @property
    def missing(self) -> int:
        """How many ids are missing."""
        return self.last_id - self.first_id + 1


class Sequence(Protocol[Item]):
    """Says of every id whether it is to be forwarded, and when.

    For each arrival, `if advance(id)` forward it, else forward what `take(id, item, now)` returns.
    """

    duplicates_total: int
    gaps_total: int
    missing_total: int

    @property
    def events_total(self) -> int:
        """How many items were forwarded."""

    @property
    def last_id(self) -> int | None:
        """The highest id that was forwarded, or after which the sequence was told to start."""

    @property
    def held(self) -> int:
        """How many items wait."""

    def reaches(self, event_id: int) -> bool:
        """Tell whether nothing up to this id can be missing any more: forwarded or declared."""

    def advance(self, event_id: int) -> bool:
        """Tell whether this is simply the next one, which is then taken. The fast path."""

    def take(self, event_id: int, item: Item, now: float) -> list[Item | Gap]:
        """Take an arrival; return what is to be forwarded, in order, gaps in their places.

        Nothing is returned for a duplicate and for an item that has to wait. `now` is monotonic.
        """

    def expire(self, now: float) -> list[Item | Gap]:
        """Give up waiting where it took too long; return what is to be forwarded, in order."""


class ContiguousSequence(Generic[Item]):
    """Ids without holes: trade and aggTrade.

    The first id starts the sequence, unless `last_id` says after which it goes on. An item waits
    at most `wait_seconds`, and at most `held_limit` items wait.
    """

    __slots__ = (
        "_expected",
        "_first",
        "_held",
        "_next",
        "duplicates_total",
        "gaps_total",
        "held_limit",
        "missing_total",
        "wait_seconds",
    )

    def __init__(
        self,
        *,
        last_id: int | None = None,
        wait_seconds: float = 1.0,  # another connection is rarely further behind
        held_limit: int = HELD_LIMIT,
    ) -> None:
        self.wait_seconds = wait_seconds
        self.held_limit = held_limit
        self.duplicates_total = 0
        self.gaps_total = 0
        self.missing_total = 0
        self._next = None if last_id is None else last_id + 1
        self._first = self._next
        self._expected = self._next  # the same while nothing waits; None closes the fast path
        self._held: dict[int, tuple[float, Item]] = {}  # in order of arrival

    @property
    def events_total(self) -> int:
        if self._next is None or self._first is None:
            return 0
        return self._next - self._first - self.missing_total

    @property
    def last_id(self) -> int | None:
        return None if self._next is None else self._next - 1

    @property
    def held(self) -> int:
        return len(self._held)

    def reaches(self, event_id: int) -> bool:
        return self._next is not None and self._next > event_id

    def advance(self, event_id: int) -> bool:
        if event_id != self._expected:
            return False
        self._expected = self._next = event_id + 1
        return True

    def take(self, event_id: int, item: Item, now: float) -> list[Item | Gap]:
        if self._next is None:
            self._first = self._next = event_id
        if event_id < self._next or event_id in self._held:
            self.duplicates_total += 1
            return []
        self._held[event_id] = now, item
        self._expected = None
        if event_id == self._next:
            return self._release()
        return self._declare(now) if len(self._held) > self.held_limit else []

    def expire(self, now: float) -> list[Item | Gap]:
        if not self._held:
            return []
        oldest, _ = next(iter(self._held.values()))
        return self._declare(now) if now >= oldest + self.wait_seconds else []

    def _release(self) -> list[Item | Gap]:
        """Return what follows without a hole, and open the fast path when nothing is left."""
        assert self._next is not None  # noqa: S101 - for the type checker: something was taken
        released: list[Item | Gap] = []
        while (entry := self._held.pop(self._next, None)) is not None:
            released.append(entry[1])
            self._next += 1
        if not self._held:
            self._expected = self._next
        return released

    def _declare(self, now: float) -> list[Item | Gap]:
        """Declare the lowest gap, and those above it that were suspected too long ago.

        A gap is suspected since the first arrival of anything above it.
        """
        suspected_since: list[tuple[int, float]] = []  # lowest id above a hole, highest hole first
        since = now
        for event_id in sorted(self._held, reverse=True):
            since = min(since, self._held[event_id][0])
            if event_id - 1 not in self._held:
                suspected_since.append((event_id, since))
        declared: list[Item | Gap] = []
        while suspected_since:
            event_id, since = suspected_since.pop()
            if declared and now < since + self.wait_seconds:
                break
            assert self._next is not None  # noqa: S101 - for the type checker: something waits
            gap = Gap(self._next, event_id - 1)
            self.gaps_total += 1
            self.missing_total += gap.missing
            self._next = event_id
            declared.append(gap)
            declared += self._release()
        return declared


class IncreasingSequence(Generic[Item]):
    """Ids that grow by jumps: bookTicker. Nothing waits and nothing is known to be missing."""

    __slots__ = ("_last", "duplicates_total", "events_total", "gaps_total", "missing_total")

    def __init__(self, *, last_id: int | None = None) -> None:
        self.duplicates_total = 0
        self.events_total = 0
        self.gaps_total = 0
        self.missing_total = 0
        self._last = -1 if last_id is None else last_id

    @property
    def last_id(self) -> int | None:
        return None if self._last < 0 else self._last

    @property
    def held(self) -> int:
        return 0

    def reaches(self, event_id: int) -> bool:
        return True  # what was skipped is superseded

    def advance(self, event_id: int) -> bool:
        if event_id <= self._last:
            return False
        self._last = event_id
        self.events_total += 1
        return True

    def take(self, event_id: int, item: Item, now: float) -> list[Item | Gap]:
        if self.advance(event_id):
            return [item]
        self.duplicates_total += 1
        return []

    def expire(self, now: float) -> list[Item | Gap]:
        return []
