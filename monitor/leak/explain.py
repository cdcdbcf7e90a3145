"""From evidence to an assessment with words."""

from __future__ import annotations

from monitor.leak.assessment import CONVICTION, SUSPICION, Assessment, Pattern, score_of
from monitor.leak.evidence import HELD_Z, Evidence
from monitor.leak.pattern import pattern_of

_HELD = {
    "small": "the growth is small beside noise and level",
    "given back": "a collection with a trim gave most of it back: fragmentation",
    "slowing": "the growth slows down",
    "seen before": "most of it only returns to a level reached before",
    "few steps": "one or two steps make most of it",
}


def too_early(elapsed_seconds: float, wanted_seconds: float) -> Assessment:
    """Return the assessment before the shortest window is full."""
    return Assessment(
        score=None,
        current_score=None,
        slope_mb_per_hour=None,
        low=None,
        high=None,
        pattern="none",
        reason=f"too early: {wanted_seconds / 60:.0f} min of samples are needed",
        elapsed_seconds=elapsed_seconds,
    )


def explain(
    evidence: Evidence, score: float, current_score: float, elapsed_seconds: float
) -> Assessment:
    """Say what the evidence means."""
    floors, fit = evidence.floors, evidence.chosen
    low, high = evidence.interval
    pattern: Pattern = "none"
    per_million = None
    if "given back" in evidence.held_by:
        pattern = "fragmentation"
    elif score > SUSPICION:
        pattern, per_million = pattern_of(evidence)
    turning = evidence.rotation
    return Assessment(
        score=score,
        current_score=current_score,
        slope_mb_per_hour=fit.slope,
        low=low,
        high=high,
        pattern=pattern,
        reason=_reason(evidence, score, current_score, per_million),
        latest_score=score_of(evidence.z),
        held_by=evidence.held_by,
        elapsed_seconds=elapsed_seconds,
        window_seconds=floors.window_hours * 3600,
        level_mb=floors.level_mb,
        growth_mb=fit.slope * floors.window_hours,
        mb_per_million_messages=per_million,
        mb_per_rotation=None if turning is None else turning.mb_per_rotation,
    )


def _reason(
    evidence: Evidence, score: float, current_score: float, per_million: float | None
) -> str:
    low, high = evidence.interval
    seen = (
        f"{evidence.chosen.slope:+.1f} MB/h ({low:.1f} to {high:.1f}) over the last "
        f"{evidence.floors.window_hours:.1f} h"
    )
    if evidence.rotation is not None:
        seen += (
            f"; {evidence.rotation.mb_per_rotation:.1f} MB stay at each of the last "
            f"{evidence.rotation.count} rotations"
        )
    if per_million is not None:
        seen += f"; {per_million:.2f} MB per million messages"
    if current_score > CONVICTION:
        return f"a leak: {seen}"
    if score > CONVICTION:
        return f"a leak was shown before, and that stands; now {seen}"
    held = [_HELD[name] for name in evidence.held_by] if evidence.raw_z > HELD_Z else []
    if evidence.z > HELD_Z:
        held.append("it has not been so clear for long enough")
    verdict = "suspected" if score > SUSPICION else "no lasting growth shown"
    return f"{verdict}: {seen}" + (f"; held back: {', '.join(held)}" if held else "")
