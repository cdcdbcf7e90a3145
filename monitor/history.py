"""Many runs side by side: of each, what a person looks for first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from monitor.estimates import Estimate
from monitor.evidence import evidence_of
from monitor.figures import figures_of, slope_of
from monitor.leak import LeakDetector
from monitor.replay import replay
from monitor.series import DetectorFactory
from monitor.verdict import verdict_on

FIGURES: Final = (
    "memory growth", "memory", "message rate", "receive latency p99", "acknowledge latency p99",
    "cpu per message", "drops", "incidents with gaps", "missing ids",
)  # fmt: skip
"""What is told of each run, in this order."""


@dataclass(frozen=True, slots=True)
class Past:
    """One run. Its verdict is given anew, by the judgement of now."""

    source: str
    start_time: str  # ISO 8601, as it is in the profile
    soak: str | None  # name of what was asked of it; None: a service, which has no verdict
    verdict: str | None
    duration_seconds: float
    version: str | None
    figures: Mapping[str, Estimate | None]  # by the names in FIGURES
    units: Mapping[str, str]


def past_of(
    document: Mapping[str, Any], source: str, *, detector: DetectorFactory = LeakDetector
) -> Past:
    """Return what is told of a document. Raises DocumentError when it is no profile."""
    evidence = evidence_of(document)
    replays = replay(evidence, detector)
    found = figures_of(document, evidence)
    service = evidence.own_format and not document.get("profile")
    return Past(
        source=source,
        start_time=str(document["test_metadata"].get("start_time", "")),
        soak=None if service else evidence.profile.name,
        verdict=None if service else verdict_on(evidence, replays).outcome,
        duration_seconds=evidence.elapsed_seconds,
        version=_version(document),
        figures={"memory growth": slope_of(replays)}
        | {name: one.estimate for name, one in found.items() if name in FIGURES},
        units={"memory growth": "MiB/h"} | {name: one.unit for name, one in found.items()},
    )


def in_order(runs: Iterable[Past]) -> tuple[Past, ...]:
    """Return the runs by the time of their start, the newest last; by name where it is unknown."""
    return tuple(sorted(runs, key=lambda one: (_started(one), one.source)))


def _started(run: Past) -> datetime:
    try:
        at = datetime.fromisoformat(run.start_time)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)  # the predecessor wrote none


def _version(document: Mapping[str, Any]) -> str | None:
    packages = (document.get("environment") or {}).get("packages") or {}
    version = packages.get("vigil")
    return None if version is None else str(version)
