"""What streaming at 100 messages per second costs: the supervised streamer, and its supervisor."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Child, cpu_seconds, rss_bytes
from benchmarks.supervised import soak, streamer_of
from benchmarks.table import Row, Table
from tests.exchange import Exchange

RATE = 100
SETTLE_SECONDS = 10.0  # imports, handshakes and the first blocks of every buffer
_LOOK_EVERY_SECONDS = 1.0
_MEGABYTE = 1_000_000


@dataclass
class _Cost:
    """What one process used between two looks."""

    name: str
    pid: int
    share_budget: float  # % of a core
    memory_budget: int  # MB
    began: float = 0.0
    rss: list[int] = field(default_factory=list)

    def begin(self) -> None:
        self.began = cpu_seconds(self.pid)

    def rows(self, seconds: float) -> list[Row]:
        share = 100 * (cpu_seconds(self.pid) - self.began) / seconds
        megabytes = [size / _MEGABYTE for size in self.rss]
        return [
            Row.of(f"{self.name}, CPU", "% of a core", [share], f"< {self.share_budget:g}"),
            Row.of(f"{self.name}, RSS", "MB", megabytes, f"< {self.memory_budget}"),
        ]


def measure(directory: Path, seconds: float) -> Table:
    """Return the cost of both processes while a soak into Avro files goes on."""
    duration = f"{SETTLE_SECONDS + seconds + 20:g}s"  # it is ended before
    with (
        Exchange(directory, rate=RATE) as exchange,
        soak(directory, exchange, "smoke", "--duration", duration) as supervisor,
    ):
        streamer = streamer_of(supervisor)
        time.sleep(SETTLE_SECONDS)
        costs = [
            _Cost("streamer", streamer, share_budget=1.5, memory_budget=70),
            _Cost("supervisor", supervisor.pid, share_budget=0.5, memory_budget=70),
        ]
        for cost in costs:
            cost.begin()
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            time.sleep(_LOOK_EVERY_SECONDS)
            for cost in costs:
                cost.rss.append(_rss(supervisor, cost.pid))
        elapsed = time.monotonic() - began
        rows = [row for cost in costs for row in cost.rows(elapsed)]
    return Table(f"At {RATE} trades per second, over {elapsed:.0f} s", rows)


def _rss(supervisor: Child, pid: int) -> int:
    try:
        return rss_bytes(pid)
    except (OSError, IndexError):
        raise supervisor.failed("or its streamer ended") from None
