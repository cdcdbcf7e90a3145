"""What is told again and again: the first at once, then how many there were. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

REPEAT_SECONDS: Final = 30.0
"""How long the like of a line is counted instead of written."""
LINES_AT_ONCE: Final = 100
"""Lines that differ from each other, after which there is one a second: foreign text may be made
up anew each time."""
_KINDS_MAX = 64
_KIND_CHARACTERS = 200  # beyond the names and the beginning of foreign text, lines are alike
_NUMBER = re.compile(r"\d+")


@dataclass(slots=True)
class _Kind:
    written_at: float
    counted: int = 0


class Repeats:
    """Tells which lines are written; two that differ in their numbers only are alike."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}  # the one written last comes last
        self._forgotten = 0  # lines that were counted, and whose like is not known any more
        self._allowance = float(LINES_AT_ONCE)
        self._refilled_at = 0.0

    def admit(self, text: str, now: float, *, collapse: bool = True) -> int | None:
        """Return how many lines were counted instead of written before this one.

        None means that this one is counted as well. Without `collapse`, each line matters by its
        numbers: only the bound on all of them holds.
        """
        name = _NUMBER.sub("0", text[:_KIND_CHARACTERS])
        kind = self._kinds.get(name) if collapse else None
        if kind is not None and now - kind.written_at < REPEAT_SECONDS:
            kind.counted += 1
            return None
        self._allowance = min(self._allowance + now - self._refilled_at, LINES_AT_ONCE)
        self._refilled_at = now
        if self._allowance < 1.0:
            self._forgotten += 1
            return None
        self._allowance -= 1.0
        counted = self._forgotten + (kind.counted if kind else 0)
        self._forgotten = 0
        if collapse:
            self._kinds.pop(name, None)
            self._kinds[name] = _Kind(now)
        if len(self._kinds) > _KINDS_MAX:
            self._forgotten = self._kinds.pop(next(iter(self._kinds))).counted
        return counted
