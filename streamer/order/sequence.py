"""The order of one stream of one symbol, out of any number of connections. Pure.

Ids of trades are contiguous [inferred from the exchange's behaviour], so a jump is a suspected
gap: what came after it waits, because another connection or a repair may still bring what is
missing. What stays missing is declared. In short, for `ContiguousSequence`:

- forwarded ids are strictly increasing;
- every id from the first one to the last is either forwarded or in exactly one declared gap;
- an id that comes again, or after its gap was declared, is counted as a duplicate.

What a repair finds goes through `take` like the rest; what it shows not to exist, and what it
cannot find, is declared by `give_up`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from streamer.order.pending import DiskStore, MemoryStore, Runs

Item = TypeVar("Item")

HELD_LIMIT = 20_000
"""Items that wait above a suspected gap: about 10 MiB of events, and seconds of a firehose."""
RELEASED_AT_ONCE = 5_000
"""Items that one call returns: 20 ms of encoding, so that hours of waiting stall no loop."""

EMPTY = "empty"
"""The reason of a gap that is no loss: the exchange shows that there are no such ids."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids that are missing, both ends included, and why they are given up."""

    first_id: int
    last_id: int
    reason: str = field(default="not_repaired", compare=False)

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
    def pending(self) -> int:
        """How many items wait."""

    def start_after(self, last_id: int) -> None:
        """Go on after an id that is dealt with already. To be called before anything arrives."""

    def reaches(self, event_id: int) -> bool:
        """Return whether nothing up to this id is waited for: forwarded, held, or long missed."""

    def start_anew(self, reason: str) -> list[Item | Gap]:
        """Begin with whatever id comes next; return what waited, and the gaps below it."""

    def advance(self, event_id: int) -> bool:
        """Return whether this is simply the next one, which is then taken. The fast path."""

    def take(self, event_id: int, item: Item, now: float) -> list[Item | Gap]:
        """Take an arrival; return what is to be forwarded, in order, gaps in their places.

        Nothing is returned for a duplicate and for an item that has to wait. `now` is monotonic.
        """

    def expire(self, now: float) -> list[Item | Gap]:
        """Give up waiting where it took too long; return what is to be forwarded, in order."""


class RepairableSequence(Sequence[Item], Protocol[Item]):
    """A sequence whose gaps can be asked for before they are declared."""

    empty_total: int

    @property
    def next_id(self) -> int | None:
        """The lowest id that is missing: everything below is forwarded or declared."""

    def wants(self, event_id: int) -> bool:
        """Return whether this id is missing so far."""

    def held_above(self) -> Item | None:
        """Return an item above the lowest gap, the lowest one if possible; None without any."""

    def release(self) -> list[Item | Gap]:
        """Return more of what a closed gap has freed."""

    def suspected(self, now: float) -> tuple[Gap, float] | None:
        """Return the lowest gap that others do not fill, and when it was first missed."""

    def give_up(self, last_id: int, reason: str) -> list[Item | Gap]:
        """Declare what is missing up to this id; return what is to be forwarded, in order."""


class ContiguousSequence(Generic[Item]):
    """Ids without holes: trade and aggTrade.

    The first id starts the sequence, unless `last_id` says after which it goes on. An item waits
    for another connection `wait_seconds`; then `expire` declares the gap below it, or, where
    there is a repair, `suspected` tells of it. Without a `store` of one's own at most
    `pending_limit` items wait.
    """

    __slots__ = (
        "_expected",
        "_first",
        "_forwarded_before",
        "_missed_below",
        "_next",
        "_runs",
        "_store",
        "duplicates_total",
        "empty_total",
        "gaps_total",
        "missing_total",
        "pending_limit",
        "wait_seconds",
    )

    def __init__(
        self,
        *,
        last_id: int | None = None,
        wait_seconds: float = 1.0,  # another connection is rarely further behind
        pending_limit: int = HELD_LIMIT,
        store: DiskStore[Item] | None = None,
    ) -> None:
        self.wait_seconds = wait_seconds
        self.pending_limit = pending_limit
        self.duplicates_total = 0
        self.gaps_total = 0
        self.missing_total = 0
        self.empty_total = 0  # ids that the exchange shows not to exist
        self._next: int | None = None
        self._first: int | None = None  # the first id that is asked of this sequence
        self._forwarded_before = 0  # or missing, in earlier epochs
        self._expected: int | None = None  # `_next` while nothing waits; None: no fast path
        if last_id is not None:
            self.start_after(last_id)
        self._missed_below = -1  # what is missing below this id was told by `suspected`
        self._runs = Runs()
        self._store: DiskStore[Item] | MemoryStore[Item]
        self._store = MemoryStore() if store is None else store  # an empty one is false

    @property
    def events_total(self) -> int:
        covered = self._forwarded_before + (self._next or 0) - (self._first or 0)
        return covered - self.missing_total - self.empty_total

    @property
    def last_id(self) -> int | None:
        return None if self._next is None else self._next - 1

    @property
    def first_id(self) -> int | None:
        """The first id that is asked of this sequence."""
        return self._first

    @property
    def next_id(self) -> int | None:
        return self._next

    @property
    def pending(self) -> int:
        return len(self._store)

    def start_after(self, last_id: int) -> None:
        self._next = self._first = self._expected = last_id + 1

    def start_anew(self, reason: str) -> list[Item | Gap]:
        """Begin with whatever id comes next; return what waited, and the gaps below it."""
        released: list[Item | Gap] = []
        while self._runs:
            if self._next is not None and self._runs.lowest.first_id > self._next:
                released.append(self._skip(self._runs.lowest.first_id - 1, reason))
            released += self._release()
        self._forwarded_before += (self._next or 0) - (self._first or 0)
        self._next = self._first = self._expected = None
        self._missed_below = -1
        return released

    def reaches(self, event_id: int) -> bool:
        if self._next is None:
            return False
        if self._next > event_id:
            return True
        return all(
            run.first_id > event_id + 1 or run.first_id <= self._missed_below
            for run, _ in self._runs.suspected_since()
        ) and (event_id < self._missed_below or event_id in self._runs)

    def wants(self, event_id: int) -> bool:
        """Return whether this id is missing so far."""
        return self._next is not None and event_id >= self._next and event_id not in self._runs

    def advance(self, event_id: int) -> bool:
        if event_id != self._expected:
            return False
        self._expected = self._next = event_id + 1
        return True

    def take(self, event_id: int, item: Item, now: float) -> list[Item | Gap]:
        if self._next is None:
            self._first = self._next = event_id
        if not self.wants(event_id):
            self.duplicates_total += 1
            return []
        if event_id == self._next:  # needs no room, above all not on a full disk
            self._next += 1
            return [item, *self._release()]
        if not self._store.put(event_id, item):
            return []  # no room: it is as good as lost on the way, and repaired like that
        self._runs.add(event_id, now)
        self._expected = None
        if isinstance(self._store, MemoryStore) and len(self._store) > self.pending_limit:
            return self._declare(now, "no_room")
        return []

    def waiting(self, event_id: int) -> Item | None:
        """Return what waits above a gap with an id; None where nothing does in memory."""
        return self._store.peek(event_id)

    def held_above(self) -> Item | None:
        """Return an item above the lowest gap: the one right above it, or else one in memory."""
        if not self._runs:
            return None
        lowest = self._store.peek(self._runs.lowest.first_id)
        return self._store.any() if lowest is None else lowest

    def release(self) -> list[Item | Gap]:
        """Return more of what a closed gap has freed: a call returns `RELEASED_AT_ONCE`."""
        return self._release()

    def suspected(self, now: float) -> tuple[Gap, float] | None:
        """Return the lowest gap when it has waited long enough for the other connections.

        With it comes when it was first missed.
        """
        if not self._runs or self._next is None or self._runs.lowest.first_id == self._next:
            return None
        suspected = self._runs.suspected_since()
        for run, since in suspected:
            if now < since + self.wait_seconds:
                break
            self._missed_below = max(self._missed_below, run.first_id)
        lowest, since = suspected[0]
        if lowest.first_id > self._missed_below:
            return None
        return Gap(self._next, lowest.first_id - 1), since

    def give_up(self, last_id: int, reason: str) -> list[Item | Gap]:
        """Declare what is missing up to this id; return what is to be forwarded, in order."""
        declared: list[Item | Gap] = []
        while self._next is not None and self._next <= last_id:
            released = self._release()
            if released:
                declared += released
                continue
            end = min(last_id, self._runs.lowest.first_id - 1) if self._runs else last_id
            declared.append(self._skip(end, reason))
        return declared + self._release()

    def expire(self, now: float) -> list[Item | Gap]:
        if not self._runs:
            return []
        return self._release() or self._declare(now, "not_repaired")

    def _skip(self, last_id: int, reason: str) -> Gap:
        """Count the ids up to this one as missing."""
        assert self._next is not None  # noqa: S101 - for the type checker: something waits
        gap = Gap(self._next, last_id, reason)
        if reason == EMPTY:
            self.empty_total += gap.missing
        else:
            self.gaps_total += 1
            self.missing_total += gap.missing
        self._next = last_id + 1
        return gap

    def _release(self) -> list[Item | Gap]:
        """Return what follows without a hole, and open the fast path when nothing is left."""
        released: list[Item | Gap] = []
        runs, store = self._runs, self._store
        while runs and runs.lowest.first_id == self._next and len(released) < RELEASED_AT_ONCE:
            released.append(store.pop(self._next))
            self._next = runs.pop() + 1
        if not runs:
            self._expected = self._next
        return released

    def _declare(self, now: float, reason: str) -> list[Item | Gap]:
        """Declare what was suspected too long ago, and the lowest gap where there is no room.

        A gap is suspected since the first arrival of anything above it.
        """
        declared: list[Item | Gap] = []
        for run, since in self._runs.suspected_since():
            must = reason == "no_room" and not declared
            if not must and now < since + self.wait_seconds:
                break
            declared.append(self._skip(run.first_id - 1, reason))
            declared += self._release()
            if self._runs and self._runs.lowest.first_id == self._next:
                break  # the rest of this run comes first
        return declared


_INTERRUPTED = 1 << 63  # above every id, which has 64 bits and a sign: the fast path is closed


class IncreasingSequence(Generic[Item]):
    """Ids that grow by jumps: bookTicker. Nothing waits and nothing is known to be missing.

    The very first one comes through `take`, as with the other sequences, and so does the first one
    after `interrupt`.
    """

    __slots__ = (
        "_last",
        "_last_before",
        "duplicates_total",
        "events_total",
        "gaps_total",
        "missing_total",
    )

    def __init__(self, *, last_id: int | None = None) -> None:
        self.duplicates_total = 0
        self.events_total = 0
        self.gaps_total = 0
        self.missing_total = 0
        self._last_before = -1  # while it is interrupted
        self._last = _INTERRUPTED if last_id is None else last_id

    @property
    def last_id(self) -> int | None:
        last = self._last_before if self.interrupted else self._last
        return None if last < 0 else last

    @property
    def interrupted(self) -> bool:
        """Whether nothing has come since `interrupt`, or at all."""
        return self._last == _INTERRUPTED

    @property
    def pending(self) -> int:
        return 0

    def start_after(self, last_id: int) -> None:
        self._last = last_id

    def interrupt(self) -> None:
        """Have what comes next come through `take`, whatever its id."""
        if not self.interrupted:
            self._last_before, self._last = self._last, _INTERRUPTED

    def start_anew(self, reason: str) -> list[Item | Gap]:
        self._last, self._last_before = _INTERRUPTED, -1
        return []

    def reaches(self, event_id: int) -> bool:
        return True  # what was skipped is superseded

    def advance(self, event_id: int) -> bool:
        if event_id <= self._last:
            return False
        self._last = event_id
        self.events_total += 1
        return True

    def take(self, event_id: int, item: Item, now: float) -> list[Item | Gap]:
        if self.interrupted:
            self._last = self._last_before
        if self.advance(event_id):
            return [item]
        self.duplicates_total += 1
        return []

    def expire(self, now: float) -> list[Item | Gap]:
        return []
