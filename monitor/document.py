"""The profile document: what a run is judged by, now and later.

Public format, version in `schema_version`. The keys of the predecessor (`test_metadata`,
`summary_statistics`, `memory_samples` with their fields) keep their names and meanings; `_mb` is
MiB. Series per process are columns of equal length, whose last row is an interval still open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, MutableSequence
from dataclasses import asdict, dataclass, field
from heapq import nlargest
from typing import Any

from monitor.counters import Counters, Key
from monitor.events import EventLog, as_json, iso
from monitor.generation import Generation
from monitor.model import Breach
from monitor.reference import Reference
from monitor.soak_plans import PROFILES, SoakPlan, to_mapping
from monitor.stream_records import StreamRecords
from monitor.stream_records import as_json as records_as_json
from monitor.subscription_history import SubscriptionHistory
from streamer.messages import LATENCY_BUCKETS_SECONDS, NO_PAST

SCHEMA_VERSION = 1
SILENCES_KEPT = 100  # of each process, the longest ones; streams may be thousands


@dataclass(slots=True)
class Run:
    """The material of the document."""

    profile: SoakPlan | None
    settings: dict[str, Any]
    environment: dict[str, Any]
    started_time: float
    rows: MutableSequence[dict[str, Any]]
    streamers: dict[str, list[Generation]]
    started_at: float  # monotonic
    actions: dict[tuple[str, str], tuple[float, Breach]] = field(default_factory=dict)  # first ones
    action_counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    wanted: SubscriptionHistory = field(default_factory=SubscriptionHistory)
    records: StreamRecords = field(default_factory=StreamRecords)
    reference: Reference | None = None
    ended: str | None = None
    ended_elapsed: float | None = None


def as_document(
    run: Run, events: EventLog, counters: Counters, elapsed_seconds: float, time: float
) -> dict[str, Any]:
    """Return the document as JSON-able values, without a verdict yet."""
    elapsed = run.ended_elapsed if run.ended_elapsed is not None else elapsed_seconds
    profile = run.profile
    interval = (profile or PROFILES["24h"]).sample_interval_seconds
    totals = counters.all()
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": None,
        "criteria": [],
        "test_metadata": {
            "test_duration_hours": profile.duration_seconds / 3600 if profile else None,
            "actual_duration_hours": elapsed / 3600,
            "start_time": iso(run.started_time),
            "end_time": iso(time),
            "symbols": list(run.settings.get("symbols", [])),
            "sample_interval_seconds": interval,
            "total_samples": len(run.rows),
            "mode": "soak" if profile else "run",
            "ended": run.ended,
        },
        "summary_statistics": _summary(run, totals, elapsed),
        "profile": to_mapping(profile) if profile else None,
        "reference": asdict(run.reference) if run.reference else None,
        "settings": run.settings,
        "subscription_changes": list(run.wanted.changes),
        "environment": run.environment,
        "actions": [
            {
                "rule": rule,
                "action": action,
                "count": run.action_counts[rule, action],
                "first_elapsed_seconds": round(first, 3),
                "observed": breach.observed,
                "limit": breach.limit,
                "message": breach.message,
            }
            for (rule, action), (first, breach) in run.actions.items()
        ],
        "latency": {
            "bucket_seconds": list(LATENCY_BUCKETS_SECONDS),
            "receive": _histogram(totals, "receive"),
            "acknowledge": _histogram(totals, "acknowledge"),
        },
        "event_counts": dict(events.counts),
        "events_dropped": events.dropped,
        "events": [as_json(entry) for entry in events.all()],
        "streamers": [
            {
                "name": name,
                "generations": [_generation(run, one, elapsed) for one in generations],
            }
            for name, generations in run.streamers.items()
        ],
        "stream_records": records_as_json(run.records.all()),
        "memory_samples": list(run.rows),
    }


def _summary(run: Run, totals: Counter[Key], elapsed_seconds: float) -> dict[str, Any]:
    def total(name: str) -> int:
        return sum(count for key, count in totals.items() if key[0] == name)

    messages = total("events")
    missing_updates = sum(
        count for key, count in totals.items() if key[0] == "missing" and key[1] in NO_PAST
    )
    first = run.rows[0]["rss_mb"] if run.rows else None
    last = run.rows[-1]["rss_mb"] if run.rows else None
    return {
        "initial_rss_mb": first,
        "final_rss_mb": last,
        "memory_growth_mb": last - first if first is not None else None,
        "total_messages": messages,
        "avg_message_rate": messages / elapsed_seconds if elapsed_seconds > 0 else None,
        "peak_rss_mb": max((row["rss_max_mb"] for row in run.rows), default=None),
        "duplicates": total("duplicates"),
        "gaps": total("gaps"),
        # Changes of a book are lost with a connection, whoever listens: no fault of the feed.
        "missing_ids": total("missing") - missing_updates,
        "missing_updates": missing_updates,
        "rotations": total("rotations"),
        "rotations_failed": total("rotations_failed"),
        "unscheduled_drops": total("drops"),
        "reconnects": total("reconnects"),
        "pong_timeouts": total("pong_timeouts"),
        "message_errors": total("message_errors"),
        "connection_errors": total("connection_errors"),
        "unsupported": total("unsupported"),
        "sink_accepted": total("accepted"),
        "sink_acknowledged": total("acknowledged"),
        "sink_errors": total("sink_errors"),
    }


def _generation(run: Run, one: Generation, elapsed_seconds: float) -> dict[str, Any]:
    report, silences = one.report, one.silences
    bins = [*one.bins, *([one.binner.open] if one.binner.open else [])]
    exited = one.exited
    ended_elapsed = one.exited_at - run.started_at if one.exited_at is not None else elapsed_seconds
    return {
        "generation": one.launched.generation,
        "pid": one.launched.pid,
        "started_seconds": round(one.launched_at - run.started_at, 3),
        "ended_seconds": round(ended_elapsed, 3),
        "exit_code": exited.exit_code if exited else None,
        "exit_expected": exited.expected if exited else None,
        "exit_reason": report.exit_reason if report else None,
        "reports": one.reports_total,
        "longest_report_gap_seconds": round(one.longest_report_gap_seconds, 3),
        "oldest_connection_seconds": round(one.oldest_connection_seconds, 3),
        "rotations": one.rotations_total,
        "rotations_due": one.rotations_due,
        "rotations_lost": one.rotations_lost,
        "rotations_pending": one.rotations_pending,
        "drops": one.drops_total,
        "streams": len(silences),
        "longest_silence_seconds": _longest(silences),
        "sink_kind": report.sink.kind if report else None,
        "sink_queued": report.sink.queued if report else None,
        "final_report": report.final if report else None,
        "peak_rss_bytes": one.peak_rss_bytes,
        "collections": [asdict(each) for each in one.leak.collections],
        "memory_parts": one.memory.as_json(),
        "accounts_for_all_memory": one.leak.accounts_for_all,
        "bins": {
            "seconds": one.binner.bin_seconds,
            "index": [each.index for each in bins],
            "rss_min_bytes": [each.rss_min_bytes for each in bins],
            "rss_max_bytes": [each.rss_max_bytes for each in bins],
            "rss_last_bytes": [each.rss_last_bytes for each in bins],
            "messages_total": [each.messages_total for each in bins],
            "rotations_total": [each.rotations_total for each in bins],
            "unexplained_min_bytes": [each.unexplained_min_bytes for each in bins],
        },
    }


def _longest(silences: Mapping[str, float]) -> dict[str, float]:
    """Return the longest of the longest silences."""
    longest = nlargest(SILENCES_KEPT, silences.items(), key=lambda each: each[1])
    return {key: round(value, 3) for key, value in longest}


def _histogram(totals: Counter[Key], name: str) -> dict[str, Any]:
    buckets = len(LATENCY_BUCKETS_SECONDS) + 1
    return {
        "counts": [totals[name, str(index)] for index in range(buckets)],
        "sum_seconds": totals[name, "sum_microseconds"] / 1e6,
    }
