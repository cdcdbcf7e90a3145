"""The rows of `memory_samples`: what all streamers showed in one interval of the profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.counters import Key
from monitor.events import iso
from monitor.generation import Generation
from monitor.model import Sample
from monitor.soak_plans import MIB
from monitor.state import RATED_STREAMS
from streamer.messages import LATENCY_BUCKETS_SECONDS

STREAMS_PER_ROW = 30
"""With more than these a row does not tell of each stream: 30 take 1 MB a day. What a judgement
needs of all of them is in `monitor.stream_records`."""


@dataclass(slots=True)
class Interval:
    """Extremes over the samples of an interval. RSS is always the largest streamer's."""

    rss_min: dict[str, int] = field(default_factory=dict)  # by streamer
    rss_max: dict[str, int] = field(default_factory=dict)
    rss_last: dict[str, int] = field(default_factory=dict)
    vms_last: dict[str, int] = field(default_factory=dict)
    uss_bytes: int | None = None
    pss_bytes: int | None = None
    threads: int = 0
    open_files: int = 0
    age_seconds: float | None = None
    cpu_seconds: float = 0.0
    own: Sample | None = None
    own_from: Sample | None = None
    counts_from: Mapping[Key, int] = field(default_factory=dict)  # all, when it began

    def add(self, sample: Sample, cpu_seconds_before: float) -> None:
        """Take a sample; the process had used `cpu_seconds_before` at the one before."""
        name, rss = sample.streamer, sample.rss_bytes
        self.rss_min[name] = min(self.rss_min.get(name, rss), rss)
        self.rss_max[name] = max(self.rss_max.get(name, rss), rss)
        self.rss_last[name] = rss
        self.vms_last[name] = sample.vms_bytes
        self.threads = max(self.threads, sample.threads)
        self.open_files = max(self.open_files, sample.open_files)
        self.cpu_seconds += sample.cpu_seconds - cpu_seconds_before
        if sample.uss_bytes is not None:
            self.uss_bytes = max(self.uss_bytes or 0, sample.uss_bytes)
            self.pss_bytes = max(self.pss_bytes or 0, sample.pss_bytes or 0)

    def add_age(self, generation: Generation) -> None:
        """Take the ages of a report."""
        for slot in generation.report.slots if generation.report else ():
            if slot.age_seconds is not None:
                self.age_seconds = max(self.age_seconds or 0.0, slot.age_seconds)

    def add_own(self, sample: Sample) -> None:
        """Take a sample of the supervisor itself."""
        self.own = sample
        if self.own_from is None:
            self.own_from = sample

    def next(self, counts: Mapping[Key, int]) -> Interval:
        """Return the interval that follows; `counts` are those of now."""
        return Interval(own_from=self.own, counts_from=counts)


def events_of(counts: Mapping[Key, int]) -> dict[str, int]:
    """Return the events of each stream, by names such as `trade:BTCUSDT`."""
    return {f"{key[1]}:{key[2]}": count for key, count in counts.items() if key[0] == "events"}


def row(
    interval: Interval,
    living: Iterable[Generation],
    counts: Mapping[Key, int],
    elapsed_seconds: float,
    seconds: float,
    time: float,
) -> dict[str, Any]:
    """Return the row of an interval of `seconds` that ended at `elapsed_seconds`."""
    events = events_of(counts)
    scores = [one.leak.latest.score for one in living if one.leak.latest is not None]
    own, own_from = interval.own, interval.own_from
    own_seconds = own.at - own_from.at if own and own_from else 0.0
    return {
        "timestamp": iso(time),
        "elapsed_hours": elapsed_seconds / 3600,
        "rss_mb": max(interval.rss_last.values()) / MIB,
        "vms_mb": max(interval.vms_last.values()) / MIB,
        "messages_received": sum(events.values()),
        "elapsed_seconds": round(elapsed_seconds, 3),
        "rss_min_mb": max(interval.rss_min.values()) / MIB,
        "rss_max_mb": max(interval.rss_max.values()) / MIB,
        "uss_mb": _mb(interval.uss_bytes),
        "pss_mb": _mb(interval.pss_bytes),
        "rated_events": sum(
            count for key, count in events.items() if key.split(":")[0] in RATED_STREAMS
        ),
        "stream_events": _by_stream(events),
        **({"events": events} if len(events) <= STREAMS_PER_ROW else {}),
        "leak_score": max((score for score in scores if score is not None), default=None),
        "cpu_cores": round(interval.cpu_seconds / seconds, 5) if seconds > 0 else None,
        **_latency("receive", interval.counts_from, counts),
        **_latency("acknowledge", interval.counts_from, counts),
        "threads": interval.threads,
        "open_files": interval.open_files,
        "connection_age_seconds": interval.age_seconds,
        "supervisor_rss_mb": _mb(own.rss_bytes if own else None),
        "supervisor_cpu_cores": (
            round((own.cpu_seconds - own_from.cpu_seconds) / own_seconds, 5)
            if own and own_from and own_seconds > 0
            else None
        ),
    }


def _latency(
    name: str, before: Mapping[Key, int], now: Mapping[Key, int]
) -> dict[str, float | None]:
    """Return mean and 99th percentile of what came in an interval; None where nothing came.

    The percentile is interpolated within its bucket; beyond the last bound it is that bound.
    """

    def grown(label: str) -> int:
        return now.get((name, label), 0) - before.get((name, label), 0)

    bounds = LATENCY_BUCKETS_SECONDS
    counts = [grown(str(index)) for index in range(len(bounds) + 1)]
    total = sum(counts)
    mean = p99 = None
    if total > 0:
        mean = round(grown("sum_microseconds") / 1e6 / total, 6)
        at, below = 0, 0
        while below + counts[at] < 0.99 * total:
            below, at = below + counts[at], at + 1
        low, high = bounds[at - 1] if at else 0.0, bounds[min(at, len(bounds) - 1)]
        p99 = round(low + (high - low) * (0.99 * total - below) / counts[at], 6)
    return {f"{name}_mean_seconds": mean, f"{name}_p99_seconds": p99}


def _mb(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / MIB


def _by_stream(events: Mapping[str, int]) -> dict[str, int]:
    """Return the sums over the symbols, such as of all trades."""
    sums: Counter[str] = Counter()
    for name, count in events.items():
        sums[name.partition(":")[0]] += count
    return dict(sums)
