"""A lone streamer as a process, for tests: started as a user would, watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.waiting import WITHIN_SECONDS, eventually

__all__ = ["ROOT", "Process", "at_exchange", "eventually"]

ROOT = Path(__file__).resolve().parent.parent


def at_exchange(exchange: Any, **more: Any) -> list[str]:
    """Return `--set` arguments that point at a simulated exchange, and further settings."""
    settings = {
        "exchange.websocket_url": exchange.websocket_url,
        "exchange.rest_url": exchange.rest_url,
        "exchange.symbols": ",".join(exchange.symbols),
    }
    if exchange.ca_file is not None:
        settings["exchange.ca_file"] = str(exchange.ca_file)
    settings |= {key.replace("__", "."): str(value) for key, value in more.items()}
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


class Process:
    """A `python -m MODULE` while the block lasts; output in `output_file`. Ended for sure."""

    def __init__(
        self,
        output_file: Path,
        module: str,
        *arguments: str | Path,
        environment: Mapping[str, str] | None = None,
        end_within: float = WITHIN_SECONDS,
    ) -> None:
        self.output_file = output_file
        self._command = [sys.executable, "-m", module, *map(str, arguments)]
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        self._end_within = end_within
        self.process: subprocess.Popen[bytes]

    def configure(self, file: Path, *keys: str) -> None:
        """Have a file of settings decide these, and no `--set`, which would for ever."""
        command = self._command
        for key in keys:
            at = next(i for i, one in enumerate(command) if one.startswith(f"{key}="))
            del command[at - 1 : at + 1]
        command += ["--config", str(file)]

    def __enter__(self) -> Process:
        with self.output_file.open("ab") as output:
            self.process = subprocess.Popen(
                self._command, stdout=output, stderr=output, cwd=ROOT, env=self._environment
            )
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(self._end_within)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def output(self) -> str:
        """Everything that it has printed so far."""
        return self.output_file.read_text(errors="replace")

    @property
    def open_files(self) -> list[str]:
        """What its descriptors lead to at this moment: paths, `socket:[…]` and the like."""
        found = []
        for each in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # it was closed just now
                found.append(str(each.readlink()))
        return found

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, within: float | None = None) -> int:
        """Return the exit code; fails, with the output, when it does not end in time."""
        try:
            return self.process.wait(within or self._end_within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end in time:\n{self.output[-4000:]}") from None

    def stop(self, number: signal.Signals = signal.SIGTERM, within: float | None = None) -> int:
        """Send a signal and return the exit code."""
        self.send(number)
        return self.wait(within)
