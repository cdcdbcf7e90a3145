"""What the memory of a run is judged to be, where one sample more or less would tip it."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.criteria import Criterion
from monitor.soak_plans import MIB, PROFILES
from monitor.verdict import judge
from tests.unit.monitor.runs import Run

SMOKE = PROFILES["smoke"]
LIMIT_MIB = SMOKE.memory_growth_limit_bytes / MIB


def growth(late_share: float, late_mib: float) -> Criterion:
    """Return the judgement of a run whose memory in its last third is often higher."""

    def in_sample(at: int) -> dict[str, Any]:
        high = at > 80 and at % 10 < 10 * late_share
        return {"rss_mib": 60.0 + (late_mib if high else 0.0)}

    run = Run(SMOKE).seconds(SMOKE.duration_seconds, in_sample=in_sample).end()
    verdict = judge(run.document())
    return next(one for one in verdict.criteria if one.name == "memory growth")


@pytest.mark.parametrize(
    ("late_share", "late_mib", "outcome"),
    [
        (1.0, LIMIT_MIB - 1, "pass"),
        (1.0, LIMIT_MIB, "fail"),
        (0.8, LIMIT_MIB + 1, "inconclusive"),  # mostly above, but it came back down
        (0.2, LIMIT_MIB + 1, "pass"),  # peaks are no growth
    ],
)
def test_growth_is_judged_by_its_whole_interval(
    late_share: float, late_mib: float, outcome: str
) -> None:
    judged = growth(late_share, late_mib)
    assert judged.outcome == outcome, judged.reason
