"""Detached processes that later invocations find again, and end for certain."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.05  # small beside the second that a JVM takes for anything
_KILL_SECONDS = 10.0  # SIGKILL waits for the kernel only; longer means a stuck disk


@dataclass(frozen=True, slots=True)
class Process:
    """A process by number and start time, so that a recycled number is never taken for it."""

    pid: int
    started_ticks: int  # since boot, field 22 of /proc/PID/stat

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """Return the live process of that number; None when there is none, or a zombie."""
        try:
            # The command's name stands in parentheses and may hold anything.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @classmethod
    def read(cls, pid_file: Path) -> "Process | None":
        """Return the live process that a pid file names."""
        try:
            pid, started_ticks = map(int, pid_file.read_text().split())
        except FileNotFoundError:
            return None
        process = cls(pid, started_ticks)
        return process if process.alive else None

    @property
    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        return Process.of(self.pid) == self

    def send(self, signal_number: int) -> None:
        """Send a signal; to nobody when the process is gone."""
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(self.pid)
            try:
                if self.alive:  # checked after the descriptor is held: it cannot be recycled now
                    signal.pidfd_send_signal(descriptor, signal_number)
            finally:
                os.close(descriptor)


def spawn(
    command: Sequence[str], directory: Path, log: Path, environment: Mapping[str, str]
) -> Process:
    """Start a process in a session of its own, its output appended to a log, its pid in a file."""
    directory.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    process = Process.of(child.pid) or Process(child.pid, 0)  # 0: it has ended already
    (directory / "pid").write_text(f"{process.pid} {process.started_ticks}\n")
    return process


def end(processes: Iterable[Process], grace_seconds: float) -> None:
    """Ask all to end, kill after the grace what has not, and wait until all are gone."""
    remaining = list(processes)
    for signal_number, patience in (
        (signal.SIGTERM, grace_seconds),
        (signal.SIGKILL, _KILL_SECONDS),
    ):
        for process in remaining:
            process.send(signal_number)
            process.send(signal.SIGCONT)  # a stopped process cannot end
        deadline = time.monotonic() + patience
        while (remaining := [item for item in remaining if item.alive]) and (
            time.monotonic() < deadline
        ):
            time.sleep(_POLL_SECONDS)
        if not remaining:
            return
    numbers = ", ".join(str(process.pid) for process in remaining)
    raise TimeoutError(f"SIGKILL did not end {numbers}: see /proc/PID/stack for what it waits on")


def wait_for_end(pid: int, timeout_seconds: float) -> bool:
    """Wait for any process to end; True when it has."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], timeout_seconds)[0])
    finally:
        os.close(descriptor)
