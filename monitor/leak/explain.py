"""From evidence to an assessment with words."""

from __future__ import annotations

from monitor.leak.assessment import CONVICTION, SUSPICION, Assessment, Pattern
from monitor.leak.bins import Bins
from monitor.leak.evidence import Evidence

_HELD = {
    "small": "the growth is small beside noise and level",
    "slowing": "the growth slows down",
    "one step": "one step makes most of it",
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
    bins: Bins, evidence: Evidence, score: float, current_score: float, elapsed_seconds: float
) -> Assessment:
    """Say what the evidence means."""
    floors, fit = evidence.floors, evidence.chosen
    low, high = evidence.interval
    pattern = _pattern(evidence) if score > SUSPICION else "none"
    seen = (
        f"{fit.slope:+.1f} MB/h ({low:.1f} to {high:.1f}) over the last {floors.window_hours:.1f} h"
    )
    if score > CONVICTION:
        reason = f"a leak: {seen}"
    elif score > SUSPICION:
        reason = f"suspected: {seen}, not yet for long or clearly enough"
    else:
        reason = f"no lasting growth shown: {seen}"
        if evidence.held_by and evidence.raw_z > 0:
            reason += "; " + ", ".join(_HELD[name] for name in evidence.held_by)
    return Assessment(
        score=score,
        current_score=current_score,
        slope_mb_per_hour=fit.slope,
        low=low,
        high=high,
        pattern=pattern,
        reason=reason,
        held_by=evidence.held_by,
        elapsed_seconds=elapsed_seconds,
        window_seconds=floors.window_hours * 3600,
        level_mb=floors.floor_mb[-1],
        growth_mb=fit.slope * floors.window_hours,
    )


def _pattern(evidence: Evidence) -> Pattern:
    return "late" if evidence.halvings else "steady"
