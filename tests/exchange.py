"""A simulated exchange for a test: a process of its own, asked and told over HTTP.

Uses the standard library only, so that what it says owes nothing to the code under test.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.waiting import WITHIN_SECONDS, eventually

_START_SECONDS = WITHIN_SECONDS  # imports take long on a busy machine
_ANSWER_SECONDS = WITHIN_SECONDS
_END_SECONDS = 5.0


class Exchange:
    """`python -m simulator` while the block lasts; its log is `simulator.log` in the directory."""

    websocket_url: str
    rest_url: str
    control_url: str
    ca_file: Path | None

    def __init__(
        self,
        directory: Path,
        *,
        rate: float = 100,
        symbols: Iterable[str] = ("BTCUSDT", "ETHUSDT", "BNBUSDT"),
        extra: Iterable[str] = (),
        network: Iterable[str] = (),
    ) -> None:
        """`network` is a command that runs another one in a network of its own."""
        self.log_file = directory / "simulator.log"
        self.symbols = list(symbols)
        self._command = [
            *network,
            sys.executable, "-m", "simulator", "--die-with-parent",
            "--directory", str(directory / "exchange"),
            "--rate", str(rate), "--symbols", ",".join(self.symbols), *extra,
        ]  # fmt: skip
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Exchange:
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True,
                cwd=Path(__file__).parents[1],
            )  # fmt: skip
        try:
            addresses = json.loads(self._first_line(self.process))
        except BaseException:
            self.stop()
            raise
        self.websocket_url = addresses["websocket_url"]
        self.rest_url = addresses["rest_url"]
        self.control_url = addresses["control_url"]
        self.ca_file = Path(addresses["ca_file"]) if addresses["ca_file"] else None
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> int | None:
        """End the process, if need be by force, and return its exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.returncode

    def fault(self, kind: str, **arguments: str | float) -> dict[str, Any]:
        """Plan a fault (at once, or `at` seconds from now) and return its record."""
        body = json.dumps({"kind": kind, **arguments}).encode()
        record: dict[str, Any] = json.loads(self._ask("/faults", body))
        return record

    def end(self, number: int) -> dict[str, Any]:
        """End a fault before its time and return its record once it is over."""
        self._ask(f"/faults/{number}", method="DELETE")
        return self.happened(number)

    def faults(self) -> list[dict[str, Any]]:
        """Return what each fault did so far."""
        records: list[dict[str, Any]] = json.loads(self._ask("/faults"))
        return records

    def begun(self, number: int, within_seconds: float = WITHIN_SECONDS) -> dict[str, Any]:
        """Return the record of a fault once it is at work; fails after a deadline."""
        return self._record(number, "happened_at", within_seconds)

    def happened(self, number: int, within_seconds: float = WITHIN_SECONDS) -> dict[str, Any]:
        """Return the record of a fault once it is over; fails after a deadline."""
        return self._record(number, "ended_at", within_seconds)

    def tape(
        self,
        stream: str,
        symbol: str,
        from_id: int | None = None,
        to_id: int | None = None,
        *,
        time_unit: str = "MICROSECOND",
    ) -> list[dict[str, Any]]:
        """Return the payloads of a stream, ids inclusive, up to now."""
        query = {"stream": stream, "symbol": symbol, "time_unit": time_unit}
        query |= {} if from_id is None else {"from_id": str(from_id)}
        query |= {} if to_id is None else {"to_id": str(to_id)}
        text = self._ask(f"/tape?{urllib.parse.urlencode(query)}")
        return [json.loads(line) for line in text.splitlines()]

    def connections(self) -> list[dict[str, Any]]:
        """Return the live connections."""
        connections: list[dict[str, Any]] = json.loads(self._ask("/connections"))
        return connections

    def events_sent(self) -> int:
        """Return how many events the newest connection has got, once there is one."""
        connections = eventually(self.connections, what="a connection")
        return int(connections[-1]["events_sent"])

    def status(self) -> dict[str, Any]:
        """Return the exchange's own view of itself."""
        status: dict[str, Any] = json.loads(self._ask("/status"))
        return status

    def _record(self, number: int, key: str, within_seconds: float) -> dict[str, Any]:
        def known() -> dict[str, Any] | None:
            record = next(each for each in self.faults() if each["number"] == number)
            so_far = record[key] is not None and record[key] <= self.status()["time"]
            return record if so_far else None

        record: dict[str, Any] = eventually(
            known, within=within_seconds, what=f"{key} of fault {number}", every=0.02
        )
        return record

    def _ask(self, path: str, body: bytes | None = None, method: str | None = None) -> bytes:
        request = urllib.request.Request(self.control_url + path, data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode()) from None

    def _first_line(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
        line = process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError(f"the simulator did not start:\n{self.log_file.read_text()}")
        return line
