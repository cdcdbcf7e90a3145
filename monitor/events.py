"""What happened, in order, in bounded memory: the first entries and the last ones are kept.

The first say how trouble began, the last how it ended; what falls out between them is counted,
and every kind keeps its full count.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FIRST_KEPT = 500
LAST_KEPT = 1500  # about a megabyte together


@dataclass(frozen=True, slots=True)
class Entry:
    """One event."""

    elapsed_seconds: float
    time: float
    kind: str
    detail: Mapping[str, Any]
    streamer: str | None = None
    generation: int | None = None


class EventLog:
    """Entries in order of arrival."""

    def __init__(self, first_kept: int = FIRST_KEPT, last_kept: int = LAST_KEPT) -> None:
        self.counts: Counter[str] = Counter()
        self._first: list[Entry] = []
        self._first_kept = first_kept
        self._last: deque[Entry] = deque(maxlen=last_kept)

    def add(self, entry: Entry) -> None:
        """Keep an entry."""
        self.counts[entry.kind] += 1
        if len(self._first) < self._first_kept:
            self._first.append(entry)
        else:
            self._last.append(entry)

    @property
    def dropped(self) -> int:
        """How many entries are counted but no longer kept."""
        return self.counts.total() - len(self._first) - len(self._last)

    def all(self) -> list[Entry]:
        """Return what is kept, oldest first."""
        return [*self._first, *self._last]

    def latest(self, count: int) -> tuple[Entry, ...]:
        """Return the last entries, oldest first."""
        tail = list(self._last)[-count:]
        missing = count - len(tail)
        return (*(self._first[-missing:] if missing else ()), *tail)


def as_json(entry: Entry) -> dict[str, Any]:
    """Return the entry as it stands in the profile."""
    return {
        "time": iso(entry.time),
        "elapsed_seconds": round(entry.elapsed_seconds, 3),
        "kind": entry.kind,
        "streamer": entry.streamer,
        "generation": entry.generation,
        "detail": dict(entry.detail),
    }


def iso(time: float) -> str:
    """Return a Unix time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
