"""What the page is told each second, of bounded size whatever is streamed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from monitor.counters import Key
from monitor.criteria import Criterion, verdict_of
from monitor.health import obstacles, warnings
from monitor.leak import Assessment
from monitor.live.streams import StreamTable
from monitor.report.latency import Latency
from monitor.report.text import amount
from monitor.snapshot import Snapshot, StreamerSnapshot
from streamer.messages import LATENCY_BUCKETS_SECONDS, Histogram, SinkCounts, SlotState
from streamer.printable import printable

WORST_ROWS: Final = 15  # of the streams; the others are asked for
SLOTS_MAX: Final = 100  # of a streamer; all symbols take 5
SENTENCES_MAX: Final = 20
NAME_BYTES: Final = 40  # of a part of the memory
TEXT_BYTES: Final = 600  # of one sentence

_WORST_FIRST: Final = ("fail", "inconclusive", "pass")
_SUMMED: Final = (
    "events", "duplicates", "gaps", "missing",
    "repaired", "repaired_gaps", "empty", "epochs",
)  # fmt: skip


def state_of(snapshot: Snapshot, table: StreamTable, version: str) -> dict[str, Any]:
    """Return the state as it is sent; times are Unix times, sizes bytes."""
    why = obstacles(snapshot)
    own = snapshot.supervisor
    return {
        "version": version,
        "started": snapshot.started,
        "time": round(snapshot.time, 3),
        "elapsed_seconds": round(snapshot.elapsed_seconds, 1),
        "duration_seconds": snapshot.duration_seconds,
        "profile": snapshot.profile,
        "ready": not why,
        "obstacles": _sentences(why),
        "warnings": _sentences(warnings(snapshot)),
        "verdict": _verdict(snapshot),
        "actions": [
            {"rule": rule, "action": action, "count": count}
            for (rule, action), count in snapshot.actions.items()
        ],
        "events_per_second": round(snapshot.events_per_second, 1),
        "memory_ceiling_bytes": snapshot.memory_ceiling_bytes,
        "streamers": [_streamer(one, snapshot) for one in snapshot.streamers],
        "streams": {
            "total": len(table.rows),
            "states": table.counts(),
            "worst": [row.as_json() for row in table.worst(WORST_ROWS)],
        },
        "supervisor": {
            "rss_bytes": own.rss_bytes if own else None,
            "cpu_cores": _rounded(snapshot.supervisor_cpu_cores, 4),
            "disk_free_bytes": snapshot.disk.free_bytes if snapshot.disk else None,
            "disk_size_bytes": snapshot.disk.size_bytes if snapshot.disk else None,
        },
    }


def _verdict(snapshot: Snapshot) -> dict[str, Any] | None:
    """Return the verdict as it stands; None: nothing is judged, as in `run`."""
    if not snapshot.criteria:
        return None
    criteria = sorted(
        snapshot.criteria, key=lambda one: (not one.required, _WORST_FIRST.index(one.outcome))
    )
    return {
        "outcome": verdict_of(snapshot.criteria).outcome,
        "elapsed_seconds": _rounded(snapshot.criteria_elapsed_seconds, 0),
        "criteria": [_criterion(one) for one in criteria],
    }


def _criterion(one: Criterion) -> dict[str, Any]:
    return {
        "name": one.name,
        "expression": one.expression,
        "outcome": one.outcome,
        "required": one.required,
        "observed": amount(one.observed, one.unit),
        "limit": amount(one.limit, one.unit),
        "first_breach_seconds": one.first_breach,
        "reason": printable(one.reason, TEXT_BYTES),
    }


def _streamer(one: StreamerSnapshot, snapshot: Snapshot) -> dict[str, Any]:
    sample, report = one.sample, one.report
    return {
        "name": one.name,
        "generation": one.generation,
        "pid": one.pid,
        "up": one.up,
        "streaming": one.streaming,
        "state": report.state if report else None,
        "exit_code": one.exit_code,
        "launched": one.launched_time,
        "restarts_remaining": snapshot.restarts_remaining.get(one.name),
        "report_age_seconds": _rounded(one.report_age_seconds, 1),
        "clock_offset_seconds": _rounded(report.clock_offset_seconds if report else None, 3),
        "rss_bytes": sample.rss_bytes if sample else None,
        "uss_bytes": sample.uss_bytes if sample else None,
        "growth_bytes": _rounded(one.growth_bytes, 0),
        "threads": sample.threads if sample else None,
        "open_files": sample.open_files if sample else None,
        "cpu_cores": _rounded(one.cpu_cores, 4),
        "leak": _leak(one.leak),
        "memory_parts": {
            printable(name, NAME_BYTES): [part.bytes, part.limit_bytes]
            for name, part in (report.memory if report else {}).items()
        },
        "slots": [_slot(slot, one.report_age_seconds) for slot in report.slots[:SLOTS_MAX]]
        if report
        else [],
        "rotations": dict(report.rotations) if report else {},
        "rotations_failed": report.rotations_failed_total if report else 0,
        "sink": _sink(report.sink, one.unacknowledged_seconds) if report else None,
        "latency": _latency(one),
        "counts": _counts(one.totals),
        "backfill": {
            "gaps": report.backfill.gaps,
            "ids_left": report.backfill.ids_left,
            "ids_done": report.backfill.ids_done,
            "seconds_left": report.backfill.seconds_left,
        }
        if report
        else None,
        "held": sum(stream.pending for stream in report.streams) if report else 0,
        "repairing": sum(stream.pending > 0 for stream in report.streams) if report else 0,
    }


def _leak(leak: Assessment | None) -> dict[str, Any] | None:
    if leak is None:
        return None
    return {"score": _rounded(leak.score, 3), "reason": printable(leak.reason, TEXT_BYTES)}


def _slot(slot: SlotState, late_seconds: float | None) -> dict[str, Any]:
    age = slot.age_seconds
    return {
        "slot": slot.slot,
        "live": slot.live,
        "rotating": slot.rotating,
        "age_seconds": None if age is None else round(age + (late_seconds or 0.0)),
        "drops": slot.drops_total,
    }


def _sink(sink: SinkCounts, unacknowledged_seconds: float) -> dict[str, Any]:
    return {
        "kind": sink.kind,
        "opened": sink.opened,
        "accepted": sink.accepted_total,
        "acknowledged": sink.acknowledged_total,
        "queued": sink.queued,
        "queued_bytes": sink.queued_bytes,
        "overflow_records": sink.overflow_records,
        "overflow_bytes": sink.overflow_bytes,
        "errors": sink.errors_total,
        "unacknowledged_seconds": round(unacknowledged_seconds, 1),
        "slowest_broker_seconds": max(sink.broker_latency_seconds.values(), default=None),
    }


def _latency(one: StreamerSnapshot) -> dict[str, Any]:
    return {
        name: _percentiles(histogram)
        for name, histogram in (
            ("receive", one.recent_receive_latency),
            ("acknowledge", one.recent_acknowledge_latency),
        )
        if histogram is not None
    }


def _percentiles(histogram: Histogram) -> dict[str, float | None] | None:
    """Return the bounds below which shares lie (None: above them all), or None without events."""
    total = sum(histogram.counts)
    if not total:
        return None
    latency = Latency("", LATENCY_BUCKETS_SECONDS, histogram.counts, histogram.sum_seconds / total)
    return {
        "p50": latency.percentile(0.5),
        "p99": latency.percentile(0.99),
        "mean": round(latency.mean_seconds, 6),
    }


def _counts(totals: Mapping[Key, int]) -> dict[str, int]:
    """Return the sums over all streams."""
    sums = dict.fromkeys(_SUMMED, 0)
    for key, count in totals.items():
        if count and key[0] in sums:  # most of thousands are 0
            sums[key[0]] += count
    return sums


def _sentences(sentences: Iterable[str]) -> list[str]:
    texts = [printable(one, TEXT_BYTES) for one in sentences]
    if len(texts) > SENTENCES_MAX:
        return [*texts[:SENTENCES_MAX], f"and {len(texts) - SENTENCES_MAX} more"]
    return texts


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
