"""Which of the gaps that may be asked about comes next. Pure.

What waits longest or weighs most is not the same: the gap above which most events wait costs most
memory and disk, and its data is the latest; but a busy symbol's gap of a day must not keep a
thousand small ones from their single page. So questions are shared between two orders, and a gap
that was begun is finished first, up to a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")

OLDEST_SHARE = 0.25
"""Of the questions, for the gaps that wait longest: 50 small ones a minute beside a large one. The
others go to the busiest, whose trades are most of what is missing."""
IN_A_ROW = 40
"""Questions about one gap before the others get a turn: 40,000 trades, minutes of the busiest
symbol, in a fifth of a minute's weight."""


@dataclass(frozen=True, slots=True)
class Need:
    """Why a gap should be asked about: how many events wait above it, and since when it is due."""

    waiting: int
    due_since: float


class RepairOrder(Generic[Key]):
    """Remembers what was asked about, so that a gap is finished before the next one."""

    def __init__(self) -> None:
        self._current: Key | None = None
        self._in_a_row = 0
        self._is_for_oldest = False  # the current one was chosen by its age
        self._asked = self._asked_for_oldest = 0

    def choose(self, needs: Mapping[Key, Need]) -> Key:
        """Return the gap to ask about now, of at least one; `asked` tells that it was."""
        current = self._current
        if current is not None and current in needs and self._in_a_row < IN_A_ROW:
            return current
        self._is_for_oldest = self._asked_for_oldest < OLDEST_SHARE * self._asked
        if self._is_for_oldest:
            current = min(needs, key=lambda key: needs[key].due_since)
        else:
            # Where no events wait, as after a silence, the oldest comes first.
            current = min(needs, key=lambda key: (-needs[key].waiting, needs[key].due_since))
        self._current, self._in_a_row = current, 0
        return current

    def asked(self) -> None:
        """Count a question about the gap that was chosen."""
        self._in_a_row += 1
        self._asked += 1
        self._asked_for_oldest += self._is_for_oldest

    def forget(self, key: Key) -> None:
        """Handle that a gap is closed, or that its questions do not help for now."""
        if key == self._current:
            self._current = None
