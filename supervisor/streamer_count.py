"""How many streamers a run has: as it is set, or by cores and streams.

The bound by streams is what one connection carries. A streamer is far from full with it: it is
where a second process begins to help a start, which has to back-fill them one after another.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from streamer.config import ExchangeConfig
from streamer.data.binance_spot import STREAMS_PER_CONNECTION
from streamer.listing.listing_file import ListingFile
from streamer.listing.patterns import SymbolPatterns
from streamer.shard_count import recorded_count, undelivered
from streamer.shard_directories import directories
from supervisor.settings import STREAMERS_MAX, Settings

SYMBOLS_UNKNOWN: Final = 1500
"""Taken for what patterns choose while no list of what trades was kept: all that traded in 2026."""
_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")

log = logging.getLogger(__name__)


def count_in_effect(settings: Settings) -> int:
    """Return how many streamers this run has. Raises SinkUnavailable.

    While records of another number of them wait on disk for Kafka, that number stays: it is they
    who deliver them.
    """
    wanted, root = wanted_count(settings), settings.sink.directory
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
    with suppress(OSError):
        for line in own_cgroup.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                base, quota_of = cgroups, _quota_v2
            elif "cpu" in controllers.split(","):
                base, quota_of = cgroups / "cpu", _quota_v1
            else:
                continue
            group = base / path.lstrip("/")
            for one in (group, *group.parents):
                if one.is_relative_to(base):
                    quota = quota_of(one)
                    cores = cores if quota is None else min(cores, int(quota))
    return max(cores, 1)


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
