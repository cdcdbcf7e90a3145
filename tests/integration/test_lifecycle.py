"""One child, from its launch to the last process of its tree; real processes, short graces."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from monitor.model import Exited
from monitor.telemetry import TelemetryServer
from streamer.config import ExchangeConfig, SinkConfig, StreamerConfig, TelemetryConfig
from streamer.messages import Command
from supervisor.child import Target
from supervisor.escalation import Graces, Step
from supervisor.lifecycle import Lifecycle
from supervisor.process_tree import lives, session_members
from tests.integration import scripted_streamer
from tests.waiting import WITHIN_SECONDS, eventually

PATIENT = Graces(
    drain_seconds=WITHIN_SECONDS,
    term_seconds=WITHIN_SECONDS,
    abort_seconds=WITHIN_SECONDS,
    kill_seconds=WITHIN_SECONDS,
)
"""For a child that obeys: it takes as long as it takes."""
UNDRAINED = replace(PATIENT, drain_seconds=0.5)
DEAF_TO_TERM = replace(PATIENT, drain_seconds=0.5, term_seconds=0.5)
DEAF_TO_ALL = replace(DEAF_TO_TERM, abort_seconds=0.5)


class Stage:
    """A lifecycle with its telemetry, driven by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.telemetry = TelemetryServer(directory)
        self.lifecycle: Lifecycle | None = None
        self.pid = 0

    def launch(self, target: Target, graces: Graces = PATIENT) -> Lifecycle:
        config = StreamerConfig(
            exchange=ExchangeConfig(symbols=("BTCUSDT",)),
            sink=SinkConfig(directory=self.directory),
            telemetry=TelemetryConfig(report_every=0.05, endpoint=self.telemetry.endpoint),
        )
        self.lifecycle = Lifecycle(
            "streamer-1",
            target,
            lambda generation: (
                replace(
                    config,
                    generation=generation,
                    telemetry_keys=self.telemetry.admit("streamer-1", generation),
                ),
            ),
            graces,
            self.directory,
        )
        launched = self.lifecycle.launch(time.monotonic(), time.time())
        self.pid = launched.pid
        self.telemetry.expect("streamer-1", launched.generation, launched.pid)
        return self.lifecycle

    def until(self, done: Callable[[], object]) -> None:
        eventually(done, every=0.01)

    def until_reported(self) -> None:
        self.until(self.telemetry.receive)

    def until_exited(self) -> Exited:
        exits: list[Exited] = []

        def gone() -> bool:
            assert self.lifecycle
            exited = self.lifecycle.advance(time.monotonic(), time.time())
            exits.extend([exited] if exited else [])
            return bool(exits)

        self.until(gone)
        return exits[0]

    def stacks(self) -> str:
        return (self.directory / "streamer-1.1.stacks").read_text()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Yield a stage; afterwards nothing of the child's session may be left."""
    directory = Path("/tmp", f"vigil-test-{os.getpid()}-{tmp_path.name}"[:60])
    directory.mkdir(mode=0o700)
    stage = Stage(directory)
    try:
        yield stage
        left = [one.pid for one in session_members(stage.pid) if lives(one)]
    finally:
        for process in session_members(stage.pid):
            process.kill()
        stage.telemetry.close()
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
    assert left == []


def test_a_drain_command_ends_a_healthy_child(stage: Stage) -> None:
    lifecycle = stage.launch(scripted_streamer.healthy)
    stage.until_reported()
    assert lifecycle.end(time.monotonic(), Step.DRAIN) is Step.DRAIN
    assert stage.telemetry.send("streamer-1", Command("1", "drain", 5.0))
    exited = stage.until_exited()
    assert (exited.exit_code, exited.expected) == (0, True)
    assert not (stage.directory / "streamer-1.1.stacks").exists()  # an empty dump is no news


def test_an_unanswered_drain_is_followed_by_sigterm(stage: Stage) -> None:
    lifecycle = stage.launch(scripted_streamer.healthy, UNDRAINED)
    stage.until_reported()
    lifecycle.end(time.monotonic(), Step.DRAIN)
    assert stage.until_exited().exit_code == 0
    assert (stage.directory / "flushed").exists()


def test_ignored_sigterm_is_followed_by_a_stack_dump(stage: Stage) -> None:
    lifecycle = stage.launch(scripted_streamer.ignores_term, DEAF_TO_TERM)
    stage.until_reported()
    lifecycle.end(time.monotonic(), Step.TERM)
    exited = stage.until_exited()
    assert (exited.exit_code, exited.expected) == (-signal.SIGABRT, False)  # that was no drain
    assert "ignores_term" in stage.stacks()
    assert (stage.directory / "streamer-1.1.stacks").stat().st_mode & 0o777 == 0o600


def test_a_process_that_ignores_everything_is_killed(stage: Stage) -> None:
    # faulthandler does not take over an ignored SIGABRT that the target set after it
    lifecycle = stage.launch(scripted_streamer.ignores_all, DEAF_TO_ALL)
    stage.until_reported()
    lifecycle.end(time.monotonic(), Step.TERM)
    assert stage.until_exited().exit_code == -signal.SIGKILL


def test_a_stopped_process_is_woken_to_dump_its_stacks(stage: Stage) -> None:
    lifecycle = stage.launch(scripted_streamer.stops_itself)
    stage.until(lambda: psutil.Process(stage.pid).status() == psutil.STATUS_STOPPED)
    lifecycle.end(time.monotonic(), Step.ABORT)
    assert stage.until_exited().exit_code == -signal.SIGABRT
    assert "stops_itself" in stage.stacks()


def test_stacks_are_dumped_while_c_code_holds_the_gil(stage: Stage) -> None:
    lifecycle = stage.launch(scripted_streamer.holds_gil, DEAF_TO_TERM)
    stage.until_reported()
    heard_at = time.monotonic()

    def silent() -> bool:
        nonlocal heard_at
        if stage.telemetry.receive():
            heard_at = time.monotonic()
        return time.monotonic() > heard_at + 1.0  # twenty reports are missing

    stage.until(silent)
    lifecycle.end(time.monotonic(), Step.TERM)
    assert stage.until_exited().exit_code == -signal.SIGABRT
    assert stage.stacks().count("hread 0x") >= 2


def test_the_whole_family_goes(stage: Stage) -> None:
    lifecycle = stage.launch(scripted_streamer.has_family)
    stage.until_reported()
    family = psutil.Process(stage.pid).children(recursive=True)
    assert len(family) == 2
    lifecycle.end(time.monotonic(), Step.TERM)
    stage.until_exited()
    assert [process for process in family if lives(process)] == []


def test_a_crash_leaves_no_grandchild_in_the_session(stage: Stage) -> None:
    lifecycle = stage.launch(scripted_streamer.has_family)
    stage.until_reported()
    family = psutil.Process(stage.pid).children(recursive=True)
    lifecycle.child.send(signal.SIGKILL)  # type: ignore[union-attr]
    exited = stage.until_exited()
    assert (exited.exit_code, exited.expected) == (-signal.SIGKILL, False)
    left = [process for process in family if lives(process)]
    assert len(left) == 1  # only a subreaper, which the service is, finds a session of its own
    left[0].kill()


def test_a_hurried_ending_skips_the_graces(stage: Stage) -> None:
    lifecycle = stage.launch(scripted_streamer.ignores_term)
    stage.until_reported()
    lifecycle.end(time.monotonic(), Step.DRAIN)
    assert lifecycle.end(time.monotonic(), Step.TERM) is Step.TERM
    assert lifecycle.end(time.monotonic(), Step.DRAIN) is None  # never back
    lifecycle.end(time.monotonic(), Step.KILL)
    exited = stage.until_exited()
    assert (exited.exit_code, exited.expected) == (-signal.SIGKILL, True)


def test_a_diagnosis_leaves_the_process_alive(stage: Stage) -> None:
    lifecycle = stage.launch(scripted_streamer.healthy)
    stage.until_reported()
    lifecycle.diagnose()
    stage.until(lambda: "healthy" in stage.stacks())
    stage.telemetry.receive()
    stage.until_reported()
    lifecycle.end(time.monotonic(), Step.TERM)
    assert stage.until_exited().exit_code == 0


def test_the_next_generation_follows(stage: Stage) -> None:
    lifecycle = stage.launch(scripted_streamer.fails_at_once)
    assert stage.until_exited().exit_code == 7
    launched = lifecycle.launch(time.monotonic(), time.time())
    stage.pid = launched.pid
    assert launched.generation == 2
    assert stage.until_exited().generation == 2


def test_no_signal_that_asks_for_something_kills_a_child_at_any_moment(stage: Stage) -> None:
    lifecycle = stage.launch(scripted_streamer.healthy)
    reported = False
    while not reported:  # from the very first moment on
        ask_in_every_way(lifecycle)
        time.sleep(0.001)
        reported = bool(stage.telemetry.receive())
        assert lifecycle.advance(time.monotonic(), time.time()) is None, "it was killed"
    assert "hread 0x" in stage.stacks()
    lifecycle.end(time.monotonic(), Step.TERM)
    exited = None
    while exited is None:  # to the very last
        ask_in_every_way(lifecycle)
        time.sleep(0.001)  # a dump takes it longer
        exited = lifecycle.advance(time.monotonic(), time.time())
    assert exited.exit_code == 0


def ask_in_every_way(lifecycle: Lifecycle) -> None:
    """Send every signal that asks a child for something and must not end it."""
    lifecycle.diagnose()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
        if lifecycle.child is not None:
            lifecycle.child.send(number)
