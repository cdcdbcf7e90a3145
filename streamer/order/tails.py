"""How far the records of a route go without a hole, by a log's tail. Pure.

What was on its way when a streamer was killed may be there in part: gap records lie in another
place than the data above them, and either can be lost without the other. So a hole that no gap
record explains is where a route resumes.
"""

from __future__ import annotations

from collections.abc import Iterable

from streamer.data.catalogue import CONTIGUOUS
from streamer.order.positions import DeclaredGap, Position


class Tail:
    """The records of one route from some position on, or from the first one that is seen."""

    def __init__(self, route_name: str, position: Position | None) -> None:
        self.route_name = route_name
        self._contiguous = route_name.partition("@")[2] in CONTIGUOUS
        self._last = position
        self._holes: list[tuple[int, Position, int]] = []  # first and last id, what is below
        self._skips = False

    def skip(self) -> None:
        """Let what comes next not follow at once: what lies between is there, unread."""
        self._skips = True

    def take(self, number: int, received_us: int, epoch: int = 0) -> None:
        """Take the next record; copies may be among them."""
        last = self._last
        if last is not None and epoch > last.epoch:
            self._holes.clear()  # of ids that the exchange does not know any more
            last = None
        if last is not None:
            if (epoch, number) <= last.place:
                return
            if self._contiguous and number > last.last_id + 1 and not self._skips:
                self._holes.append((last.last_id + 1, last, number - 1))
        self._skips = False
        self._last = Position(number, received_us, epoch)

    def position(self, gaps: Iterable[DeclaredGap]) -> Position | None:
        """Return where the route ends: below the first hole that no gap explains."""
        declared = sorted(
            (gap.first_id, gap.last_id)
            for gap in gaps
            if gap.route_name == self.route_name and self._last and gap.epoch == self._last.epoch
        )
        for first_id, below, last_id in self._holes:
            if not _covered(first_id, last_id, declared):
                return below
        return self._last


def _covered(first_id: int, last_id: int, declared: list[tuple[int, int]]) -> bool:
    for gap_first, gap_last in declared:
        if gap_first <= first_id:
            first_id = max(first_id, gap_last + 1)
    return first_id > last_id
