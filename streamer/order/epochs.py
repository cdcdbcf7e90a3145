"""Ids that start anew: after the exchange has wiped its history, as testnets do each month. Pure.

An id below what is dealt with is a copy, unless it is of a later time: within one numbering that
cannot be. Some of them in a row, ascending, begin a new *epoch*: a numbering of its own.
"""

from __future__ import annotations

from typing import Generic, TypeVar

Item = TypeVar("Item")

NEW_EPOCH = "new_epoch"
"""The reason of a gap record where the exchange began its ids anew."""
CONFIRMED = 3
"""Events in a row that show it: a single one may be a mistake, and would cost all that follow."""
LATER_US = 1_000_000
"""How much later than the latest event one must be made where each server sets the time itself."""


class EpochWatch(Generic[Item]):
    """Collects what may be the beginning of a new epoch of one stream."""

    __slots__ = ("_forwarded", "_suspects")

    def __init__(self) -> None:
        self._suspects: list[tuple[int, Item]] = []
        self._forwarded = -1

    def take(
        self,
        event_id: int,
        time_us: int | None,
        item: Item,
        *,
        last_id: int,
        last_us: int | None,
        later_us: int,
        forwarded: int,
    ) -> list[Item] | None:
        """Take an event below `last_id`; None for a copy, else what begins an epoch by now.

        `time_us` is when it was made and `last_us` when the latest one was, which it must exceed by
        more than `later_us`; where events tell no time, one far below is taken for a new one.
        `forwarded` is how many events of the stream
        were forwarded so far: one in between shows that the old ids go on.
        """
        if time_us is None or last_us is None:
            is_new = event_id < last_id // 2
        else:
            is_new = time_us > last_us + later_us
        if not is_new:
            return None
        if forwarded != self._forwarded:
            self._suspects.clear()
            self._forwarded = forwarded
        if self._suspects and event_id <= self._suspects[-1][0]:
            return []  # its copy, by another connection: `waiting` has what came first
        self._suspects.append((event_id, item))
        if len(self._suspects) < CONFIRMED:
            return []
        begun = [suspect for _, suspect in self._suspects]
        self._suspects.clear()
        return begun

    def waiting(self, event_id: int) -> Item | None:
        """Return what came first with an id and waits to be confirmed, None if nothing does."""
        return next((item for known, item in self._suspects if known == event_id), None)
