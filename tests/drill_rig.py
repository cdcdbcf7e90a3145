"""What a drill is played on: a simulated exchange, a Vigil, a Prometheus with the alert rules."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from tests.alert_rules import RULES, hurried
from tests.exchange import Exchange
from tests.ports import free_port
from tests.streaming import ROOT
from tests.tools import required
from tests.waiting import eventually

_T = TypeVar("_T")
_WITHIN_SECONDS = 120.0  # for anything: these machines are busy
_STOP_SECONDS = 30.0
_PROMETHEUS = """\
global:
  scrape_interval: {seconds}s
  scrape_timeout: {seconds}s
  evaluation_interval: 1s
rule_files: [{rules}]
scrape_configs:
  - job_name: {job}
    static_configs: [{{targets: {targets}}}]
"""
_HOOKED = ("-m", "tests.integration.hooked_streamer")


class DrillError(AssertionError):
    """Something did not happen in time: says what."""


class Rig:
    """Everything of a drill in one directory; a context manager that leaves no process behind."""

    def __init__(
        self,
        *,
        settings: Mapping[str, object] | None = None,
        streams: tuple[str, ...] = ("trade", "aggTrade"),
        exchange: tuple[str, ...] = (),
        hook: str | None = None,
        hurry: float = 60.0,
        scrape_seconds: int = 1,
        data: Path | None = None,
        piped: bool = False,
        command: tuple[str, ...] = ("run",),
    ) -> None:
        """Plan it. `hurry`: how much faster the rules' time runs; `piped`: the log is a pipe."""
        # A short path: Unix sockets allow 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="vigil-drill-"))
        self.data = data or self.directory / "data"
        self.state = self.directory / "state"
        self.config = self.directory / "vigil.toml"
        self.log = self.directory / "vigil.log"
        self.metrics_port = free_port()
        self.prometheus_port = free_port()
        self.other_ports: list[int] = []  # of others that Prometheus looks at as well
        self.vigil_process: subprocess.Popen[bytes] | None = None
        self._settings = dict(settings or {})
        self._streams = streams
        self._hook = hook
        self._hurry = hurry
        self._scrape_seconds = scrape_seconds
        self._piped = piped
        self._command = [one.format(directory=self.directory) for one in command]
        self.log_is_read = threading.Event()  # of a pipe
        self.log_is_read.set()
        self._prometheus_file = self.directory / "prometheus.yml"
        self._stack = ExitStack()
        self.exchange = Exchange(self.directory, extra=exchange)

    def __enter__(self) -> Self:
        with self._stack as stack:
            stack.enter_context(self.exchange)
            self._write_settings()
            stack.callback(self.stop)
            self.start()
            self._start_prometheus(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
        if exception_type is None:  # else it is evidence
            shutil.rmtree(self.directory, ignore_errors=True)

    # Vigil -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the supervisor, as systemd would."""
        program = [*_HOOKED, self._hook] if self._hook else ["-m", "supervisor"]
        with self._log() as log:
            self.vigil_process = subprocess.Popen(
                [sys.executable, *program, "--config", str(self.config), *self._command],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=self.environment,
            )

    def _log(self) -> BinaryIO:
        """Return what the supervisor writes its log to."""
        if not self._piped:
            return self.log.open("ab")
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)  # the least that there is
        threading.Thread(target=self._read_log, args=(reading,), daemon=True).start()
        return os.fdopen(writing, "wb")

    def _read_log(self, descriptor: int) -> None:
        while self.log_is_read.wait() and (some := os.read(descriptor, 4096)):
            with self.log.open("ab") as log:
                log.write(some)
        os.close(descriptor)

    def stop(self) -> None:
        """End the supervisor in an orderly way; by force when that takes too long."""
        process = self.vigil_process
        if process is None or process.poll() is not None:
            return
        self.log_is_read.set()
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def run(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Run another program beside Vigil, which is gone with the rig."""
        with (self.directory / "another.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=ROOT, env=self.environment
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def replace_exchange(self) -> None:
        """Let an exchange without any options take the place of this one; Vigil's file has it."""
        self.exchange.stop()
        self.exchange = Exchange(self.directory)
        self._stack.enter_context(self.exchange)
        self._write_settings()

    def kill(self) -> None:
        """End the supervisor at once; its streamer hears of it from the kernel."""
        assert self.vigil_process
        self.vigil_process.kill()
        self.vigil_process.wait()

    def vigil(self, *command: str) -> str:
        """Run a command of the running Vigil and return what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "supervisor", *self.runtime_option, *command],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=self.environment,
            check=False,
        )
        return done.stdout + done.stderr

    def generation(self) -> int:
        """Return how often the streamer was launched; 0 when nobody answers."""
        return sum(int(one["generation"]) for one in self.status().get("streamers", []))

    def streamer_pid(self) -> int:
        """Return the process id of the streamer that lives."""
        pid: int = self.until(
            "a streamer's process",
            lambda: next(
                (one["pid"] for one in self.status().get("streamers", []) if one["up"]), None
            ),
        )
        return pid

    def kill_streamer(self) -> None:
        """End the streamer at once and wait until its supervisor has noticed."""
        pid = self.streamer_pid()
        os.kill(pid, signal.SIGKILL)
        self.until("the end of the streamer", lambda: self._is_gone(pid))

    def _is_gone(self, pid: int) -> bool:
        streamers = self.status().get("streamers")
        return streamers is None or any(one["pid"] != pid or not one["up"] for one in streamers)

    def status(self) -> dict[str, Any]:
        """Return `/status`; empty when nobody answers."""
        try:
            told: dict[str, Any] = json.loads(self.page("/status")[1])
        except ValueError:
            return {}
        return told

    def page(self, path: str) -> tuple[int, str]:
        """Return status and body of a page of the metrics server; 0 when nobody answers."""
        return _get(f"http://127.0.0.1:{self.metrics_port}{path}")

    def change(self, key: str, value: object) -> None:
        """Change a setting in the file; a running Vigil hears of it with `vigil reload`."""
        self._settings[key] = value
        self._write_settings()

    @property
    def runtime_option(self) -> tuple[str, str]:
        """Return how a command finds this Vigil among others."""
        return "--set", f"supervisor.runtime_directory={self.directory / 'run'}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of every process of the drill."""
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    # Prometheus --------------------------------------------------------------------------------

    def scrape(self, job: str) -> None:
        """Have Prometheus look at Vigil under a job's name."""
        rules = (
            RULES
            if self._hurry == 1
            else hurried(self.directory, self._hurry, self._scrape_seconds)
        )
        targets = [f"127.0.0.1:{port}" for port in (self.metrics_port, *self.other_ports)]
        self._prometheus_file.write_text(
            _PROMETHEUS.format(
                rules=rules, job=job, targets=json.dumps(targets), seconds=self._scrape_seconds
            )
        )
        if self._prometheus is not None:
            self._prometheus.send_signal(signal.SIGHUP)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what Prometheus answers to an instant query. Raises DrillError."""
        quoted = urllib.request.quote(expression)  # type: ignore[attr-defined]
        status, body = _get(f"http://127.0.0.1:{self.prometheus_port}/api/v1/query?query={quoted}")
        if status != 200:
            raise DrillError(f"{expression}: {body}")
        series: list[dict[str, Any]] = json.loads(body)["data"]["result"]
        return series

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        body = _get(f"http://127.0.0.1:{self.prometheus_port}/api/v1/alerts")[1]
        told = json.loads(body)["data"]["alerts"]
        return {one["labels"]["alertname"] for one in told if one["state"] == "firing"}

    def ever_fired(self, within: str = "1d") -> set[str]:
        """Return the names of the alerts that have fired at any time within the last `within`."""
        fired = f'last_over_time(ALERTS{{alertstate="firing"}}[{within}])'
        found = self.query(f"count by (alertname) ({fired})")
        return {one["metric"]["alertname"] for one in found}

    _prometheus: subprocess.Popen[bytes] | None = None

    def _start_prometheus(self, stack: ExitStack) -> None:
        program = required("prometheus", "prometheus")
        self.scrape("vigil")
        address = f"127.0.0.1:{self.prometheus_port}"
        with (self.directory / "prometheus.log").open("ab") as log:
            self._prometheus = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._prometheus_file}",
                    f"--storage.tsdb.path={self.directory / 'tsdb'}",
                    f"--web.listen-address={address}",
                    # How long a series without samples counts as there: 5 minutes, faster as well.
                    f"--query.lookback-delta={max(10, round(300 / self._hurry))}s",
                ],
                stdout=log,
                stderr=log,
                cwd=self.directory,
            )
        stack.callback(_end, self._prometheus)
        self.until("Prometheus", lambda: _get(f"http://{address}/-/ready")[0] == 200)

    # ---------------------------------------------------------------------------------------------

    def until(
        self, what: str, done: Callable[[], _T | None], seconds: float = _WITHIN_SECONDS
    ) -> _T:
        """Return what `done` returns once that is true; raises DrillError after a deadline."""
        try:
            found: _T = eventually(
                done,
                within=seconds,
                what=what,
                every=0.2,
                told=lambda: "\n".join(self.log.read_text(errors="replace").splitlines()[-30:]),
                also=(DrillError,),
            )
        except AssertionError as error:
            raise DrillError(str(error)) from error
        return found

    def until_ready(self) -> None:
        """Wait until everything is streamed and stored."""
        self.until(
            f"ready (http://127.0.0.1:{self.metrics_port}/readyz)",
            lambda: self.page("/readyz")[0] == 200,
        )

    def _write_settings(self) -> None:
        exchange = self.exchange
        settings: dict[str, object] = {
            "exchange.websocket_url": exchange.websocket_url,
            "exchange.rest_url": exchange.rest_url,
            "exchange.ca_file": str(exchange.ca_file),
            "exchange.symbols": exchange.symbols,
            "exchange.streams": list(self._streams),
            "connection.stale_after": 15.0,  # a busy machine alone makes no such silence
            "connection.rotation_overlap": 1.0,
            "sink.directory": str(self.data),
            "monitor.metrics_address": f"127.0.0.1:{self.metrics_port}",
            "supervisor.runtime_directory": str(self.directory / "run"),
            "supervisor.state_directory": str(self.state),
            "supervisor.restart_backoff_initial": 0.2,
            "supervisor.restart_backoff_max": 0.5,
            **self._settings,
        }
        tables = [one for one in settings if one.startswith("[[")]
        lines = [f"{key} = {json.dumps(settings[key])}" for key in settings if key not in tables]
        for name in tables:
            entry = settings[name]
            assert isinstance(entry, dict)
            lines += [name, *(f"{key} = {json.dumps(value)}" for key, value in entry.items())]
        self.config.write_text("\n".join(lines) + "\n")


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
