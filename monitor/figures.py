"""The figures of a run that others are compared with: each with its interval, or why not. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from monitor.estimates import FEWEST_VALUES, Estimate, mean_of, rate_of, ratio_of
from monitor.evidence import Evidence, Process
from monitor.growth import SKIP_SECONDS
from monitor.replay import Replayed
from monitor.soak_plans import HOUR, MIB

INCIDENT_SECONDS = 60.0
"""Gaps closer together have one cause: a lost connection leaves one on each of its streams."""

GAP_KINDS: Final = frozenset({"gap", "gap_repaired", "book_lost"})


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; without an estimate the reason says why."""

    name: str
    unit: str
    estimate: Estimate | None
    reason: str = ""


def figures_of(
    document: Mapping[str, Any], evidence: Evidence, until_seconds: float | None = None
) -> dict[str, Figure]:
    """Return the figures of a run by name. What begins is left out, as in the criteria on memory.

    Memory is taken from the process that was observed for longest, up to an age of
    `until_seconds`: processes of different ages are no measure of each other.
    """
    rows = settled_rows(evidence)
    found = [
        Figure("memory", "MiB", *_memory(longest(evidence), until_seconds)),
        Figure("message rate", "per second", *_rate(rows)),
        *(_latency(rows, name) for name in LATENCIES),
        Figure("cpu per message", "µs", *_cpu_per_message(rows)),
        Figure("drops", "per hour", *_drops(evidence)),
        Figure("incidents with gaps", "per hour", *_incidents(document, evidence)),
        Figure("missing ids", "per million", *_missing(evidence)),
    ]
    return {one.name: one for one in found}


LATENCIES: Final = {
    "receive latency": "receive_mean_seconds",
    "receive latency p99": "receive_p99_seconds",
    "acknowledge latency": "acknowledge_mean_seconds",
    "acknowledge latency p99": "acknowledge_p99_seconds",
}
"""Columns of the rows by the names of the figures; a p99 is the mean of those of the intervals."""

_Found = tuple[Estimate | None, str]
_TOO_FEW: Final = f"fewer than {FEWEST_VALUES} intervals after the start"


def longest(evidence: Evidence) -> Process | None:
    """Return the process that was observed for longest."""
    return max(evidence.processes, key=lambda one: len(one.bins), default=None)


def slope_of(replays: Sequence[Replayed]) -> Estimate | None:
    """Return the growth of the process that was observed for longest, in MiB/h."""
    latest = max(replays, key=lambda one: len(one.process.bins)).latest if replays else None
    if (
        latest is None
        or latest.slope_mb_per_hour is None
        or latest.low is None
        or latest.high is None
    ):
        return None
    return Estimate(latest.slope_mb_per_hour, latest.low, latest.high)


def settled_rows(evidence: Evidence) -> Sequence[Mapping[str, Any]]:
    """Return the rows after the start, as for the growth of memory."""
    skip = min(SKIP_SECONDS, evidence.elapsed_seconds / 10)
    return [row for row in evidence.rows if row["elapsed_seconds"] >= skip]


def _memory(process: Process | None, until_seconds: float | None) -> _Found:
    if process is None or not process.bins:
        return None, "no samples"
    width = process.bin_seconds
    end = (process.bins[-1].index + 1) * width
    end = end if until_seconds is None else min(end, until_seconds)
    skip = min(SKIP_SECONDS, end / 10)
    return _mean(
        [
            one.rss_min_bytes / MIB
            for one in process.bins
            if skip <= one.index * width and (one.index + 1) * width <= end
        ]
    )


def _rate(rows: Sequence[Mapping[str, Any]]) -> _Found:
    return _ratio(_messages(rows), [seconds for _, seconds in _intervals(rows)])


def _cpu_per_message(rows: Sequence[Mapping[str, Any]]) -> _Found:
    used = [
        (row.get("cpu_cores"), seconds, messages)
        for (row, seconds), messages in zip(_intervals(rows), _messages(rows), strict=True)
    ]
    known = [(cores * seconds, messages) for cores, seconds, messages in used if cores is not None]
    found, reason = _ratio([one for one, _ in known], [messages for _, messages in known])
    return (found.scaled(1e6) if found else None), reason


def _latency(rows: Sequence[Mapping[str, Any]], name: str) -> Figure:
    values = [row[LATENCIES[name]] for row in rows if row.get(LATENCIES[name]) is not None]
    if rows and not values:
        return Figure(name, "ms", None, "not recorded by interval")
    found, reason = _mean(values)
    return Figure(name, "ms", found.scaled(1000) if found else None, reason)


def _drops(evidence: Evidence) -> _Found:
    drops = evidence.summary.get("unscheduled_drops")
    if drops is None:
        return None, "not recorded"
    return _per_hour(drops, evidence)


def _incidents(document: Mapping[str, Any], evidence: Evidence) -> _Found:
    counts = document.get("event_counts")
    if counts is None:
        return None, "not recorded"
    times = sorted(
        float(one["elapsed_seconds"]) for one in document["events"] if one["kind"] in GAP_KINDS
    )
    if len(times) < sum(counts.get(kind, 0) for kind in GAP_KINDS):
        return None, "so many events that not all were kept"
    later = sum(after - before > INCIDENT_SECONDS for before, after in pairwise(times))
    return _per_hour(later + bool(times), evidence)


def _missing(evidence: Evidence) -> _Found:
    """Every id is counted, and none may be missing: nothing is left to chance."""
    missing, messages = (evidence.summary.get(key) for key in ("missing_ids", "total_messages"))
    if missing is None or messages is None:
        return None, "not recorded"
    share = 1e6 * missing / max(messages + missing, 1)
    return Estimate(share, share, share), ""


def _per_hour(count: int, evidence: Evidence) -> _Found:
    if evidence.elapsed_seconds <= 0:
        return None, "no time was observed"
    return rate_of(count, evidence.elapsed_seconds / HOUR), ""


def _intervals(
    rows: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[Mapping[str, Any], float]]:
    """Yield each row but the first, with the seconds since the one before."""
    for before, row in pairwise(rows):
        yield row, row["elapsed_seconds"] - before["elapsed_seconds"]


def _messages(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    return [
        float(row["messages_received"] - before["messages_received"])
        for before, row in pairwise(rows)
    ]


def _mean(values: Sequence[float]) -> _Found:
    return _or_too_few(lambda: mean_of(values))


def _ratio(numerators: Sequence[float], denominators: Sequence[float]) -> _Found:
    return _or_too_few(lambda: ratio_of(numerators, denominators))


def _or_too_few(estimate: Callable[[], Estimate | None]) -> _Found:
    found = estimate()
    return found, "" if found else _TOO_FEW
