"""Ending a child, as a state machine without clock or process.

    drain command → SIGTERM → SIGABRT (stack dump), SIGCONT → SIGKILL of the whole tree → give up

Each step has its grace; the driver does the deeds and stops asking once the tree is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import assert_never


class Step(IntEnum):
    """How far the ending of a child has come; also the deed that the step begins with."""

    DRAIN = 0  # ask by command: stop reading, flush, report, exit
    TERM = 1
    ABORT = 2  # SIGABRT dumps the stacks; SIGCONT after it, or a stopped process never would
    KILL = 3  # SIGKILL to every process of the tree
    GIVE_UP = 4  # what SIGKILL did not take away, only the kernel can


@dataclass(frozen=True, slots=True, kw_only=True)
class Graces:
    """Seconds that each step gets before the next one."""

    drain_seconds: float
    term_seconds: float
    abort_seconds: float
    kill_seconds: float

    def of(self, step: Step) -> float:
        """Return the grace of a step; after giving up there is nothing to wait for."""
        match step:
            case Step.DRAIN:
                return self.drain_seconds
            case Step.TERM:
                return self.term_seconds
            case Step.ABORT:
                return self.abort_seconds
            case Step.KILL:
                return self.kill_seconds
            case Step.GIVE_UP:
                return float("inf")
            case _ as never:
                assert_never(never)

    @property
    def total_seconds(self) -> float:
        """Return the longest that an ending can take."""
        return self.drain_seconds + self.term_seconds + self.abort_seconds + self.kill_seconds


@dataclass(frozen=True, slots=True)
class Escalation:
    """Where the ending of one child stands; `deadline` is when the next step is due."""

    graces: Graces
    step: Step
    deadline: float


def begin(graces: Graces, now: float, first: Step = Step.DRAIN) -> Escalation:
    """Return an ending whose `first` step is to be done now."""
    return Escalation(graces, first, now + graces.of(first))


def advance(escalation: Escalation, now: float) -> Escalation:
    """Return the escalation at `now`, one step further when its grace is over.

    One step a call: a supervisor that was suspended for a minute still gives each step its grace.
    """
    if now < escalation.deadline:
        return escalation
    return _enter(escalation, Step(escalation.step + 1), now)


def hurry(escalation: Escalation, now: float, to: Step) -> Escalation:
    """Return the escalation at least at step `to`; it never goes back."""
    return _enter(escalation, to, now) if to > escalation.step else escalation


def _enter(escalation: Escalation, step: Step, now: float) -> Escalation:
    return replace(escalation, step=step, deadline=now + escalation.graces.of(step))
