"""A saved profile judged as if it were still running: when an alarm would have come.

Asked after every interval of the profile (a minute; less in short runs) with what was known then.
Counts that a profile holds for a whole process only, such as drops, are unknown until it is over;
the rules that watched them are known by the time at which they acted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from monitor.criteria import Outcome, Verdict
from monitor.evidence import Evidence, Process, evidence_of
from monitor.leak import LeakDetector
from monitor.replay import Replayed, replay, worst
from monitor.series import Bin, DetectorFactory
from monitor.verdict import verdict_on

LEAK = "leak score"


@dataclass(frozen=True, slots=True)
class Change:
    """A moment at which something else could be said than before."""

    elapsed_seconds: float
    outcome: Outcome  # never a pass: the run is not over
    leak_score: float | None
    what: str  # what changed, and why


@dataclass(frozen=True, slots=True)
class Online:
    """Every change, oldest first, and the verdict at the end."""

    changes: tuple[Change, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _Standing:
    """What could be said at a time."""

    elapsed_seconds: float = 0.0
    outcome: Outcome = "inconclusive"
    failed: Mapping[str, str] | None = None  # required criteria with the reason
    leak_score: float | None = None
    leak_level: float = 0.0  # the threshold that the score has passed, 0 for none
    leak_reason: str = ""


def judge_online(
    document: Mapping[str, Any], *, detector: DetectorFactory = LeakDetector
) -> Online:
    """Judge a document at every interval of its own; takes about 5 s for a day.

    Raises DocumentError when it is no profile.
    """
    evidence = evidence_of(document)
    replays = replay(evidence, detector)
    changes: list[Change] = []
    before = _Standing()
    for standing in _standings(evidence, replays):
        if what := "; ".join(_differences(before, standing)):
            changes.append(
                Change(standing.elapsed_seconds, standing.outcome, standing.leak_score, what)
            )
        before = standing
    return Online(tuple(changes), verdict_on(evidence, replays))


def _differences(before: _Standing, now: _Standing) -> Iterator[str]:
    if now.leak_score is not None and before.leak_score is None:
        yield f"first {LEAK}: {now.leak_reason}"
    elif now.leak_level > before.leak_level:
        yield f"{LEAK} above {now.leak_level:g}: {now.leak_reason}"
    elif now.leak_level < before.leak_level:
        yield f"{LEAK} no longer above {before.leak_level:g}: {now.leak_reason}"
    failed, failed_before = now.failed or {}, before.failed or {}
    for name, reason in failed.items():
        if name not in failed_before and name != LEAK:  # that one is told by its thresholds
            yield f"{name} fails: {reason}"
    for name in failed_before:
        if name not in failed and name != LEAK:
            yield f"{name} fails no longer"


def _standings(evidence: Evidence, replays: tuple[Replayed, ...]) -> Iterator[_Standing]:
    thresholds = (evidence.profile.leak_score_fail, evidence.profile.leak_score_pass)
    for count, row in enumerate(evidence.rows, start=1):
        at = float(row["elapsed_seconds"])
        known = tuple(one.until(at) for one in replays)
        verdict = verdict_on(_until(evidence, at, count), known)
        found = worst(known)
        score = found[1].score if found else None
        yield _Standing(
            elapsed_seconds=at,
            outcome=verdict.outcome,
            failed={one.name: one.reason or one.expression for one in verdict.failed},
            leak_score=score,
            leak_level=next((one for one in thresholds if (score or 0.0) > one), 0.0),
            leak_reason=found[1].reason if found else "",
        )


def _until(evidence: Evidence, at: float, rows: int) -> Evidence:
    """Return what was known at a time."""
    actions = evidence.actions
    if actions is not None:
        actions = [one for one in actions if one["first_elapsed_seconds"] <= at]
    return replace(
        evidence,
        own_format=True,  # the predecessor's runs were once under way, too
        elapsed_seconds=at,
        ended=None,
        rows=evidence.rows[:rows],
        processes=tuple(
            _process_until(one, at) for one in evidence.processes if one.started_seconds <= at
        ),
        summary={},
        kept_records=None,
        changes=[one for one in evidence.changes if one["elapsed_seconds"] <= at],
        actions=actions,
    )


def _process_until(process: Process, at: float) -> Process:
    def ends(one: Bin) -> float:
        return process.started_seconds + (one.index + 1) * process.bin_seconds

    bins = process.bins[: bisect_right(process.bins, at, key=ends)]
    over = process.facts.get("ended_seconds", at + 1) <= at
    return replace(
        process,
        bins=bins,
        peak_rss_bytes=max((one.rss_max_bytes for one in bins), default=0),
        facts=process.facts if over else {},
    )
