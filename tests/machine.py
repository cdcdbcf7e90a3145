"""A booted machine for tests: systemd as process 1, a private network with loopback alone.

Its file system is a directory that is never written to: changes go to memory and are gone with
the machine.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.tools import required

_BOOT_SECONDS = 180.0
_END_SECONDS = 20.0


class Machine:
    """A container that boots `root` while the block lasts; commands run in it as root."""

    def __init__(
        self,
        root: Path,
        *,
        binds: dict[Path, str] | None = None,
        writable: dict[Path, str] | None = None,
        target: str = "basic.target",
    ) -> None:
        """`binds` are shown read-only: from here, to there. `target` is what is booted."""
        self._nspawn = required("systemd-nspawn", "systemd-container")
        required("nsenter", "util-linux")
        if os.geteuid() != 0:
            pytest.skip("booting a machine needs root")
        self._root = root
        self._binds = binds or {}
        self._writable = writable or {}
        self._target = target
        self._log = Path(tempfile.mkstemp(prefix="vigil-machine-", suffix=".log")[1])
        self._directory = Path(tempfile.mkdtemp(prefix="vigil-machine-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.leader = 0  # the machine's process 1, as seen from here

    def __enter__(self) -> Machine:
        # The root directory itself is refused, a second name of it is not.
        subprocess.run(["mount", "--bind", self._root, self._directory], check=True)
        command = [
            self._nspawn, "--quiet", "--boot", "--directory", str(self._directory),
            "--volatile=overlay", "--private-network", "--register=no", "--keep-unit",
            "--link-journal=no", "--console=pipe", f"--machine=vigil-{uuid.uuid4().hex[:8]}",
            *(f"--bind-ro={here}:{there}" for here, there in self._binds.items()),
            *(f"--bind={here}:{there}" for here, there in self._writable.items()),
            f"systemd.unit={self._target}",
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Limits of memory work in the unified hierarchy alone.
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        try:
            self._wait_for_boot(self._process)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def network(self) -> list[str]:
        """What to put before a command of this machine, so that it uses the other's network."""
        return ["nsenter", f"--target={self.leader}", "--net"]

    def path(self, path: str) -> Path:
        """Return where a path of the machine is found from here."""
        return Path(f"/proc/{self.leader}/root") / path.lstrip("/")

    def pid_outside(self, pid: int) -> int:
        """Return what a process of the machine is called here."""
        namespace = Path(f"/proc/{self.leader}/ns/pid").readlink()
        for status in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError):
                numbers = re.search(r"^NSpid:\s+(.*)$", status.read_text(), re.MULTILINE)
                inside = (status.parent / "ns" / "pid").readlink() == namespace
                if inside and numbers and numbers[1].split()[-1] == str(pid):
                    return int(status.parent.name)
        raise ProcessLookupError(pid)

    def run(
        self,
        command: str | Iterable[str],
        *,
        within: float = 120.0,
        check: bool = True,
        directory: str = "/root",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of a shell, or one with its arguments; fail with what it said."""
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        done = subprocess.run(
            [*self._entering(directory), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(
                f"{shlex.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}\n"
                f"{self.journal()}"
            )
        return done

    def popen(self, words: Iterable[str]) -> subprocess.Popen[bytes]:
        """Start a command, which the caller ends: it is the process itself, of our PIDs."""
        entering = [word for word in self._entering() if word != "--pid"]  # that would fork
        return subprocess.Popen(
            [*entering, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def write(self, path: str, text: str, mode: str = "0644", owner: str = "root:root") -> None:
        """Make a file in the machine."""
        quoted = shlex.quote(text)
        self.run(f"printf %s {quoted} > {path} && chmod {mode} {path} && chown {owner} {path}")

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Return what systemd says of a unit."""
        lines = self.run(["systemctl", "show", unit, f"--property={','.join(names)}"]).stdout
        return dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)

    def entries(self, unit: str) -> list[dict[str, Any]]:
        """Return the entries of the journal that are shown for a unit, oldest first."""
        self.run("journalctl --sync")
        told = self.run(["journalctl", "--unit", unit, "--output", "json", "--no-pager", "--all"])
        return [json.loads(line) for line in told.stdout.splitlines()]

    def journal(self, lines: int = 60) -> str:
        """Return the end of the journal, for the message of a failure."""
        done = subprocess.run(
            [
                "nsenter",
                f"--target={self.leader}",
                "--all",
                "journalctl",
                "--no-pager",
                "--output",
                "short-precise",
                "--lines",
                str(lines),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.stdout + done.stderr

    def _entering(self, directory: str = "/root") -> list[str]:
        return [
            "nsenter",
            f"--target={self.leader}",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--root",
            "env",
            f"--chdir={directory}",
            "-i",
            "HOME=/root",
            "LANG=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]

    def _wait_for_boot(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _BOOT_SECONDS
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        state = ""
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError, IndexError, ValueError):
                self.leader = int(children.read_text().split()[0])
                done = self.run(["systemctl", "is-system-running"], check=False, within=20)
                state = done.stdout.strip()
                if state in {"running", "degraded"}:
                    return
            time.sleep(0.05)
        pytest.fail(f"the machine did not boot ({state}):\n{self._log.read_text()}")

    def _stop(self) -> None:
        if self._process is not None:
            if self.leader:
                # The process 1 of a container ends it at once, with all that runs in it.
                with suppress(ProcessLookupError):
                    os.kill(self.leader, 9)
            else:
                self._process.terminate()
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        subprocess.run(["umount", "--lazy", self._directory], check=False)
        with suppress(OSError):
            self._directory.rmdir()
        self._log.unlink(missing_ok=True)
