"""Looks at many things in turn, a bounded number at a time. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Rounds(Generic[Key]):
    """Round after round through whatever there is at the round's beginning."""

    def __init__(self, at_once: int) -> None:
        """Return at most `at_once` at a time: above 0."""
        self._at_once = at_once
        self._left: deque[Key] = deque()

    def next(self, present: Collection[Key]) -> list[Key]:
        """Return the next ones of those that are `present` (a dict or set), each once a round.

        A round ends with the call that comes to its end: while there are at most `at_once`,
        every call returns all of them.
        """
        if not self._left:
            self._left.extend(present)
        chosen: list[Key] = []
        while self._left and len(chosen) < self._at_once:
            key = self._left.popleft()
            if key in present:
                chosen.append(key)
        return chosen
