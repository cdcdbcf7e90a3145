"""The order of a depth stream of one symbol, out of any number of connections. Pure.

An event covers the update ids from U to u. It is the next one when it covers last u + 1, a copy
when its u is not above the last one, and otherwise shows a suspected gap: it waits, because
another connection may still bring what is missing. What does not come is declared, since no REST
call tells past changes of a book. In short:

- forwarded events have strictly increasing u;
- every id from the first one to the last is in a forwarded event or in exactly one declared gap.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from streamer.order.sequence import Gap, Item


@dataclass(frozen=True, slots=True)
class _Held(Generic[Item]):
    first_id: int
    last_id: int
    since: float
    item: Item


class RangeSequence(Generic[Item]):
    """Events that cover ranges of ids; `take` wants the first id, `last_id_of(item)` the last.

    The first event starts the sequence, unless `last_id` says after which id it goes on. At most
    `pending_limit` events wait, each at most `wait_seconds` for other connections.
    """

    def __init__(
        self,
        last_id_of: Callable[[Item], int],
        *,
        last_id: int | None = None,
        wait_seconds: float = 1.0,  # another connection is rarely further behind
        pending_limit: int = 1000,  # ten times what one depth@100ms brings in ten seconds
    ) -> None:
        self.wait_seconds = wait_seconds
        self.pending_limit = pending_limit
        self.events_total = 0
        self.duplicates_total = 0
        self.gaps_total = 0
        self.missing_total = 0
        self.first_id: int | None = None  # the first one that is asked of this sequence
        self.last_id = last_id
        self._last_id_of = last_id_of
        self._pending: list[_Held[Item]] = []  # ascending

    @property
    def pending(self) -> int:
        return len(self._pending)

    def start_after(self, last_id: int) -> None:
        self.last_id = last_id

    def start_anew(self, reason: str) -> list[Item | Gap]:
        released: list[Item | Gap] = []
        while self._pending:
            released += self._skip(reason)
        self.first_id = self.last_id = None
        return released

    def reaches(self, event_id: int) -> bool:
        return self.last_id is not None and self.last_id >= event_id

    def advance(self, event_id: int) -> bool:
        return False  # a first id alone does not tell; ten events a second need no fast path

    def take(self, event_id: int, item: Item, now: float) -> list[Item | Gap]:
        last_id = self._last_id_of(item)
        if self.last_id is None:
            self.first_id, self.last_id = event_id, event_id - 1
        if event_id <= self.last_id + 1:
            return [item, *self._release()] if self._forward(last_id) else []
        pending = _Held(event_id, last_id, now, item)
        index = bisect_left(self._pending, _range(pending), key=_range)
        if index < len(self._pending) and _range(self._pending[index]) == _range(pending):
            self.duplicates_total += 1
            return []
        self._pending.insert(index, pending)
        return self._skip("no_room") if len(self._pending) > self.pending_limit else []

    def expire(self, now: float) -> list[Item | Gap]:
        """Declare what was missed too long: since the first arrival of anything above it."""
        declared: list[Item | Gap] = []
        while (
            self._pending
            and now >= min(pending.since for pending in self._pending) + self.wait_seconds
        ):
            declared += self._skip("not_repaired")
        return declared

    def _forward(self, last_id: int) -> bool:
        """Return whether an event that leaves no hole below it has something new."""
        assert self.last_id is not None  # noqa: S101 - for the type checker: `take` has set it
        if last_id <= self.last_id:
            self.duplicates_total += 1
            return False
        self.last_id = last_id
        self.events_total += 1
        return True

    def _skip(self, reason: str) -> list[Item | Gap]:
        """Declare the lowest gap; return it and what follows."""
        assert self.last_id is not None  # noqa: S101 - as above
        gap = Gap(self.last_id + 1, self._pending[0].first_id - 1, reason)
        self.gaps_total += 1
        self.missing_total += gap.missing
        self.last_id = gap.last_id
        return [gap, *self._release()]

    def _release(self) -> list[Item | Gap]:
        """Return what waits for nothing any more."""
        released: list[Item | Gap] = []
        count = 0
        for pending in self._pending:
            if self.last_id is None or pending.first_id > self.last_id + 1:
                break
            count += 1
            if self._forward(pending.last_id):
                released.append(pending.item)
        del self._pending[:count]
        return released


def _range(pending: _Held[Item]) -> tuple[int, int]:
    return pending.first_id, pending.last_id
