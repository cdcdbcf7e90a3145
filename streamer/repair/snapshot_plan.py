"""Which books need a snapshot, what it must reach, and when to ask. Pure.

Snapshots are per symbol: its streams of changes, each second or ten times in it, have the same
update ids. A snapshot serves once it holds all updates below the first change in hand: an older one
leaves a hole, and is asked for again. Times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TypeAlias

from streamer.data.kinds.depth_snapshot import SnapshotReason

RETRY_FIRST_SECONDS, RETRY_MAX_SECONDS = 0.5, 60.0  # a replica that lags; a symbol that is refused
_DOUBLINGS_MAX = 10


@dataclass(slots=True)
class _Need:
    """What a symbol needs next."""

    reason: SnapshotReason
    reach_id: int  # the snapshot must hold this update
    ask_at: float = 0.0  # at once
    attempts: int = 0


_Entry: TypeAlias = tuple[float, int, str, _Need]  # when to ask, a number of its own, what
_STALE_MAX = 100  # entries that no longer hold, beside one for each that does


@dataclass(frozen=True, slots=True)
class SnapshotDue:
    """What is to be asked for now."""

    symbol: str
    reason: SnapshotReason


class SnapshotPlan:
    """The snapshots that are due, by symbol."""

    def __init__(self, interval_seconds: float) -> None:
        """With an interval of 0, none is due by time alone."""
        self._interval_seconds = interval_seconds
        self._needs: dict[str, _Need] = {}
        # What is due first is at the front; what no longer holds is dropped when it gets there.
        self._lost: list[_Entry] = []
        self._by_time: list[_Entry] = []
        self._numbers = count()  # what is due at the same time keeps its order
        self._taken_ids: dict[str, int] = {}  # of the latest snapshots

    def need(self, symbol: str, reason: SnapshotReason, reach_id: int) -> bool:
        """Note that a book needs a snapshot with an update in it; return whether it does.

        It does not where the latest snapshot has it already: it came ahead of the changes.
        """
        taken_id = self._taken_ids.get(symbol)
        if taken_id is not None and taken_id >= reach_id:
            return False
        known = self._needs.get(symbol)
        if known is None or known.reason == "interval":
            self._add(symbol, _Need(reason, reach_id))
        else:
            known.reach_id = max(known.reach_id, reach_id)
        return True

    def next(self, now: float) -> SnapshotDue | None:
        """Return the most urgent one that is due: of books that are lost, else by time."""
        for entries in (self._lost, self._by_time):
            while entries and not self._holds(entries[0]):
                heappop(entries)
            if entries and entries[0][0] <= now:
                _, _, symbol, need = entries[0]
                return SnapshotDue(symbol, need.reason)
        return None

    def serves(self, symbol: str, update_id: int, now: float) -> bool:
        """Take that a snapshot has come; return whether it serves, else it is asked for again."""
        need = self._needs.get(symbol)
        if need is None or update_id < max(need.reach_id, self._taken_ids.get(symbol, 0)):
            self.failed(symbol, now)
            return False
        del self._needs[symbol]
        self._taken_ids[symbol] = update_id
        if self._interval_seconds:
            self._add(symbol, _Need("interval", update_id, now + self._interval_seconds))
        return True

    def failed(self, symbol: str, now: float) -> None:
        """Take that there was no snapshot of use: it is asked for again, ever more rarely."""
        need = self._needs.get(symbol)
        if need is not None:
            delay = RETRY_FIRST_SECONDS * 2.0 ** min(need.attempts, _DOUBLINGS_MAX)
            need.attempts += 1
            need.ask_at = now + min(delay, RETRY_MAX_SECONDS)
            self._add(symbol, need)

    def latest_id(self, symbol: str) -> int | None:
        """Return the last update in the latest snapshot of a symbol."""
        return self._taken_ids.get(symbol)

    def forget(self, symbol: str) -> None:
        """Know nothing of a symbol: nobody streams its changes, or its ids have begun anew."""
        self._needs.pop(symbol, None)
        self._taken_ids.pop(symbol, None)

    def _add(self, symbol: str, need: _Need) -> None:
        self._needs[symbol] = need
        entries = self._by_time if need.reason == "interval" else self._lost
        if len(entries) > 2 * len(self._needs) + _STALE_MAX:
            entries[:] = filter(self._holds, entries)
            heapify(entries)
        heappush(entries, (need.ask_at, next(self._numbers), symbol, need))

    def _holds(self, entry: _Entry) -> bool:
        """Return whether this is still what its symbol needs next, and when."""
        ask_at, _, symbol, need = entry
        return self._needs.get(symbol) is need and need.ask_at == ask_at
