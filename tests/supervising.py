"""A supervisor as a process, for tests: started as a user would, nothing left after it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.streaming import ROOT
from tests.waiting import WITHIN_SECONDS, eventually

LAUNCHER = ROOT / "tests" / "integration" / "supervised.py"
DEADLINE_SECONDS = WITHIN_SECONDS
GRACES = dict.fromkeys(("drain_grace", "term_grace", "abort_grace", "kill_grace"), 30.0)
"""For streamers that obey: on a busy machine it takes as long as it takes."""
SHORT_GRACES = {**GRACES, "drain_grace": 2.0, "term_grace": 1.0}
"""For those that use them up; what SIGABRT and SIGKILL do takes its time all the same."""
DEAF = ("ignores_term", "ignores_all", "stops_itself", "holds_gil", "never_reports")


class Supervised:
    """One supervisor with its directory; every process below it carries a token."""

    def __init__(self) -> None:
        # A short path: Unix sockets allow 107 bytes, pytest's own directories can be longer.
        self.directory = Path(tempfile.mkdtemp(prefix="vigil-test-"))
        self.output = self.directory / "profile.json"
        self.log = self.directory / "log"
        self.token = uuid.uuid4().hex
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}  # of each start

    def start(
        self,
        target: str,
        *command: str,
        settings: dict[str, object] | None = None,
        environment: dict[str, str] | None = None,
        launcher: tuple[str, ...] | None = None,
        begin: tuple[str, ...] = (),
    ) -> subprocess.Popen[bytes]:
        graces = SHORT_GRACES if target in DEAF else GRACES
        values: dict[str, object] = {
            "supervisor.runtime_directory": self.directory / "run",
            "supervisor.state_directory": self.directory / "state",
            "supervisor.log_format": "json",
            "supervisor.restart_backoff_initial": 0.1,
            "supervisor.startup_timeout": 300.0,  # imports take long on a busy machine
            "monitor.metrics_address": "127.0.0.1:0",
            "monitor.sample_every": 0.2,
            "telemetry.report_every": 0.1,
            "sink.directory": self.directory,
            **{f"supervisor.{grace}": seconds for grace, seconds in graces.items()},
            **(settings or {}),
        }
        assignments = [f"--set={key}={value}" for key, value in values.items()]
        if command[:1] == ("soak",):
            command = (*command, f"--output={self.output}")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *begin,
                    sys.executable,
                    *(launcher or (str(LAUNCHER), target)),
                    *assignments,
                    *command,
                ],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "VIGIL_TEST_TOKEN": self.token,
                    **self.environment,
                    **(environment or {}),
                },
            )
        return self.process

    @property
    def evidence(self) -> Path:
        """Where the newest run keeps stack dumps, diagnoses and its profile."""
        return self.directory / "state" / "runs" / "latest"

    def until(self, done: Callable[[], Any]) -> Any:
        return eventually(done, within=DEADLINE_SECONDS, every=0.02, told=self.log.read_text)

    def until_logged(self, text: str) -> None:
        self.until(lambda: text in self.log.read_text())

    def exit_code(self) -> int:
        assert self.process
        try:
            return self.process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it goes on and on:\n{self.log.read_text()}")

    def streamer(self) -> psutil.Process:
        """Return the child that leads a session of its own."""

        def found() -> psutil.Process | None:
            assert self.process
            for child in psutil.Process(self.process.pid).children():
                with suppress(ProcessLookupError):
                    if os.getsid(child.pid) == child.pid:
                        return child
            return None

        process: psutil.Process = self.until(found)
        return process

    def profile(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.output.read_text())
        return document

    def remove(self) -> None:
        """Kill what is left, and remove the directory once nothing can write to it any more."""
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(DEADLINE_SECONDS)
        # A process that was killed ends when the kernel comes to it.
        eventually(lambda: not self.left(), within=DEADLINE_SECONDS, what="the end of all")
        shutil.rmtree(self.directory)

    def left(self) -> list[int]:
        """Return the living processes that inherited the token."""
        needle = f"VIGIL_TEST_TOKEN={self.token}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if needle in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found
