"""Rotations that a rule on the whole process asks for: there must be something to rotate."""

from __future__ import annotations

import pytest

from monitor.decide import decide
from monitor.ledger import Ledger
from monitor.model import Action, Event, Restart, Rotate
from monitor.rules import Rule
from monitor.state import State
from tests.unit.monitor.observations import launched, reported, sample, slot

FILES = Rule(
    name="many files", metric="open_files", limit=100, action="rotate", cooldown_seconds=0.0
)


class Watched:
    """A running streamer that is judged by few rules."""

    def __init__(self, *rules: Rule) -> None:
        self._state = State(rules, "run", Ledger(None, 4 * 3600.0))
        self.feed(launched(), 0.0)

    def feed(self, event: Event, now: float) -> tuple[Action, ...]:
        self._state, actions = decide(self._state, event, now)
        return actions

    def files(self, now: float) -> list[type[Action]]:
        """Return what is done about too many open files."""
        return [type(each) for each in self.feed(sample(now, open_files=101), now)]


def test_before_the_first_report_no_slot_is_known() -> None:
    watched = Watched(FILES)

    assert watched.files(1.0) == []
    watched.feed(reported(2, slots=()), 2.0)
    assert watched.files(2.5) == []
    watched.feed(reported(3), 3.0)
    assert watched.files(3.5) == [Rotate]


@pytest.mark.parametrize("rotating", ["slot-1", "slot-2"])
def test_all_slots_rotate_together_so_none_may_be_rotating(rotating: str) -> None:
    watched = Watched(FILES)
    slots = tuple(slot(name, rotating=name == rotating) for name in ("slot-1", "slot-2"))
    watched.feed(reported(1, slots=slots), 1.0)

    assert watched.files(1.5) == []
    watched.feed(reported(2, slots=(slot("slot-1"), slot("slot-2"))), 2.0)
    assert watched.files(2.5) == [Rotate]


def test_a_process_that_is_to_end_at_a_quiet_moment_rotates_no_more() -> None:
    ending = Rule(name="threads", metric="threads", limit=50, action="restart", when_quiet=True)
    watched = Watched(ending, FILES)
    watched.feed(reported(1), 1.0)

    [restart] = watched.feed(sample(2.0, threads=51), 2.0)
    assert isinstance(restart, Restart)
    assert restart.when_quiet
    assert watched.files(3.0) == []
