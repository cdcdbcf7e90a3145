"""The verdict: a pure function of a profile document, live and later alike.

A criterion that is required and has nothing to go by is inconclusive, never passed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from monitor.criteria import Criterion, Outcome, Verdict, verdict_of
from monitor.evidence import DocumentError, Evidence, evidence_of
from monitor.judge_feed import feed_criteria
from monitor.judge_memory import memory_criteria
from monitor.judge_run import run_criteria
from monitor.leak import LeakDetector
from monitor.replay import Replayed, replay
from monitor.series import DetectorFactory

__all__ = ["Criterion", "DocumentError", "Outcome", "Verdict", "concluded", "judge", "verdict_on"]


def judge(
    document: Mapping[str, Any], *, detector: DetectorFactory | None = LeakDetector
) -> Verdict:
    """Return the verdict on a document; its own `verdict` and `criteria` are not looked at.

    The leak detector is replayed over the document's bins, which takes about a second for a day.
    With `detector=None` the recorded scores are taken instead: good enough to look at during a
    run. Raises DocumentError when the document is no profile.
    """
    evidence = evidence_of(document)
    return verdict_on(evidence, None if detector is None else replay(evidence, detector))


def verdict_on(evidence: Evidence, replays: Sequence[Replayed] | None) -> Verdict:
    """Return the verdict on evidence whose leak detector was replayed already."""
    return verdict_of(
        run_criteria(evidence) + memory_criteria(evidence, replays) + feed_criteria(evidence)
    )


def concluded(
    document: Mapping[str, Any], *, detector: DetectorFactory = LeakDetector
) -> tuple[dict[str, Any], Verdict]:
    """Return the document with `verdict` and `criteria` filled in, and the verdict.

    The document goes through JSON first, so that what is judged is what will be saved.
    """
    saved: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False))
    verdict = judge(saved, detector=detector)
    saved["verdict"] = verdict.outcome
    saved["criteria"] = [asdict(one) for one in verdict.criteria]
    return saved, verdict
