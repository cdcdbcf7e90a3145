"""What a client is sent of each snapshot, as server-sent events: rendered once for all of them.

Events are numbered from 1 since the supervisor's start, so that the page can tell which it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from monitor.events import Entry
from monitor.live.memory import memory_key, memory_of_all
from monitor.live.state import TEXT_BYTES, state_of
from monitor.live.streams import StreamTable
from monitor.report.connections import described, weight_of
from monitor.snapshot import Snapshot
from streamer.printable import printable
from streamer.strict_json import encode
from streamer.version import version

RETRY: Final = b"retry: 1000\n\n"
"""How many milliseconds a browser waits after a lost connection: the time of one publication."""

_version = cache(version)  # it reads a file


@dataclass(slots=True)
class Cursor:
    """What one client has."""

    memory: tuple[object, ...] | None = None
    events: int = 0


class Message:
    """What is sent of one snapshot; each part is rendered when the first client needs it."""

    def __init__(self, snapshot: Snapshot, table: StreamTable) -> None:
        self._snapshot = snapshot
        self._table = table
        self._state: bytes | None = None
        self._memory: bytes | None = None
        self._memory_key = memory_key(snapshot)
        self._events: dict[int, bytes] = {}  # by how many a client has: as many as clients at most

    def after(self, cursor: Cursor) -> bytes:
        """Return what a client has not got yet, and move its cursor on."""
        parts = [self._state_part()]
        if cursor.memory != self._memory_key:
            parts.append(self._memory_part())
            cursor.memory = self._memory_key
        total = sum(self._snapshot.event_counts.values())
        if cursor.events != total:
            parts.append(self._events_part(cursor.events, total))
            cursor.events = total
        return b"".join(parts)

    def _state_part(self) -> bytes:
        if self._state is None:
            self._state = event("state", state_of(self._snapshot, self._table, _version()))
        return self._state

    def _memory_part(self) -> bytes:
        if self._memory is None:
            self._memory = event("memory", memory_of_all(self._snapshot))
        return self._memory

    def _events_part(self, known: int, total: int) -> bytes:
        if known not in self._events:
            recent = self._snapshot.recent_events
            first = total - len(recent) + 1
            self._events[known] = event(
                "events",
                [
                    _entry(number, entry)
                    for number, entry in enumerate(recent, start=first)
                    if number > known
                ],
            )
        return self._events[known]


def event(name: str, data: object) -> bytes:
    """Return a server-sent event. JSON has no line break of its own, which would end the data."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), encode(data))


def stalled(age_seconds: float | None) -> bytes:
    """Return what is sent while nothing is published: it also keeps the connection from ageing."""
    return event("stalled", {"age_seconds": None if age_seconds is None else round(age_seconds, 1)})


def _entry(number: int, entry: Entry) -> dict[str, Any]:
    kind, detail = entry.kind.replace("_", " "), entry.detail
    text = described(detail)
    if entry.kind == "action":
        kind, text = f"{detail.get('action')} ({detail.get('rule')})", str(detail.get("message"))
    return {
        "number": number,
        "time": round(entry.time, 3),
        "kind": kind,
        "weight": weight_of(entry.kind, detail),
        "streamer": entry.streamer,
        "text": printable(text, TEXT_BYTES),
    }
