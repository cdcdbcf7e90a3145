"""One streamer through its generations: launched, ended step by step, swept up after.

Mechanism only: when to launch, end or restart is decided in `service`. Time is passed in.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path

from monitor.model import Exited, Launched
from supervisor.child import Child, Target
from supervisor.child_setup import DIAGNOSE_SIGNAL
from supervisor.escalation import Escalation, Graces, Step, advance, begin, hurry
from supervisor.process_tree import ProcessTree

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 0.05  # SIGKILL takes a moment to be carried out


class Phase(Enum):
    """What a streamer is doing."""

    IDLE = auto()  # not launched yet, or waiting for its next launch
    STARTING = auto()  # launched, no report so far
    RUNNING = auto()
    ENDING = auto()  # asked to end, or ended and being swept up


class Lifecycle:
    """Launches, watches and ends the successive processes of one streamer."""

    def __init__(
        self,
        name: str,
        target: Target,
        arguments: Callable[[int], tuple[object, ...]],
        graces: Graces,
        directory: Path,
        *,
        keep_output: bool = False,
    ) -> None:
        """Set up without launching.

        `arguments` makes the target's arguments from a generation; stack dumps and, with
        `keep_output`, stdout and stderr go to files in `directory`.
        """
        self.name = name
        self.graces = graces
        self.generation = 0
        self.phase = Phase.IDLE
        self.child: Child | None = None
        self.launched_at = 0.0
        self.escalation: Escalation | None = None
        self._kill_wanted = False  # it was decided, not what remained after every grace
        self._target = target
        self._arguments = arguments
        self._directory = directory
        self._keep_output = keep_output
        self._tree: ProcessTree | None = None
        self._sweep_until: float | None = None
        self._look_again_at = 0.0

    def launch(self, now: float, time: float) -> Launched:
        """Start the next generation. Raises OSError."""
        self.generation += 1
        stem = f"{self.name}.{self.generation}"
        self.child = Child.launch(
            self._target,
            self._arguments(self.generation),
            stacks_file=self._directory / f"{stem}.stacks",
            output_file=self._directory / f"{self.name}.log" if self._keep_output else None,
        )
        self._tree = ProcessTree(self.child.pid)
        self._sweep_until = None
        self.escalation = None
        self._kill_wanted = False
        self.phase = Phase.STARTING
        self.launched_at = now
        return Launched(self.name, self.generation, self.child.pid, time)

    def reported(self) -> bool:
        """Note a report of this generation; True: it was the first one."""
        first = self.phase is Phase.STARTING
        if first:
            self.phase = Phase.RUNNING
        return first

    def end(self, now: float, first: Step) -> Step | None:
        """Begin to end the process at step `first`, or hurry an ending that is under way.

        Returns the step that was begun, for the caller to send the drain command; None: nothing
        new was begun.
        """
        if self.child is None or self._tree is None or self._sweep_until is not None:
            return None
        self._kill_wanted = self._kill_wanted or first is Step.KILL
        before = self.escalation
        if before is None:
            self._tree.look()
            self.escalation = begin(self.graces, now, first)
        else:
            self.escalation = hurry(before, now, first)
        if self.escalation is before:
            return None
        self.phase = Phase.ENDING
        return self._do(self.escalation.step)

    def diagnose(self) -> None:
        """Ask the process for the stacks of all its threads; it goes on."""
        if self.child is not None:
            self.child.send(DIAGNOSE_SIGNAL)

    def advance(self, now: float, time: float) -> Exited | None:
        """Do what is due; return the end of the process once nothing of its tree is left."""
        if self.child is None or self._tree is None:
            return None
        if self.child.has_ended():
            return self._sweep(self.child, self._tree, now, time)
        if self.escalation is not None:
            before, self.escalation = self.escalation, advance(self.escalation, now)
            if self.escalation is not before:
                self._do(self.escalation.step)
        return None

    @property
    def sweeping(self) -> bool:
        """Whether the process has ended and what it left is being taken away."""
        return self._sweep_until is not None

    @property
    def next_at(self) -> float:
        """When `advance` has something to do at the latest, the end of the process aside."""
        if self._sweep_until is not None:
            return self._look_again_at
        return self.escalation.deadline if self.escalation else float("inf")

    def _do(self, step: Step) -> Step:
        assert self.child is not None  # noqa: S101 - for mypy: only called while there is one
        assert self._tree is not None  # noqa: S101
        match step:
            case Step.DRAIN:
                pass  # a command, which the caller sends
            case Step.TERM:
                self.child.send(signal.SIGTERM)
            case Step.ABORT:
                self._tree.look()
                self.child.send(signal.SIGABRT)
                self.child.send(signal.SIGCONT)
            case Step.KILL:
                self._tree.look()
                self.child.send(signal.SIGKILL)
                self._tree.kill_rest()
            case Step.GIVE_UP:
                log.critical("%s: process %d does not end", self.name, self.child.pid)
        return step

    def _sweep(self, child: Child, tree: ProcessTree, now: float, time: float) -> Exited | None:
        """Take away what the ended process left; its PID is ours until it is reaped."""
        if self._sweep_until is None:
            self._sweep_until = now + self.graces.kill_seconds
        left = tree.kill_rest()
        if left and now < self._sweep_until:
            self._look_again_at = now + LOOK_AGAIN_SECONDS
            return None  # killed just now: look again whether they went
        if left:
            log.critical("%s: %d processes of its tree do not end", self.name, left)
        exit_code = child.reap()
        # Who was asked to end and did it with an error has lost something on the way.
        expected = self.phase is Phase.ENDING and (exit_code == 0 or self._kill_wanted)
        self.child = self._tree = self._sweep_until = self.escalation = None
        self.phase = Phase.IDLE
        return Exited(self.name, self.generation, exit_code, expected, time)
