"""What the detector says, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Pattern = Literal[
    "none", "steady", "late", "per_rotation", "per_message", "accelerating", "fragmentation"
]

SUSPICION = 0.5  # from here on lasting growth is shown more than it is not
CONVICTION = 0.8  # above, it is a leak

_HELD_Z = 2.0  # the z that scores 0.5
# z = 4.5 scores 0.8. Calibrated on the corpus of benchmarks/leaks, not a p-value.
_STEEPNESS = math.log(CONVICTION / (1 - CONVICTION)) / (4.5 - _HELD_Z)


@dataclass(frozen=True, slots=True)
class Assessment:
    """The state of the judgement after the last evaluated bin. MB means MiB (2²⁰ bytes)."""

    score: float | None
    """0 to 1: below 0.5 no lasting growth is shown, above 0.8 a leak; None is inconclusive.

    Latched: once above 0.8 it never falls again for this process.
    """
    current_score: float | None
    """The score without the latch."""
    slope_mb_per_hour: float | None
    """Growth of the floor (what remains at the low points) in the window."""
    low: float | None
    """Lower end of the slope's interval of 90 %, in MB/h."""
    high: float | None
    """Upper end of it."""
    pattern: Pattern
    reason: str
    """For people: what was seen, and what held the score back."""
    latest_score: float | None = None
    """What the newest evidence alone would score; above the score it has yet to last."""
    held_by: tuple[str, ...] = ()
    """Names of the safeguards that kept the score below 0.5."""
    elapsed_seconds: float = 0.0
    """Age of the process at the last evaluation."""
    window_seconds: float | None = None
    """Length of the window that was decisive."""
    level_mb: float | None = None
    """The floor at the end of the window."""
    growth_mb: float | None = None
    """Growth of the fitted floor over the window."""
    mb_per_million_messages: float | None = None
    mb_per_rotation: float | None = None

    @property
    def projected_growth_24h_mb(self) -> tuple[float, float, float] | None:
        """Growth in 24 h if nothing changes: low, likely, high, in MB."""
        if self.slope_mb_per_hour is None or self.low is None or self.high is None:
            return None
        return 24 * self.low, 24 * self.slope_mb_per_hour, 24 * self.high

    def hours_to(self, limit_mb: float) -> tuple[float, float] | None:
        """Return the earliest and latest hours until the floor reaches a limit.

        The latest is infinite when the interval includes no growth; None without any estimate.
        """
        if self.level_mb is None or self.low is None or self.high is None:
            return None
        room = max(limit_mb - self.level_mb, 0.0)
        return _hours(room, self.high), _hours(room, self.low)


def _hours(room_mb: float, slope_mb_per_hour: float) -> float:
    return room_mb / slope_mb_per_hour if slope_mb_per_hour > 0 else math.inf


def score_of(z: float) -> float:
    """Map the evidence to a score: z = 2 gives 0.5, z = 4.5 gives 0.8."""
    return 1 / (1 + math.exp(-_STEEPNESS * (min(max(z, -60.0), 60.0) - _HELD_Z)))
