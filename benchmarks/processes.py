"""Processes that are measured from outside: what they cost, what they say, and their end."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_LOOK_SECONDS = 0.2  # at others, while one says nothing
_CPU_CLOCK = 2  # CPUCLOCK_SCHED of linux/posix-timers.h: all threads, in nanoseconds


class NotMeasured(Exception):  # noqa: N818 - an outcome of a part, told in its place
    """A part could not be measured; the text says why."""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that all threads of a process have used, ended ones included."""
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)  # what clock_getcpuclockid(3) computes


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process. Raises OSError when it is gone."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def children(pid: int) -> list[int]:
    """Return the direct children of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def command_line(pid: int) -> str:
    """Return how a process was started, empty for a zombie."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


class Child:
    """A `python -m MODULE` while the block lasts, which may speak JSON lines on its stdout.

    What it writes to stderr goes to a file, whose end is part of every NotMeasured.
    """

    def __init__(self, log_file: Path, module: str, *arguments: object) -> None:
        self.module = module
        self._log_file = log_file
        self._command: Sequence[str] = [sys.executable, "-m", module, *map(str, arguments)]
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Child:
        environment: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self._log_file.open("w") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
            )
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def ask(self, **words: object) -> None:
        """Send it a JSON line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")

    def hear(self, within_seconds: float, needed: Child | None = None) -> dict[str, Any]:
        """Return its next JSON line.

        Raises NotMeasured at the deadline, when it ends, and when a `needed` other one ends.
        """
        deadline = time.monotonic() + within_seconds
        while True:
            try:
                line = self._lines.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if needed is not None and needed.ended:
                    raise needed.failed("ended") from None
                if time.monotonic() >= deadline:
                    raise self.failed(f"said nothing for {within_seconds:g} s") from None
                continue
            if line is None:
                raise self.failed("ended")
            words: dict[str, Any] = json.loads(line)
            return words

    def wait(self, within_seconds: float) -> int:
        """Return its exit code. Raises NotMeasured at the deadline."""
        try:
            return self._process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            raise self.failed(f"did not end within {within_seconds:g} s") from None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def failed(self, what: str) -> NotMeasured:
        """Return the exception for something that it did, with the last lines of its log."""
        tail = "".join(self._log_file.read_text(errors="replace").splitlines(keepends=True)[-8:])
        return NotMeasured(f"{self.module} {what}; its log ends:\n{tail}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)
