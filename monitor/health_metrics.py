"""Metrics that alerts need: readiness, restarts, what waits, room on disk."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from monitor.health import obstacles
from monitor.snapshot import Snapshot


def health(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield the families."""
    yield GaugeMetricFamily(
        "vigil_ready",
        "1 when everything is streamed and stored, as /readyz says.",
        value=float(not obstacles(snapshot)),
    )
    yield GaugeMetricFamily(
        "vigil_start_time_seconds", "Unix time of the supervisor's start.", value=snapshot.started
    )
    yield from _streamers(snapshot)
    yield from _group(snapshot)
    if snapshot.disk is not None:
        yield GaugeMetricFamily(
            "vigil_sink_disk_free_bytes",
            "Room on the filesystem of sink.directory.",
            value=snapshot.disk.free_bytes,
        )
        yield GaugeMetricFamily(
            "vigil_sink_disk_size_bytes",
            "Size of the filesystem of sink.directory.",
            value=snapshot.disk.size_bytes,
        )


def _group(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield what members of a group tell of its shards; nothing of a streamer that is not up."""
    count = GaugeMetricFamily(
        "vigil_group_shards", "Shards of the whole group.", labels=["group", "streamer"]
    )
    streams = GaugeMetricFamily(
        "vigil_group_streams",
        "Streams that the whole group records, by this member's settings.",
        labels=["group", "streamer"],
    )
    recorded = GaugeMetricFamily(
        "vigil_group_shard_recorded",
        "1 for a shard of the group that is recorded here.",
        labels=["group", "streamer", "shard"],
    )
    for one in snapshot.streamers:
        shards = one.report.shards if one.up and one.report else None
        if shards is None:
            continue
        count.add_metric([shards.group, one.name], shards.count)
        streams.add_metric([shards.group, one.name], shards.streams)
        for shard in shards.recorded:
            recorded.add_metric([shards.group, one.name, str(shard)], 1.0)
    yield count
    yield streams
    yield recorded


def _streamers(snapshot: Snapshot) -> Iterator[Metric]:
    restarts = CounterMetricFamily(
        "vigil_streamer_restarts", "Launches after the first, for any cause.", labels=["streamer"]
    )
    waiting = GaugeMetricFamily(
        "vigil_sink_unacknowledged_seconds",
        "How long records have waited without any being acknowledged; 0 when none waits.",
        labels=["streamer"],
    )
    remaining = GaugeMetricFamily(
        "vigil_restart_budget_remaining",
        "Restarts left in the present window; at 0 the next failure ends the supervisor.",
        labels=["streamer"],
    )
    memory = GaugeMetricFamily(
        "vigil_streamer_memory_part_bytes",
        "What a part of the streamer holds of its memory, as it tells: some contain others.",
        labels=["streamer", "part"],
    )
    for one in snapshot.streamers:
        for name, part in (one.report.memory if one.report else {}).items():
            memory.add_metric([one.name, name], part.bytes)
        restarts.add_metric([one.name], one.generation - 1)
        waiting.add_metric([one.name], one.unacknowledged_seconds)
        if one.name in snapshot.restarts_remaining:
            remaining.add_metric([one.name], snapshot.restarts_remaining[one.name])
    yield restarts
    yield waiting
    yield remaining
    yield memory
