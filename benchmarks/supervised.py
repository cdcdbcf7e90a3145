"""A soak under the supervisor, as a user starts it, for parts that look at it from outside."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.processes import Child, children, command_line
from tests.exchange import Exchange

_START_SECONDS = 30.0
_POLL_SECONDS = 0.02


def soak(
    directory: Path,
    exchange: Exchange,
    profile: str | Path,
    *arguments: str,
    module: str = "supervisor",
    **settings: str,
) -> Child:
    """Return the supervisor of a soak; `settings` are written with __ for the dot."""
    all_settings = {
        "exchange.websocket_url": exchange.websocket_url,
        "exchange.rest_url": exchange.rest_url,
        "exchange.ca_file": str(exchange.ca_file),
        "exchange.symbols": ",".join(exchange.symbols),
        "sink.directory": str(directory / "records"),
        "monitor.metrics_address": "127.0.0.1:0",
        "supervisor.runtime_directory": str(directory / "run"),
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    assignments = [f"--set={key}={value}" for key, value in all_settings.items()]
    ending = ["soak", "--profile", profile, "--output", directory / "profile.json"]
    log_file = directory / "supervisor.log"
    return Child(log_file, module, *assignments, *ending, *arguments)


def streamer_of(supervisor: Child) -> int:
    """Return the process id of the streamer, once it is there."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not supervisor.ended:
        for pid in children(supervisor.pid):
            if "spawn_main" in command_line(pid):  # not multiprocess's resource tracker
                return pid
        time.sleep(_POLL_SECONDS)
    raise supervisor.failed("launched no streamer")


def wait_for_connections(exchange: Exchange, supervisor: Child, attempts: int) -> float:
    """Return the monotonic time at which the exchange has seen so many connections come."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not supervisor.ended:
        if exchange.status()["attempts_total"] >= attempts:
            return time.monotonic()
        time.sleep(_POLL_SECONDS)
    raise supervisor.failed(f"did not open connection {attempts}")
