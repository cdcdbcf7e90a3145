"""Criteria on the run itself: was enough of it seen, and did its processes stay well."""

from __future__ import annotations

from datetime import timedelta

from monitor.criteria import Criterion, Outcome
from monitor.evidence import Evidence
from monitor.rules import HEARTBEAT_SECONDS

CHANGES_SHOWN = 5  # of settings and environment; the profile has all

_CUT_SHORT = {
    None: "the run has not ended, or its end was not recorded",
    "stopped": "stopped by a person",
    "aborted": "ended by a rule",
    "streamer_ended": "ended by the end of a streamer",
    "error": "ended by a fault of the supervisor",
}


def run_criteria(evidence: Evidence) -> tuple[Criterion, ...]:
    """Return the criteria on the run."""
    return (
        _duration(evidence),
        _samples(evidence),
        _heartbeat(evidence),
        _ends(evidence),
        _rules(evidence),
        *(_segments(evidence) if evidence.segments else ()),
    )


def _duration(evidence: Evidence) -> Criterion:
    share = evidence.elapsed_seconds / evidence.profile.duration_seconds
    return Criterion(
        name="duration",
        expression="part of the planned time that was run ≥ limit",
        observed=share,
        limit=evidence.profile.duration_coverage,
        unit="share",
        outcome=_coverage(evidence, share, evidence.profile.duration_coverage),
        required=True,
        samples=1,
        reason=_why(evidence),
    )


def _samples(evidence: Evidence) -> Criterion:
    profile = evidence.profile
    planned = profile.duration_seconds / profile.sample_interval_seconds
    share = len(evidence.rows) / planned
    outcome = _coverage(evidence, share, profile.sample_coverage)
    return Criterion(
        name="samples",
        expression=f"part of the {planned:g} planned samples that was taken ≥ limit",
        observed=share,
        limit=profile.sample_coverage,
        unit="share",
        outcome=outcome if evidence.rows else "inconclusive",
        required=True,
        samples=len(evidence.rows),
        reason=_why(evidence),
    )


def _segments(evidence: Evidence) -> tuple[Criterion, ...]:
    """Tell of a resumed run what it consists of, and what was between."""
    told: list[str] = []
    for one in evidence.segments:
        facts = one.facts
        between, changed = facts.get("between_seconds"), facts.get("changes") or ()
        if told:
            away = "an unknown time" if between is None else _clock(between)
            told.append(f"nothing for {away}")
        said = (
            f"{_clock(one.ended_seconds - one.started_seconds)} from {facts['start_time']} by "
            f"version {facts['version'] or 'unknown'} ({facts['ended'] or 'killed'})"
        )
        if changed:
            more = len(changed) - CHANGES_SHOWN
            said += f" with {'; '.join(changed[:CHANGES_SHOWN])}"
            said += f"; {more} more" if more > 0 else ""
        told.append(said)
    return (
        Criterion(
            name="segments",
            expression="parts of a run that was resumed, told only",
            observed=len(evidence.segments),
            limit=None,
            unit="count",
            outcome="pass",
            required=False,
            samples=len(evidence.segments),
            reason=", then ".join(told),
        ),
    )


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _coverage(evidence: Evidence, share: float, limit: float) -> Outcome:
    if share >= limit:
        return "pass"
    return "inconclusive" if evidence.cut_short else "fail"


def _why(evidence: Evidence) -> str:
    return _CUT_SHORT.get(evidence.ended, "") if evidence.cut_short else ""


def _heartbeat(evidence: Evidence) -> Criterion:
    facts = [one.facts for one in evidence.processes if one.facts.get("reports")]
    gap = max((one["longest_report_gap_seconds"] for one in facts), default=None)
    return Criterion(
        name="heartbeat",
        expression="time between two reports of a streamer ≤ limit",
        observed=gap,
        limit=HEARTBEAT_SECONDS,
        unit="s",
        outcome="inconclusive" if gap is None else "fail" if gap > HEARTBEAT_SECONDS else "pass",
        required=True,
        samples=sum(one["reports"] for one in facts),
        reason="" if facts else "no reports",
    )


def _ends(evidence: Evidence) -> Criterion:
    known = [one for one in evidence.processes if one.facts]
    ends = [one for one in known if one.facts["exit_expected"] is False]
    first = min((one.facts["ended_seconds"] for one in ends), default=None)
    return Criterion(
        name="streamer stayed up",
        expression="unplanned ends of a streamer ≤ limit",
        observed=len(ends) if known else None,
        limit=0,
        unit="count",
        outcome=("fail" if ends else "pass") if known else "inconclusive",
        required=True,
        samples=len(known),
        first_breach=first,
        reason="; ".join(f"{one} ended with {one.facts['exit_code']}" for one in ends)
        if known
        else "not recorded",
    )


def _rules(evidence: Evidence) -> Criterion:
    known = evidence.actions is not None and bool(evidence.rows)
    severe = [one for one in evidence.actions or () if one["action"] in ("abort", "fail")]
    breached = known or bool(severe)
    return Criterion(
        name="rules",
        expression="rules that ended the run or marked its verdict ≤ limit",
        observed=len(severe) if breached else None,
        limit=0,
        unit="count",
        outcome="fail" if severe else "pass" if known else "inconclusive",
        required=True,
        samples=len(evidence.rows),
        first_breach=min((one["first_elapsed_seconds"] for one in severe), default=None),
        reason="; ".join(one["message"] for one in severe) if breached else "not recorded",
    )
