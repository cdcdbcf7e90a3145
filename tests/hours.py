"""Profiles of hours that differ in what a test asks for, made by the recorder in 0.2 s each."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from monitor.soak_plans import PROFILES
from monitor.verdict import concluded
from streamer.messages import LATENCY_BUCKETS_SECONDS, Histogram, Notice, SinkCounts
from tests.unit.monitor.observations import EPOCH, stream
from tests.unit.monitor.runs import SYMBOLS, Run

HOUR = 3600


def histogram(second: int, per_second: float, usual: int) -> Histogram:
    """Return latencies of which 19 of 20 are in one bucket, the rest in the next one."""
    counts = [0] * (len(LATENCY_BUCKETS_SECONDS) + 1)
    total = round(per_second * second)
    counts[usual], counts[usual + 1] = total - total // 20, total // 20
    sums = counts[usual] * LATENCY_BUCKETS_SECONDS[usual]
    return Histogram(
        tuple(counts), sum_seconds=sums + counts[usual + 1] * LATENCY_BUCKETS_SECONDS[usual + 1]
    )


@cache
def hour(
    seed: int = 1,
    *,
    rss_mib: float = 50.0,
    growth_mib: float = 0.0,
    per_second: float = 100.0,
    cpu_per_message: float = 150e-6,
    latency_bucket: int = 3,
    gaps_at: tuple[int, ...] = (),
    missing: int = 0,
    drops: int = 0,
    seconds: int = HOUR,
    ended: Any = "completed",
) -> dict[str, Any]:
    """Return the profile of an hour with a warm-up, noise, and what a test asks for."""
    noise = random.Random(seed)
    wander = 0.0

    def in_sample(second: int) -> dict[str, Any]:
        nonlocal wander
        wander = 0.8 * wander + noise.gauss(0, 0.15)
        warm = 8 * (1 - 2.0 ** (-second / 120))
        return {
            "rss_mib": rss_mib - 8 + warm + wander + growth_mib * second / HOUR,
            "cpu_seconds": (per_second * second + noise.gauss(0, 20)) * cpu_per_message,
        }

    def in_report(second: int) -> dict[str, Any]:
        counts = round(second * per_second / 2 + noise.gauss(0, 3))
        found = [one for one in gaps_at if one <= second]
        return {
            "streams": (
                stream(
                    counts, SYMBOLS[0], gaps_total=len(found), missing_total=missing if found else 0
                ),
                stream(counts, SYMBOLS[1]),
            ),
            "notices": tuple(
                Notice(number, EPOCH + at, "gap", {"stream": "trade", "symbol": SYMBOLS[0]})
                for number, at in enumerate(found, start=1)
            ),
            "receive_latency": histogram(second, per_second, latency_bucket),
            "sink": SinkCounts(
                "files", acknowledge_seconds=histogram(second, per_second, latency_bucket + 2)
            ),
        }

    run = Run(PROFILES["1h"])
    run.seconds(seconds, in_report, in_sample, every=10)  # a heartbeat's limit
    document = run.end(ended, **in_report(seconds)).document()
    document["summary_statistics"]["unscheduled_drops"] = drops
    return concluded(document)[0]
