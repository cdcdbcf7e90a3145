"""A run in several segments: what was recorded before an interruption, and what came after. Pure.

Elapsed time is the time that was run and recorded: a segment begins where the one before it ended,
and the time between belongs to none. Each segment has monotonic times of its own, so that neither
a reboot nor a clock that is set matters; the time between is told by the wall clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Any

from monitor.conditions import changes
from monitor.stream_records import StreamRecord, as_json, from_json, records_of
from monitor.stream_records import joined as joined_records

Document = Mapping[str, Any]

_SUMMED = (
    "total_messages", "duplicates", "gaps", "missing_ids", "missing_updates", "rotations",
    "rotations_failed", "unscheduled_drops", "reconnects", "pong_timeouts", "message_errors",
    "connection_errors", "unsupported", "sink_accepted", "sink_acknowledged", "sink_errors",
)  # fmt: skip
_CUMULATIVE = ("messages_received", "rated_events")
_BY_STREAM = ("events", "stream_events")  # cumulative, too


def joined(earlier: Document, document: Document) -> dict[str, Any]:
    """Return the document of a run whose earlier part is `earlier` and the latest `document`.

    Processes keep to themselves, numbered on; counts are added up; the settings and the
    environment are those of the latest segment, and `segments` tells of each.
    """
    shift = _elapsed(earlier)
    numbers = {
        one["name"]: max((int(each["generation"]) for each in one["generations"]), default=0)
        for one in earlier["streamers"]
    }
    rows = [*earlier["memory_samples"], *_rows(earlier, document, shift)]
    elapsed = shift + _elapsed(document)
    meta = {
        **document["test_metadata"],
        "start_time": earlier["test_metadata"]["start_time"],
        "actual_duration_hours": elapsed / 3600,
        "total_samples": len(rows),
    }
    counts = _sum(earlier["event_counts"], document["event_counts"], {"resumed": 1})
    return {
        **document,
        "test_metadata": meta,
        "summary_statistics": _summary(earlier, document, rows, elapsed),
        "segments": _segments(earlier, document, shift),
        "subscription_changes": [
            *earlier["subscription_changes"],
            *(_later(one, shift) for one in document["subscription_changes"]),
        ],
        "actions": _actions(earlier["actions"], document["actions"], shift),
        "latency": _latency(earlier["latency"], document["latency"]),
        "event_counts": counts,
        "events_dropped": int(earlier["events_dropped"]) + int(document["events_dropped"]),
        "events": [
            *earlier["events"],
            _resumption(document, shift),
            *(_event(one, shift, numbers) for one in document["events"]),
        ],
        "streamers": _streamers(earlier["streamers"], document["streamers"], shift, numbers),
        "stream_records": as_json(joined_records(_records(earlier), _records(document), shift)),
        "memory_samples": rows,
    }


def _sum(*counts: Mapping[str, int]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update({name: int(count) for name, count in one.items()})
    return dict(total)


def _elapsed(document: Document) -> float:
    return float(document["test_metadata"]["actual_duration_hours"]) * 3600


def _segments(earlier: Document, document: Document, shift: float) -> list[dict[str, Any]]:
    before = list(earlier.get("segments") or [_segment(earlier, 0.0)])
    seconds = (
        datetime.fromisoformat(document["test_metadata"]["start_time"])
        - datetime.fromisoformat(before[-1]["end_time"])
    ).total_seconds()
    latest = _segment(document, shift) | {
        # None: the wall clock was set back meanwhile.
        "between_seconds": round(seconds, 3) if seconds >= 0 else None,
        "changes": list(changes(earlier, document)),
    }
    return [*before, latest]


def _segment(document: Document, shift: float) -> dict[str, Any]:
    """Return what is kept of a segment by itself."""
    meta, summary = document["test_metadata"], document["summary_statistics"]
    processes = [each for one in document["streamers"] for each in one["generations"]]
    packages = document["environment"].get("packages") or {}
    return {
        "start_time": meta["start_time"],
        "end_time": meta["end_time"],
        "started_seconds": round(shift, 3),
        "ended_seconds": round(shift + _elapsed(document), 3),
        "ended": meta["ended"],
        "version": packages.get("vigil"),
        "relaunched": any(len(one["generations"]) > 1 for one in document["streamers"]),
        "final_report": bool(processes) and all(one["final_report"] for one in processes),
        "sink_accepted": int(summary["sink_accepted"]),
        "sink_acknowledged": int(summary["sink_acknowledged"]),
        "sink_queued": sum(int(one["sink_queued"] or 0) for one in processes),
    }


def _rows(earlier: Document, document: Document, shift: float) -> Iterator[dict[str, Any]]:
    before: Mapping[str, Any] = earlier["memory_samples"][-1] if earlier["memory_samples"] else {}
    for row in document["memory_samples"]:
        yield {
            **_later(row, shift),
            "elapsed_hours": row["elapsed_hours"] + shift / 3600,
            **{name: _sum(before.get(name) or {}, row[name]) for name in _BY_STREAM if name in row},
            **{name: int(row[name]) + int(before.get(name, 0)) for name in _CUMULATIVE},
        }


def _records(document: Document) -> dict[str, list[StreamRecord]]:
    """Return what is known of each stream; of older profiles by their rows."""
    if (kept := document.get("stream_records")) is not None:
        return from_json(kept)
    rows = document["memory_samples"]
    names = {name for row in rows for name in row["events"]}
    return records_of(rows, dict.fromkeys(names, (0.0, inf)))


def _summary(
    earlier: Document, document: Document, rows: Sequence[Mapping[str, Any]], elapsed: float
) -> dict[str, Any]:
    first, second = earlier["summary_statistics"], document["summary_statistics"]
    sums = {name: int(first.get(name, 0)) + int(second[name]) for name in _SUMMED}
    return {
        **second,
        **sums,
        "initial_rss_mb": rows[0]["rss_mb"] if rows else None,
        "final_rss_mb": rows[-1]["rss_mb"] if rows else None,
        "memory_growth_mb": float(rows[-1]["rss_mb"]) - float(rows[0]["rss_mb"]) if rows else None,
        "avg_message_rate": sums["total_messages"] / elapsed if elapsed > 0 else None,
        "peak_rss_mb": max((float(row["rss_max_mb"]) for row in rows), default=None),
    }


def _actions(
    earlier: Sequence[Mapping[str, Any]], latest: Sequence[Mapping[str, Any]], shift: float
) -> list[dict[str, Any]]:
    """Return each action once, as it was first taken, with the sum of the counts."""
    found = {(one["rule"], one["action"]): dict(one) for one in earlier}
    for one in latest:
        known = found.setdefault(
            (one["rule"], one["action"]),
            {**one, "first_elapsed_seconds": one["first_elapsed_seconds"] + shift, "count": 0},
        )
        known["count"] = int(known["count"]) + int(one["count"])
    return list(found.values())


def _latency(earlier: Mapping[str, Any], latest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sums; only the latest where an upgrade has brought other buckets."""
    if earlier["bucket_seconds"] != latest["bucket_seconds"]:
        return dict(latest)
    return {
        "bucket_seconds": latest["bucket_seconds"],
        **{
            name: {
                "counts": [
                    int(earlier[name]["counts"][index]) + int(latest[name]["counts"][index])
                    for index in range(len(latest["bucket_seconds"]) + 1)
                ],
                "sum_seconds": float(earlier[name]["sum_seconds"])
                + float(latest[name]["sum_seconds"]),
            }
            for name in ("receive", "acknowledge")
        },
    }


def _streamers(
    earlier: Sequence[Mapping[str, Any]],
    latest: Sequence[Mapping[str, Any]],
    shift: float,
    numbers: Mapping[str, int],
) -> list[dict[str, Any]]:
    found = {one["name"]: list(one["generations"]) for one in earlier}
    for one in latest:
        found.setdefault(one["name"], []).extend(
            {
                **each,
                "generation": each["generation"] + numbers.get(one["name"], 0),
                "started_seconds": round(each["started_seconds"] + shift, 3),
                "ended_seconds": round(each["ended_seconds"] + shift, 3),
            }
            for each in one["generations"]
        )
    return [{"name": name, "generations": generations} for name, generations in found.items()]


def _resumption(document: Document, shift: float) -> dict[str, Any]:
    return {
        "time": document["test_metadata"]["start_time"],
        "elapsed_seconds": round(shift, 3),
        "kind": "resumed",
        "streamer": None,
        "generation": None,
        "detail": {},
    }


def _event(event: Mapping[str, Any], shift: float, numbers: Mapping[str, int]) -> dict[str, Any]:
    generation = event["generation"]
    if generation is not None:
        generation += numbers.get(event["streamer"], 0)
    return {**_later(event, shift), "generation": generation}


def _later(entry: Mapping[str, Any], shift: float) -> dict[str, Any]:
    return {**entry, "elapsed_seconds": round(entry["elapsed_seconds"] + shift, 3)}
