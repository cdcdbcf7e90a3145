"""The snapshot as plain JSON values, for `/status` and `vigil status --json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from monitor.events import as_json, iso
from monitor.health import freshness, obstacles, warnings
from monitor.snapshot import Snapshot, StreamerSnapshot, StreamSnapshot
from streamer.strict_json import encode_readable


def as_status(snapshot: Snapshot) -> dict[str, Any]:
    """Return what `/status` answers: public format, keys are only ever added."""
    why = obstacles(snapshot)
    return {
        "time": iso(snapshot.time),
        "ready": not why,
        "not_ready_because": list(why),
        "warnings": list(warnings(snapshot)),
        "profile": snapshot.profile,
        "elapsed_seconds": snapshot.elapsed_seconds,
        "duration_seconds": snapshot.duration_seconds,
        "memory_ceiling_bytes": snapshot.memory_ceiling_bytes,
        "proxies": dict(snapshot.proxies),
        "events_per_second": snapshot.events_per_second,
        "streamers": [
            _streamer(one, freshness(one, snapshot.stale_after_seconds))
            for one in snapshot.streamers
        ],
        "criteria": [asdict(one) for one in snapshot.criteria],
        "actions": [
            {"rule": rule, "action": action, "count": count}
            for (rule, action), count in snapshot.actions.items()
        ],
        "event_counts": dict(snapshot.event_counts),
        "recent_events": [as_json(entry) for entry in snapshot.recent_events],
        "supervisor": {
            "rss_bytes": snapshot.supervisor.rss_bytes if snapshot.supervisor else None,
            "cpu_cores": snapshot.supervisor_cpu_cores,
            "busy_ratio": snapshot.load.busy_ratio if snapshot.load else None,
            "report_delay_seconds": (snapshot.load.report_delay_seconds if snapshot.load else None),
            "overloaded": snapshot.load.is_overloaded if snapshot.load else None,
        },
    }


def status_json(snapshot: Snapshot) -> bytes:
    """Return the same as JSON to be read: of thousands of streams, so not by `json`, in Python."""
    return encode_readable(as_status(snapshot))


def _stream(one: StreamSnapshot, fresh: bool | None) -> dict[str, Any]:
    """Return a stream; by hand, since `asdict` takes ten times as long."""
    state = "unavailable" if fresh is None else "fresh" if fresh else "stale"
    return {
        "stream": one.stream,
        "symbol": one.symbol,
        "events_total": one.events_total,
        "per_second": one.per_second,
        "silent_seconds": one.silent_seconds,
        "unavailable": one.unavailable,
        "state": state,
    }


def _streamer(one: StreamerSnapshot, fresh: Mapping[tuple[str, str], bool]) -> dict[str, Any]:
    sample, report = one.sample, one.report
    return {
        "name": one.name,
        "generation": one.generation,
        "pid": one.pid,
        "up": one.up,
        "streaming": one.streaming,
        "launched": iso(one.launched_time),
        "exit_code": one.exit_code,
        "rss_bytes": sample.rss_bytes if sample else None,
        "vms_bytes": sample.vms_bytes if sample else None,
        "uss_bytes": sample.uss_bytes if sample else None,
        "memory_parts": {
            name: {"bytes": part.bytes, "limit_bytes": part.limit_bytes}
            for name, part in (report.memory if report else {}).items()
        },
        "growth_bytes": one.growth_bytes,
        "cpu_cores": one.cpu_cores,
        "threads": sample.threads if sample else None,
        "open_files": sample.open_files if sample else None,
        "leak_score": one.leak.score if one.leak else None,
        "leak_reason": one.leak.reason if one.leak else None,
        "state": report.state if report else None,
        "encoder": report.encoder if report else None,
        "group": {
            "id": report.shards.group,
            "shards": report.shards.count,
            "recorded": list(report.shards.recorded),
            "streams": report.shards.streams,
        }
        if report and report.shards
        else None,
        "clock_offset_seconds": report.clock_offset_seconds if report else None,
        "report_age_seconds": one.report_age_seconds,
        "streams": [_stream(each, fresh.get((each.stream, each.symbol))) for each in one.streams],
        "slots": [
            {
                "slot": slot.slot,
                "live": slot.live,
                "age_seconds": slot.age_seconds,
                "drops_total": slot.drops_total,
                "rotating": slot.rotating,
            }
            for slot in (report.slots if report else ())
        ],
        "backfill": {
            "gaps": report.backfill.gaps,
            "ids_left": report.backfill.ids_left,
            "ids_done": report.backfill.ids_done,
            "seconds_left": report.backfill.seconds_left,
        }
        if report
        else None,
        "sink": {
            "kind": report.sink.kind,
            "accepted_total": report.sink.accepted_total,
            "acknowledged_total": report.sink.acknowledged_total,
            "queued": report.sink.queued,
            "unacknowledged_seconds": one.unacknowledged_seconds,
        }
        if report
        else None,
    }
