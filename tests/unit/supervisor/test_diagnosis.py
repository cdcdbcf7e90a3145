"""A bundle in the making: looks asked for, evidence from outside, the archive, what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamer.messages import CommandResult
from supervisor.diagnosis import Diagnoses, Diagnosis, Subject
from tests.waiting import WITHIN_SECONDS, eventually

PATIENCE_SECONDS = WITHIN_SECONDS


class Stage:
    """Diagnoses of a process that is there, and of a streamer that answers when it is told to."""

    def __init__(self, directory: Path) -> None:
        self.asked: list[tuple[str, str]] = []
        self.reachable = True
        self.place = directory / "state"
        self.place.mkdir()
        (directory / "streamer-1.recent.log.1").write_text("before\n")
        (directory / "streamer-1.recent.log").write_text("last words\n")
        self.stacks = directory / "streamer-1.1.stacks"
        known = {"settings.json": '{"masked": true}', "status.json": "{}"}
        self.diagnoses = Diagnoses(self.place, directory, self._ask, lambda: known)

    def begin(self, pid: int, *, looks: int = 0, within: float = 5.0) -> Diagnosis:
        return self.diagnoses.begin(
            Subject("streamer-1", 1, pid, self.stacks),
            "rss is too high",
            0.0,
            lambda: self.stacks.write_text("Current thread 0x1\n"),
            looks=looks,
            look_every_seconds=1.0,
            within_seconds=within,
        )

    def answer(self, number: int, now: float, *, ok: bool = True, looks: int = 1) -> None:
        self.diagnoses.answered(CommandResult(f"id-{number}", ok, "", {"looks": looks}), now)

    def _ask(self, name: str, now: float, directory: str) -> str | None:
        self.asked.append((name, directory))
        return f"id-{len(self.asked)}" if self.reachable else None


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    code = "import time; print('up', flush=True); time.sleep(300)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def until(done: Callable[[], object]) -> None:
    eventually(done, every=0.005)


def contents(archive: Path | None) -> dict[str, str]:
    assert archive is not None
    with tarfile.open(archive) as tar:
        return {
            Path(one.name).name: tar.extractfile(one).read().decode()  # type: ignore[union-attr]
            for one in tar
        }


def test_a_bundle_has_what_is_known_and_what_is_seen(
    stage: Stage, process: subprocess.Popen[bytes]
) -> None:
    process.send_signal(signal.SIGSTOP)  # it answers nothing
    diagnosis = stage.begin(process.pid)
    until(lambda: diagnosis.seen(0.0))
    until(diagnosis.packed.is_set)
    kept = contents(diagnosis.archive)
    assert "VmRSS" in kept["status.txt"]
    assert "Private_Dirty" in kept["smaps_rollup.txt"]
    assert "anonymous" in kept["mappings.txt"]
    assert f"{process.pid} " in kept["threads.txt"]
    assert kept["stacks.txt"] == "Current thread 0x1\n"
    assert kept["streamer-1.log"] == "before\nlast words\n"
    assert json.loads(kept["settings.json"]) == {"masked": True}
    assert json.loads(kept["reason.json"])["reason"] == "rss is too high"
    assert stage.asked == []
    assert diagnosis.archive is not None
    assert diagnosis.archive.stat().st_mode & 0o777 == 0o600
    assert list(stage.place.iterdir()) == [diagnosis.archive]  # nothing unpacked is left


def test_a_streamer_is_asked_twice_and_waited_for(stage: Stage) -> None:
    diagnosis = stage.begin(os.getpid(), looks=2)
    until(diagnosis.outside.is_set)
    assert len(stage.asked) == 1
    assert stage.asked[0][1] == str(diagnosis.directory)
    assert not diagnosis.seen(0.5)
    stage.answer(1, 0.5)
    stage.diagnoses.turn(1.4)
    assert len(stage.asked) == 1
    assert stage.diagnoses.next_at == 1.5
    stage.diagnoses.turn(1.5)
    assert len(stage.asked) == 2
    stage.answer(7, 1.6)  # to somebody else
    assert not diagnosis.seen(1.6)
    stage.answer(2, 1.6, looks=2)
    assert diagnosis.seen(1.6)
    until(diagnosis.packed.is_set)


def test_who_has_looked_before_is_asked_once(stage: Stage) -> None:
    diagnosis = stage.begin(os.getpid(), looks=2)
    stage.answer(1, 0.5, looks=4)
    assert diagnosis.told
    until(diagnosis.packed.is_set)
    assert len(stage.asked) == 1


@pytest.mark.parametrize("manner", ["silent", "refuses", "cannot be reached"])
def test_a_streamer_that_tells_nothing_holds_nothing_up(stage: Stage, manner: str) -> None:
    stage.reachable = manner != "cannot be reached"
    diagnosis = stage.begin(os.getpid(), looks=2, within=1.0)
    if manner == "refuses":
        stage.answer(1, 0.1, ok=False)
    until(diagnosis.outside.is_set)
    assert diagnosis.seen(1.0)
    stage.diagnoses.turn(1.0)
    until(diagnosis.packed.is_set)
    assert "VmRSS" in contents(diagnosis.archive)["status.txt"]


def test_a_process_that_is_gone_leaves_a_note(stage: Stage) -> None:
    diagnosis = stage.begin(2**22 + 1)  # above the highest PID that Linux gives
    until(diagnosis.packed.is_set)
    assert "not readable: No such file" in contents(diagnosis.archive)["smaps_rollup.txt"]


def test_a_full_or_missing_disk_holds_no_ending_up(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.place.rmdir()
    diagnosis = stage.begin(os.getpid(), looks=2)
    assert diagnosis.seen(0.0)
    assert diagnosis.packed.is_set()
    assert diagnosis.archive is None
    assert "streamer-1: no diagnosis: " in caplog.text


def test_the_end_waits_for_what_is_being_packed(stage: Stage) -> None:
    diagnosis = stage.begin(os.getpid(), looks=2)  # and nobody answers
    stage.diagnoses.finish(PATIENCE_SECONDS)
    assert diagnosis.archive is not None
