"""What a successor brings of streams whose ids jump, until its predecessor has brought as much.

Of two connections one is ahead, by the network or since it was read first. With ids that jump
nobody can tell that something is still on its way on the slower one: taken at once, the first
event of the successor would make that look like a copy, and it would be lost. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")

WITHIN_SECONDS = 1.0
"""For what is on its way: connections are tens of milliseconds apart. A predecessor that has fallen
silent holds nothing up for longer."""
STALL_SECONDS = 0.5
"""Counts between two looks, which come ten times a second: a loop that stood still read nothing."""


@dataclass(slots=True)
class _Held(Generic[Item]):
    first_id: int
    until: float
    items: list[Item] = field(default_factory=list)


class Handover(Generic[Key, Item]):
    """Items by successor and stream, in the order in which they came."""

    __slots__ = ("_looked_at", "successors")

    def __init__(self) -> None:
        self._looked_at = math.inf
        self.successors: dict[int, dict[Key, _Held[Item]]] = {}
        """Those of which something is held: none, but for a moment of a rotation."""

    def hold(self, successor: int, stream: Key, first_id: int, item: Item, now: float) -> None:
        """Keep an item; `first_id` is that of the stream's first event on the successor."""
        streams = self.successors.setdefault(successor, {})
        held = streams.get(stream)
        if held is None:
            held = streams[stream] = _Held(first_id, now + WITHIN_SECONDS)
        held.items.append(item)

    def take(self, successor: int, stream: Key) -> list[Item]:
        """Give back what is held of a stream."""
        streams = self.successors.get(successor, {})
        held = streams.pop(stream, None)
        if not streams:
            self.successors.pop(successor, None)
        return [] if held is None else held.items

    def take_all(self, successor: int) -> list[Item]:
        """Give back what is held of a successor."""
        streams = self.successors.pop(successor, {})
        return [item for held in streams.values() for item in held.items]

    def due(
        self, now: float, reached: Callable[[Key, int], bool], *, reading: bool = True
    ) -> list[Item]:
        """Give back what has waited long enough, or whose first id was `reached` meanwhile.

        Time in which nothing was read does not count: what is on its way comes after it.
        """
        since, self._looked_at = now - self._looked_at, now
        if math.isfinite(since):
            unread = max(since - (STALL_SECONDS if reading else 0.0), 0.0)
            for streams in self.successors.values():
                for held in streams.values():
                    held.until += unread
        found: list[Item] = []
        for successor, streams in list(self.successors.items()):
            for stream, held in list(streams.items()):
                if now >= held.until or reached(stream, held.first_id):
                    found += self.take(successor, stream)
        return found
