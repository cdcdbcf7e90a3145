"""What is done to a process and when; the processes themselves are in the integration test."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from monitor.model import Exited, Launched
from supervisor import lifecycle as lifecycle_module
from supervisor.child_setup import DIAGNOSE_SIGNAL
from supervisor.escalation import Graces, Step
from supervisor.lifecycle import LOOK_AGAIN_SECONDS, Lifecycle, Phase

GRACES = Graces(drain_seconds=10, term_seconds=5, abort_seconds=3, kill_seconds=2)
NOW, TIME = 1000.0, 1_700_000_000.0


@dataclass
class Child:
    """A process that ends when the test says so."""

    pid: int
    launched_with: dict[str, Any]
    signals: list[signal.Signals] = field(default_factory=list)
    exit_code: int | None = None
    reaped: bool = False

    def send(self, number: signal.Signals) -> bool:
        self.signals.append(number)
        return True

    def has_ended(self) -> bool:
        return self.exit_code is not None

    def reap(self) -> int:
        assert not self.reaped
        assert self.exit_code is not None
        self.reaped = True
        return self.exit_code


class Tree:
    """What the processes of a child have left: as many as the test says."""

    left = 0

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.kills = 0

    def look(self) -> None:
        """Belongs to the real one."""

    def kill_rest(self) -> int:
        self.kills += 1
        return self.left


class Stage:
    def __init__(self, directory: Path, **how: bool) -> None:
        self.children: list[Child] = []
        self.lifecycle = Lifecycle(
            "streamer-1", lambda _: 0, lambda generation: (generation,), GRACES, directory, **how
        )

    def launch_child(self, target: Any, arguments: tuple[object, ...], **where: Any) -> Child:
        self.children.append(Child(41 + len(self.children), {"arguments": arguments, **where}))
        return self.children[-1]

    @property
    def child(self) -> Child:
        return self.children[-1]

    def launch(self) -> Lifecycle:
        self.lifecycle.launch(NOW, TIME)
        return self.lifecycle

    def exits(self, exit_code: int, now: float = NOW) -> Exited:
        self.child.exit_code = exit_code
        exited = self.lifecycle.advance(now, TIME)
        assert exited is not None
        return exited


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage(tmp_path)

    class Launcher:
        launch = staticmethod(stage.launch_child)

    monkeypatch.setattr(lifecycle_module, "Child", Launcher)
    monkeypatch.setattr(lifecycle_module, "ProcessTree", Tree)
    monkeypatch.setattr(Tree, "left", 0)
    return stage


def test_a_launch_makes_a_generation_with_files_of_its_own(stage: Stage, tmp_path: Path) -> None:
    assert stage.lifecycle.phase is Phase.IDLE
    assert stage.lifecycle.launch(NOW, TIME) == Launched("streamer-1", 1, 41, TIME)
    assert stage.child.launched_with == {
        "arguments": (1,),
        "stacks_file": tmp_path / "streamer-1.1.stacks",
        "output_file": None,
    }
    assert (stage.lifecycle.phase, stage.lifecycle.launched_at) == (Phase.STARTING, NOW)
    stage.exits(0)
    assert stage.lifecycle.launch(NOW + 9, TIME + 9) == Launched("streamer-1", 2, 42, TIME + 9)
    assert stage.child.launched_with["stacks_file"] == tmp_path / "streamer-1.2.stacks"


def test_output_is_kept_where_that_is_asked_for(stage: Stage, tmp_path: Path) -> None:
    stage.lifecycle = Stage(tmp_path, keep_output=True).lifecycle
    stage.launch()
    assert stage.child.launched_with["output_file"] == tmp_path / "streamer-1.log"


def test_the_first_report_of_a_generation_is_news(stage: Stage) -> None:
    lifecycle = stage.launch()
    assert lifecycle.reported()
    assert lifecycle.phase is Phase.RUNNING
    assert not lifecycle.reported()
    lifecycle.end(NOW, Step.TERM)
    assert not lifecycle.reported(), "the last words of one that ends"
    assert lifecycle.phase is Phase.ENDING


def test_nobody_is_there_to_be_ended_or_asked(stage: Stage) -> None:
    assert stage.lifecycle.end(NOW, Step.TERM) is None
    assert stage.lifecycle.advance(NOW, TIME) is None
    assert stage.lifecycle.next_at == float("inf")
    stage.lifecycle.diagnose()
    lifecycle = stage.launch()
    lifecycle.diagnose()
    assert stage.child.signals == [DIAGNOSE_SIGNAL]
    assert lifecycle.phase is Phase.STARTING


def test_every_step_has_its_grace_and_its_deed(stage: Stage) -> None:
    lifecycle = stage.launch()
    assert lifecycle.end(NOW, Step.DRAIN) is Step.DRAIN
    assert stage.child.signals == [], "the caller sends the command"
    due, done = NOW, []
    for grace, signals in (
        (GRACES.drain_seconds, [signal.SIGTERM]),
        (GRACES.term_seconds, [signal.SIGABRT, signal.SIGCONT]),
        (GRACES.abort_seconds, [signal.SIGKILL]),
    ):
        due += grace
        assert lifecycle.next_at == due
        assert lifecycle.advance(due - 0.1, TIME) is None
        assert stage.child.signals == done
        assert lifecycle.advance(due, TIME) is None
        done = done + signals
        assert stage.child.signals == done


def test_one_that_does_not_even_take_sigkill_is_said(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    lifecycle = stage.launch()
    lifecycle.end(NOW, Step.KILL)
    lifecycle.advance(NOW + GRACES.kill_seconds, TIME)
    assert "process 41 does not end" in caplog.text
    assert lifecycle.next_at == float("inf")
    assert stage.exits(-9).expected, "it may end all the same"


def test_an_ending_is_hurried_and_never_slowed(stage: Stage) -> None:
    lifecycle = stage.launch()
    assert lifecycle.end(NOW, Step.TERM) is Step.TERM
    assert lifecycle.end(NOW + 1, Step.DRAIN) is None
    assert lifecycle.end(NOW + 1, Step.TERM) is None
    assert lifecycle.next_at == NOW + GRACES.term_seconds
    assert lifecycle.end(NOW + 1, Step.KILL) is Step.KILL
    assert stage.child.signals == [signal.SIGTERM, signal.SIGKILL]


@pytest.mark.parametrize(
    ("first", "exit_code", "expected"),
    [
        (None, 0, False),
        (None, 1, False),
        (Step.DRAIN, 0, True),
        (Step.TERM, 1, False),
        (Step.TERM, -15, False),
        (Step.KILL, -9, True),
    ],
)
def test_an_end_is_expected_when_it_was_asked_for_and_lost_nothing(
    stage: Stage, first: Step | None, exit_code: int, expected: bool
) -> None:
    lifecycle = stage.launch()
    if first is not None:
        lifecycle.end(NOW, first)
    assert stage.exits(exit_code) == Exited("streamer-1", 1, exit_code, expected, TIME)
    assert (lifecycle.phase, lifecycle.child) == (Phase.IDLE, None)
    assert lifecycle.next_at == float("inf"), "no deadline of the ending is left"


def test_a_kill_that_only_followed_from_the_graces_is_not_expected(stage: Stage) -> None:
    lifecycle = stage.launch()
    lifecycle.end(NOW, Step.ABORT)
    lifecycle.advance(NOW + GRACES.abort_seconds, TIME)
    assert stage.child.signals[-1] is signal.SIGKILL
    assert not stage.exits(-9).expected


def test_a_decided_kill_says_nothing_of_the_next_generation(stage: Stage) -> None:
    stage.launch().end(NOW, Step.KILL)
    stage.exits(-9)
    stage.launch().end(NOW, Step.TERM)
    assert not stage.exits(-9).expected


def test_what_a_process_leaves_is_killed_before_it_is_reaped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle = stage.launch()
    stage.child.exit_code = 0
    monkeypatch.setattr(Tree, "left", 2)
    assert lifecycle.advance(NOW, TIME) is None
    assert lifecycle.sweeping
    assert not stage.child.reaped, "its PID is ours until then"
    assert lifecycle.next_at == NOW + LOOK_AGAIN_SECONDS
    assert lifecycle.end(NOW, Step.KILL) is None, "nobody is left to be ended"
    monkeypatch.setattr(Tree, "left", 0)
    exited = lifecycle.advance(NOW + LOOK_AGAIN_SECONDS, TIME)
    assert exited is not None
    assert stage.child.reaped
    assert not lifecycle.sweeping


def test_what_cannot_be_killed_is_waited_for_no_longer_than_the_grace(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lifecycle = stage.launch()
    stage.child.exit_code = 0
    monkeypatch.setattr(Tree, "left", 3)
    assert lifecycle.advance(NOW, TIME) is None
    assert lifecycle.advance(NOW + GRACES.kill_seconds - 0.1, TIME) is None
    assert lifecycle.advance(NOW + GRACES.kill_seconds, TIME) is not None
    assert "3 processes of its tree do not end" in caplog.text
