"""What a process tells of its memory: how much of it is believed, and what is kept of it. Pure."""

from __future__ import annotations

from typing import Any, Final

from streamer.messages import MEMORY_PARTS_MAX, MemoryPart, MemoryParts

TOLD_WITHIN_SECONDS: Final = 5.0  # reports come each second; an older one tells of another time
EXPLAINED_MAX_BYTES: Final = 128 << 20
"""However much a process accounts for: less than all of a streamer's limits together (172 MiB)."""
ALL_PARTS: Final = frozenset(
    ("sink_queue", "held_events", "encoder_caches", "free_heap", "python_free", "file_pages")
)
"""What a streamer accounts for that can tell all of it: every cache and queue that grows with the
events, and what either allocator keeps free. What is left holds what is used for good."""
SETTLED_SECONDS: Final = 60.0  # of uptime: connected, subscribed, buffers made


def explained_bytes(parts: MemoryParts, rss_bytes: int) -> int | None:
    """Return how much of a memory is accounted for; None: nothing was told.

    A part counts up to its limit, so that one that grows for ever, or is told too large, is found
    once it is beyond; a part without a limit does not count. The whole is bounded as well.
    """
    limited = [part for part in parts.values() if part.limit_bytes is not None]
    if not limited:
        return None
    told = sum(min(part.bytes, part.limit_bytes or 0) for part in limited)
    return min(told, EXPLAINED_MAX_BYTES, rss_bytes)


def accounts_for_all(parts: MemoryParts) -> bool:
    """Return whether the rest of the memory may be judged as one without caches and free heap."""
    return parts.keys() >= ALL_PARTS


class MemoryRecord:
    """The parts of one process: once it had settled, at their largest, and last. In bytes."""

    def __init__(self) -> None:
        self.first: MemoryParts = {}
        self.last: MemoryParts = {}
        self.highest: dict[str, int] = {}
        self._is_settled = False

    def take(self, parts: MemoryParts, uptime_seconds: float) -> None:
        """Take what a report tells."""
        if not self._is_settled:
            self.first = parts
            self._is_settled = uptime_seconds >= SETTLED_SECONDS
        self.last = parts
        for name, part in parts.items():
            if name in self.highest or len(self.highest) < MEMORY_PARTS_MAX:
                self.highest[name] = max(self.highest.get(name, 0), part.bytes)

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Return what the profile keeps, by part."""
        return {
            name: {
                "first_bytes": _bytes(self.first.get(name)),
                "highest_bytes": self.highest.get(name, part.bytes),
                "last_bytes": part.bytes,
                "limit_bytes": part.limit_bytes,
            }
            for name, part in self.last.items()
        }


def _bytes(part: MemoryPart | None) -> int | None:
    return None if part is None else part.bytes
