"""How many streamers a run has: as it is set, or by cores and streams.

The bound by streams is what one connection carries. A streamer is far from full with it: it is
where a second process begins to help a start, which has to back-fill them one after another.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from streamer.config import ExchangeConfig
from streamer.data.binance_spot import STREAMS_PER_CONNECTION
from streamer.listing.listing_file import ListingFile
from streamer.listing.patterns import SymbolPatterns
from streamer.shards.count import recorded_count, undelivered
from streamer.shards.directories import directories
from supervisor.settings import STREAMERS_MAX, Settings

SYMBOLS_UNKNOWN: Final = 1500
"""Taken for what patterns choose while no list of what trades was kept: all that traded in 2026."""
SUPERVISOR_BYTES: Final = 90 << 20
"""Of a supervisor and its resource tracker, rounded up."""
_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")

log = logging.getLogger(__name__)


def count_in_effect(settings: Settings) -> int:
    """Return how many streamers this run has. Raises SinkUnavailable.

    While records of another number of them wait on disk for Kafka, that number stays: it is they
    who deliver them.
    """
    wanted, root = wanted_count(settings), settings.sink.directory
    if settings.group.enabled and settings.streamers.count == "auto":
        log.warning(
            'streamers.count = "auto" counts the streams of the whole group, of which this machine '
            "has a share: %d; give a number",
            wanted,
        )
    before = recorded_count(root)
    if wanted == before or not (left := undelivered(root, before)):
        return wanted
    log.warning(
        "streamers.count: %d until the next start, not %d: records wait for Kafka in %s",
        before,
        wanted,
        ", ".join(map(str, left)),
    )
    return before


def wanted_count(settings: Settings) -> int:
    """Return how many streamers the settings want on this machine."""
    count = settings.streamers.count
    if isinstance(count, int):
        return count
    symbols = _symbols(settings.exchange, settings.sink.directory)
    return automatic_count(available_cores(), symbols * len(settings.exchange.streams))


def automatic_count(cores: int, streams: int) -> int:
    """Return one per connection's worth of streams, at most one per core."""
    return max(1, min(cores, -(-streams // STREAMS_PER_CONNECTION), STREAMERS_MAX))


def available_cores(
    own_cgroup: Path = _OWN_CGROUP, cgroups: Path = _CGROUPS, affinity: int | None = None
) -> int:
    """Return the cores that this process may use: by its affinity, and by quotas of its cgroups."""
    cores = len(os.sched_getaffinity(0)) if affinity is None else affinity
    quotas = [
        _quota_v1(group) if is_v1 else _quota_v2(group)
        for group, is_v1 in _groups("cpu", own_cgroup, cgroups)
    ]
    return max(1, min([cores, *(int(quota) for quota in quotas if quota is not None)]))


def available_memory(own_cgroup: Path = _OWN_CGROUP, cgroups: Path = _CGROUPS) -> float:
    """Return the bytes from which on the kernel slows or ends processes of ours; inf: none."""
    limits = [
        _bytes(group / name)
        for group, is_v1 in _groups("memory", own_cgroup, cgroups)
        for name in (("memory.limit_in_bytes",) if is_v1 else ("memory.high", "memory.max"))
    ]
    return min(limits, default=math.inf)


def warn_of_memory(count: int, ceiling_bytes: float, available_bytes: float) -> None:
    """Warn where several streamers may need more than the kernel lets them have."""
    needed = count * ceiling_bytes + SUPERVISOR_BYTES
    if count > 1 and available_bytes < needed:
        log.warning(
            "streamers.count: %d may take %.0f MiB, and the control group (MemoryHigh, MemoryMax of"
            " the unit) allows %.0f: raise it, or lower the rule memory ceiling",
            count,
            needed / (1 << 20),
            available_bytes / (1 << 20),
        )


def _groups(controller: str, own_cgroup: Path, cgroups: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the control groups that limit this process, and whether they are of version 1."""
    with suppress(OSError):
        for line in own_cgroup.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            is_v1 = controllers != ""
            if is_v1 and controller not in controllers.split(","):
                continue
            base = cgroups / controller if is_v1 else cgroups
            group = base / path.lstrip("/")
            for one in (group, *group.parents):
                if one.is_relative_to(base):
                    yield one, is_v1


def _bytes(path: Path) -> float:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return math.inf  # `max`, or nobody limits it


def _symbols(exchange: ExchangeConfig, directory: Path) -> int:
    patterns = SymbolPatterns(exchange.symbols)
    if not patterns.need_listing:
        return len(patterns.select(()))
    listings = (ListingFile(one).read().trading for one in directories(directory))
    trading = max(listings, key=len)
    return len(patterns.select(trading)) if trading else SYMBOLS_UNKNOWN


def _quota_v2(group: Path) -> float | None:
    """Return the cores of a cgroup's `cpu.max`, such as `150000 100000`; None: no limit."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (group / "cpu.max").read_text().split()
        return int(quota) / int(period)
    return None


def _quota_v1(group: Path) -> float | None:
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    return None
