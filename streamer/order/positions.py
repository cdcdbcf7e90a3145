"""Where the records of a stream end in the sink: what a streamer resumes from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochStart:
    """The first event of an epoch, see `order.epochs`."""

    epoch: int
    first_id: int
    started_us: int  # Unix microseconds, by the clock that `new_epoch` records have


@dataclass(frozen=True, slots=True)
class Position:
    """The last record of a route that is surely in the sink; a gap that was declared counts."""

    last_id: int
    received_us: int  # Unix microseconds
    epoch: int = 0  # which numbering the id is of, see `order.epochs`

    @property
    def place(self) -> tuple[int, int]:
        """What orders positions of a route."""
        return self.epoch, self.last_id


def furthest(*found: Mapping[str, Position]) -> dict[str, Position]:
    """Merge positions by route name: of two for one route, the one with the higher id."""
    merged: dict[str, Position] = {}
    for positions in found:
        for name, position in positions.items():
            if name not in merged or position.place > merged[name].place:
                merged[name] = position
    return merged


@dataclass(frozen=True, slots=True)
class DeclaredGap:
    """Ids of a route that a gap record in the sink declares missing, both ends included."""

    route_name: str
    first_id: int
    last_id: int
    declared_us: int  # Unix microseconds
    epoch: int = 0


def beyond_gaps(
    positions: Mapping[str, Position], gaps: Iterable[DeclaredGap]
) -> dict[str, Position]:
    """Move positions over the gaps that begin right above them.

    One that begins further up says nothing about the ids between: they may have been on their way
    into the sink when the streamer was killed.
    """
    moved = dict(positions)
    for gap in sorted(gaps, key=lambda each: each.first_id):
        position = moved.get(gap.route_name)
        if position is None or gap.epoch != position.epoch:
            continue
        if gap.first_id <= position.last_id + 1 <= gap.last_id:
            received_us = max(position.received_us, gap.declared_us)
            moved[gap.route_name] = Position(gap.last_id, received_us, gap.epoch)
    return moved
