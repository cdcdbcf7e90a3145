"""Endings that wait for their evidence, and the looks that are taken for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from supervisor.diagnosis import Diagnoses, Diagnosis, Subject
from supervisor.escalation import Step
from supervisor.fleet import Fleet

WITHIN_SECONDS: Final = 2.0
"""How long an ending waits for its evidence at the most; a leak of 50 MiB a second stays below
MemoryMax."""
_ANSWER_WITHIN_SECONDS = 1.0  # of a streamer that is to be ended; a look takes 0.1 s
_LOOKS_APART_SECONDS = 0.3  # before an ending: a fast leak shows
_FOR_PEOPLE_APART_SECONDS = 3.0  # a slow one needs longer; a person who asks can wait
_FOR_PEOPLE_WITHIN_SECONDS = 8.0  # they are answered within ten


@dataclass(slots=True)
class _Ending:
    diagnosis: Diagnosis
    first: Step
    until: float  # monotonic


class Endings:
    """Looks at a process before it is ended; then `end` (name, now, first step) does that."""

    def __init__(
        self,
        fleet: Fleet,
        diagnoses: Diagnoses,
        end: Callable[[str, float, Step], None],
        within_seconds: float = WITHIN_SECONDS,
    ) -> None:
        """`within_seconds` is how long an ending waits for its evidence."""
        self._fleet = fleet
        self._diagnoses = diagnoses
        self._end = end
        self._within_seconds = min(within_seconds, WITHIN_SECONDS)
        self._waiting: dict[str, _Ending] = {}
        self._looked_at: dict[str, int] = {}  # the latest generation with evidence, by streamer

    @property
    def next_at(self) -> float:
        """When `turn` has something to do at the latest."""
        due = [ending.until for ending in self._waiting.values()]
        return min([*due, self._diagnoses.next_at])

    def fileno(self) -> int:
        """Return what to poll."""
        return self._diagnoses.fileno()

    def begin(self, name: str, reason: str, now: float, first: Step, *, hears: bool) -> None:
        """Keep evidence of a process, then end it, beginning at a step.

        One that does not hear is not asked for its own view.
        """
        waiting = self._waiting.get(name)
        if waiting is not None:
            waiting.first = max(waiting.first, first)
            return
        diagnosis = self._look(
            name,
            reason,
            now,
            # Far above its ceiling it gets no time to grow further between two looks.
            looks=0 if not hears else 1 if first is Step.KILL else 2,
            apart_seconds=_LOOKS_APART_SECONDS,
            within_seconds=_ANSWER_WITHIN_SECONDS,
        )
        if diagnosis is None:
            self._end(name, now, first)
            return
        self._waiting[name] = _Ending(diagnosis, first, now + self._within_seconds)

    def diagnose(self, name: str, reason: str, now: float) -> Diagnosis | None:
        """Keep evidence of a process that goes on; None: it does not run."""
        return self._look(
            name,
            reason,
            now,
            looks=2,
            apart_seconds=_FOR_PEOPLE_APART_SECONDS,
            within_seconds=_FOR_PEOPLE_WITHIN_SECONDS,
        )

    def turn(self, now: float) -> None:
        """End those whose evidence is there; look at those that do not end when they are asked."""
        self._diagnoses.turn(now)
        for name, ending in tuple(self._waiting.items()):
            if ending.diagnosis.seen(now) or now >= ending.until:
                del self._waiting[name]
                self._end(name, now, ending.first)
        for member in self._fleet:
            one = member.lifecycle
            hangs = one.escalation is not None and one.escalation.step is Step.TERM
            if hangs and self._looked_at.get(one.name) != one.generation:
                self._look(
                    one.name,
                    "it does not end, or does not answer",
                    now,
                    looks=0,
                    apart_seconds=0.0,
                    within_seconds=0.0,
                )

    def finish(self) -> None:
        """Wait a moment for bundles that are being packed."""
        self._diagnoses.finish(WITHIN_SECONDS)

    def gone(self, name: str) -> None:
        """Handle that a process has ended by itself."""
        self._waiting.pop(name, None)

    def _look(
        self,
        name: str,
        reason: str,
        now: float,
        *,
        looks: int,
        apart_seconds: float,
        within_seconds: float,
    ) -> Diagnosis | None:
        lifecycle = self._fleet.members[name].lifecycle
        child = lifecycle.child
        if child is None:
            return None
        self._looked_at[name] = lifecycle.generation
        return self._diagnoses.begin(
            Subject(name, lifecycle.generation, child.pid, child.stacks_file),
            reason,
            now,
            lifecycle.diagnose,
            looks=looks,
            look_every_seconds=apart_seconds,
            within_seconds=within_seconds,
        )
