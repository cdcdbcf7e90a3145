"""The latest events by stream and ids, so that a copy can be compared with the first one. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")

KEPT = 4096
"""Items at least: seconds of a busy feed, which is what connections are apart, and 2 MiB."""


class Recent(Generic[Item]):
    """The last items, at least `kept` and at most twice as many, by key."""

    __slots__ = ("_kept", "_newer", "_older")

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._newer: dict[Hashable, Item] = {}
        self._older: dict[Hashable, Item] = {}

    def add(self, key: Hashable, item: Item) -> None:
        """Keep an item."""
        if len(self._newer) >= self._kept:
            self._older, self._newer = self._newer, {}
        self._newer[key] = item

    def find(self, key: Hashable) -> Item | None:
        """Return the item with a key; None for one that is not kept any more."""
        return self._newer.get(key) or self._older.get(key)

    def clear(self) -> None:
        """Forget all."""
        if self._newer:
            self._newer, self._older = {}, {}
