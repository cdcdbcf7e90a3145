"""Criteria on memory and on what else a process uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from monitor.criteria import Criterion, Outcome
from monitor.evidence import Evidence, Process
from monitor.growth import FEWEST_BINS, SHARE, SKIP_SECONDS, Growth, growth
from monitor.replay import Replayed, worst
from monitor.soak_plans import GROWTH_FLOOR_BYTES, MIB

SCORED_SHARE = 0.5  # of a resumed run: what no process lived for cannot be told to have no leak
THREAD_GROWTH = 10  # helper threads come and go with connections; more than that stays
FILE_GROWTH = 50  # two connections per slot, files of a rollover, brokers


def memory_criteria(
    evidence: Evidence, replays: Sequence[Replayed] | None
) -> tuple[Criterion, ...]:
    """Return the criteria on memory; without replays the recorded leak scores are taken."""
    return (
        _ceiling(evidence),
        _growth(evidence),
        _recorded_leak(evidence) if replays is None else _leak(evidence, replays),
        _cpu(evidence),
        _increase(evidence, "thread growth", "threads", THREAD_GROWTH),
        _increase(evidence, "open file growth", "open_files", FILE_GROWTH),
    )


def _ceiling(evidence: Evidence) -> Criterion:
    limit = evidence.profile.memory_ceiling_bytes / MIB
    peaks = [
        (row["elapsed_seconds"], float(row.get("rss_max_mb", row["rss_mb"])))
        for row in evidence.rows
    ]
    highest = max(
        [peak for _, peak in peaks] + [one.peak_rss_bytes / MIB for one in evidence.processes],
        default=0.0,
    )
    first = next((at for at, peak in peaks if peak > limit), None)
    seen = bool(highest)
    return Criterion(
        name="memory ceiling",
        expression="largest RSS of a streamer ≤ limit, in every sample",
        observed=highest if seen else None,
        limit=limit,
        unit="MiB",
        outcome=("fail" if highest > limit else "pass") if seen else "inconclusive",
        required=True,
        samples=len(peaks),
        first_breach=first,
        reason="" if seen else "no samples",
    )


def _growth(evidence: Evidence) -> Criterion:
    limit = evidence.profile.memory_growth_limit_bytes / MIB
    judged = list(_growths(evidence))
    worst = max(judged, key=lambda one: one[1].bytes / one[2], default=None)
    outcome: Outcome = "inconclusive"
    reason = "too few samples after the warm-up"
    if worst is not None:
        process, grown, limit = worst[0], worst[1], worst[2] / MIB
        low, high = grown.low_bytes / MIB, grown.high_bytes / MIB
        reason = f"{process}: between {low:+.1f} and {high:+.1f} MiB"
        if any(one.low_bytes >= allowed for _, one, allowed in judged):
            outcome = "fail"
        elif all(one.high_bytes < allowed for _, one, allowed in judged):
            outcome = "pass"
    return Criterion(
        name="memory growth",
        expression="growth of the floor, last fifth against first, < limit",
        observed=worst[1].bytes / MIB if worst else None,
        limit=limit,
        unit="MiB",
        outcome=outcome,
        required=True,
        samples=sum(one.bins for _, one, _ in judged),
        reason=reason,
    )


def _growths(evidence: Evidence) -> Iterator[tuple[Process, Growth, float]]:
    """Yield each process with its growth and what it may grow by, in bytes."""
    for process in evidence.processes:
        grown = growth(process.bins, process.bin_seconds)
        if grown is not None:
            yield process, grown, _allowed_bytes(evidence, process)


def _allowed_bytes(evidence: Evidence, process: Process) -> float:
    """Return the limit of the run; of a resumed one the share that a process has had of its time.

    It is there for growth that goes on: a day of one-hour processes must not be allowed a day's
    growth in each of them.
    """
    limit = evidence.profile.memory_growth_limit_bytes
    if not evidence.segments:
        return limit
    share = _seconds(process) / evidence.profile.duration_seconds
    return min(limit, max(GROWTH_FLOOR_BYTES, limit * share))


def _seconds(process: Process) -> float:
    return (process.bins[-1].index + 1) * process.bin_seconds if process.bins else 0.0


def _leak(evidence: Evidence, replays: Sequence[Replayed]) -> Criterion:
    latest = [one.latest.reason for one in replays if one.latest is not None]
    found = worst(replays)
    if found and not _lived_long_enough(evidence, replays):
        reason = "most of the time was run by processes that did not live long enough for a score"
        if (found[1].score or 0.0) <= evidence.profile.leak_score_fail:
            return _scored(evidence, None, 0, None, reason)
    breaches = (one.first_above(evidence.profile.leak_score_fail) for one in replays)
    return _scored(
        evidence,
        found[1].score if found else None,
        samples=sum(len(one.assessments) for one in replays),
        first=min((at for at in breaches if at is not None), default=None),
        reason=f"{found[0]}: {found[1].reason}" if found else (latest or ["no samples"])[-1],
    )


def _lived_long_enough(evidence: Evidence, replays: Sequence[Replayed]) -> bool:
    """Return whether processes with a score make most of a resumed run; of any other it holds."""
    if not evidence.segments:
        return True
    scored = sum(
        _seconds(one.process)
        for one in replays
        if one.latest is not None and one.latest.score is not None
    )
    return scored >= SCORED_SHARE * evidence.elapsed_seconds


def _recorded_leak(evidence: Evidence) -> Criterion:
    scores = [
        (row["elapsed_seconds"], row["leak_score"])
        for row in evidence.rows
        if row.get("leak_score") is not None
    ]
    first = next((at for at, one in scores if one > evidence.profile.leak_score_fail), None)
    score = max((one for _, one in scores), default=None)
    return _scored(evidence, score, len(scores), first, "" if scores else "no score yet")


def _scored(
    evidence: Evidence, score: float | None, samples: int, first: float | None, reason: str
) -> Criterion:
    profile = evidence.profile
    outcome: Outcome = "inconclusive"
    if score is not None and score < profile.leak_score_pass:
        outcome = "pass"
    elif score is not None and score > profile.leak_score_fail:
        outcome = "fail"
    return Criterion(
        name="leak score",
        expression=f"score < {profile.leak_score_pass:g}; above {profile.leak_score_fail:g} a leak",
        observed=score,
        limit=profile.leak_score_pass,
        unit="score",
        outcome=outcome,
        required=profile.leak_required,
        samples=samples,
        first_breach=first,
        reason=reason,
    )


def _cpu(evidence: Evidence) -> Criterion:
    """Tell the busiest window: a cost that grows shows there before the feed falls behind."""
    limit, window = evidence.profile.cpu_limit_cores, evidence.profile.rate_window_seconds
    means = [
        (row["elapsed_seconds"], mean) for row, mean in _means(evidence.rows, "cpu_cores", window)
    ]
    busiest = max((mean for _, mean in means), default=None)
    return Criterion(
        name="cpu",
        expression=f"mean use of all streamers ≤ limit in every window of {window:g} s",
        observed=busiest,
        limit=limit,
        unit="cores",
        outcome="inconclusive" if busiest is None else "fail" if busiest > limit else "pass",
        required=False,  # what it leads to is judged: silence, outages, a late heartbeat
        samples=len(means),
        first_breach=next((at for at, mean in means if mean > limit), None),
        reason="" if means else "no whole window was observed",
    )


def _means(
    rows: Sequence[Mapping[str, Any]], key: str, window_seconds: float
) -> Iterator[tuple[Mapping[str, Any], float]]:
    """Yield each row that ends a window, with the mean over the window."""
    known = [row for row in rows if row.get(key) is not None]
    times = [row["elapsed_seconds"] for row in known]
    values = [row[key] for row in known]
    start = 0
    for end, (row, at) in enumerate(zip(known, times, strict=True)):
        while times[start] <= at - window_seconds:
            start += 1
        if at - times[0] >= window_seconds:
            yield row, sum(values[start : end + 1]) / (end + 1 - start)


def _increase(evidence: Evidence, name: str, key: str, limit: int) -> Criterion:
    """Compare the least of the last fifth with the least of the first: peaks are no growth.

    As with memory the start is left out: connections and brokers' threads are still to come.
    """
    values = [
        (row["elapsed_seconds"], row[key]) for row in evidence.rows if row.get(key) is not None
    ]
    skip = min(SKIP_SECONDS, values[-1][0] / 10) if values else 0.0
    settled = [value for at, value in values if at > skip]
    part = len(settled) // SHARE if len(settled) >= FEWEST_BINS else 0
    increase = min(settled[-part:]) - min(settled[:part]) if part else None
    return Criterion(
        name=name,
        expression="least of the last fifth against least of the first ≤ limit",
        observed=increase,
        limit=limit,
        unit="count",
        outcome="inconclusive" if increase is None else "fail" if increase > limit else "pass",
        required=True,
        samples=len(settled),
        reason="" if part else "too few samples after the start",
    )
