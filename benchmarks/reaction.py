"""How soon a breach is acted on, seen from outside: /proc, and the exchange's own view."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.leaking import RATE_VARIABLE
from benchmarks.processes import Child, NotMeasured, rss_bytes
from benchmarks.supervised import soak, streamer_of, wait_for_connections
from benchmarks.table import Row, Table
from tests.exchange import Exchange

_LOOK_EVERY_SECONDS = 0.002
_DEADLINE_SECONDS = 40.0
_STREAMING_SECONDS = 3.0  # after the first connection: reports are coming
_CEILING_MIB = 100  # a healthy streamer has less than half
_MIB = 1 << 20
_KILL_FACTOR = 1.2  # of the ceiling, see monitor/rules.py
_SLOW_LEAK, _FAST_LEAK = "10", "400"  # MiB/s: stays below the factor for two seconds, or jumps it
_STALE_SECONDS = 3.0
_HEARTBEAT_SECONDS = 10.0  # see monitor/rules.py
_SYMBOL = "BTCUSDT"
_PROFILE = f"""\
base = "smoke"
duration = "60s"
memory_ceiling = "{_CEILING_MIB}MiB"
memory_high = "{_CEILING_MIB}MiB"
"""


def measure(directory: Path, rounds: int) -> Table:
    """Return the seconds from each breach to what follows."""
    profile = directory / "ceiling.toml"
    profile.write_text(_PROFILE)
    number = iter(range(1000))

    def repeated(once: Callable[[Path], float]) -> list[float]:
        seconds = []
        for _ in range(rounds):
            scratch = directory / f"{next(number)}"
            scratch.mkdir()
            seconds.append(once(scratch))
        return seconds

    return Table(
        f"Reaction, {rounds} rounds",
        [
            Row.of(
                "RSS above the ceiling → streamer gone (TERM, flush)",
                "s",
                repeated(lambda scratch: _ceiling(scratch, profile, _SLOW_LEAK, 1.0)),
                "< 2 + flush",
            ),
            Row.of(
                f"RSS above {_KILL_FACTOR} × the ceiling → streamer gone (KILL)",
                "s",
                repeated(lambda scratch: _ceiling(scratch, profile, _FAST_LEAK, _KILL_FACTOR)),
                "< 2",
            ),
            Row.of(
                "streamer stopped for longer than the heartbeat → first signal",
                "s",
                repeated(_stopped),
                "< 2",
            ),
            Row.of(
                "stream silent for longer than stale_after → second connection",
                "s",
                repeated(_silent),
                "< 2 + REST",
            ),
        ],
    )


def _ceiling(directory: Path, profile: Path, leak: str, factor: float) -> float:
    """Return the seconds from the first moment above factor × ceiling to the streamer's end."""
    os.environ[RATE_VARIABLE] = leak
    limit = int(_CEILING_MIB * factor) * _MIB
    with (
        Exchange(directory) as exchange,
        soak(directory, exchange, profile, module="benchmarks.leaking") as supervisor,
    ):
        streamer = streamer_of(supervisor)
        breached = _when(lambda: _rss_or_zero(streamer) > limit, supervisor, "grew")
        return _when(lambda: _is_gone(streamer), supervisor, "was ended") - breached


def _stopped(directory: Path) -> float:
    """Return the seconds from a heartbeat's deadline to the first signal that waits for it."""
    with Exchange(directory) as exchange, soak(directory, exchange, "smoke") as supervisor:
        streamer = streamer_of(supervisor)
        wait_for_connections(exchange, supervisor, 1)
        time.sleep(_STREAMING_SECONDS)
        os.kill(streamer, signal.SIGSTOP)
        breached = time.monotonic() + _HEARTBEAT_SECONDS  # or up to a report's second before
        signalled = _when(lambda: _has_pending_signal(streamer), supervisor, "was signalled")
        return signalled - breached


def _silent(directory: Path) -> float:
    """Return the seconds from the end of a stream's patience to the exchange's next connection."""
    with (
        Exchange(directory) as exchange,
        soak(
            directory, exchange, "smoke", connection__stale_after=f"{_STALE_SECONDS:g}s"
        ) as supervisor,
    ):
        wait_for_connections(exchange, supervisor, 1)
        time.sleep(_STREAMING_SECONDS)
        exchange.fault("stall", symbol=_SYMBOL, duration=_DEADLINE_SECONDS)
        breached = time.monotonic() + _STALE_SECONDS
        return wait_for_connections(exchange, supervisor, 2) - breached


def _when(condition: Callable[[], bool], supervisor: Child, what: str) -> float:
    """Return the monotonic time at which a condition becomes true."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return time.monotonic()
        time.sleep(_LOOK_EVERY_SECONDS)
    raise supervisor.failed(f"has a streamer that never {what}")


def _rss_or_zero(pid: int) -> int:
    try:
        return rss_bytes(pid)
    except (OSError, IndexError):
        raise NotMeasured("the streamer ended before it was above the ceiling") from None


def _status(pid: int) -> dict[str, str]:
    """Return /proc/PID/status, empty when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def _is_gone(pid: int) -> bool:
    return _status(pid).get("State", "X")[0] in "XZ"


def _has_pending_signal(pid: int) -> bool:
    """Return whether a signal waits for a stopped process: another one than what stops it."""
    pending = int(_status(pid).get("ShdPnd", "0"), 16)
    return bool(pending & ~(1 << signal.SIGSTOP - 1))
