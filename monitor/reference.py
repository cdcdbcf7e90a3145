"""The memory of a known-good run: what its warm-up explains in the next one is no leak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.evidence import DocumentError, Evidence, evidence_of
from monitor.series import Curve, curve_of
from monitor.verdict import judge

# What is beyond a reference's end would be judged as if nothing could grow there any more.
COVERED_SHARE = 0.95
SHORTEST_SECONDS = 1800.0  # the detector's first score with a reserve; sooner there is none


class UnfitReferenceError(DocumentError):
    """A profile that cannot serve as a reference: says why, and what would be right."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The lowest memory in each bin of a process that is known to be good."""

    source: str  # the file's name, for people
    start_time: str  # of that run, ISO 8601
    symbols: tuple[str, ...]
    streams: tuple[str, ...]
    bin_seconds: float
    index: tuple[int, ...]
    rss_min_bytes: tuple[int, ...]

    @property
    def curve(self) -> Curve:
        """Elapsed seconds and memory in bytes, oldest first."""
        return curve_of(self.bin_seconds, self.index, self.rss_min_bytes)

    @property
    def covers_seconds(self) -> float:
        """How long its process was observed."""
        return (self.index[-1] + 1) * self.bin_seconds if self.index else 0.0


def reference_from(document: Mapping[str, Any], source: str, duration_seconds: float) -> Reference:
    """Return the reference that a saved profile makes for a soak of a duration.

    It is judged again, whatever is written in it. Raises UnfitReferenceError.
    """
    if duration_seconds < SHORTEST_SECONDS:
        raise UnfitReferenceError(
            f"a soak of {duration_seconds:g} s is too short for a leak score, with a reference "
            f"or without; expected at least {SHORTEST_SECONDS:g} s"
        )
    try:
        evidence = evidence_of(document)
    except DocumentError as error:
        raise UnfitReferenceError(str(error)) from None
    if not evidence.own_format:
        raise UnfitReferenceError("it has no schema_version; expected a profile written by a soak")
    _refuse_failures(document)
    return _reference(evidence, document, source, duration_seconds)


def _refuse_failures(document: Mapping[str, Any]) -> None:
    verdict = judge(document)
    if verdict.outcome != "pass":
        why = ", ".join(one.name for one in verdict.failed or verdict.open)
        raise UnfitReferenceError(
            f"its verdict is {verdict.outcome} ({why}); expected one that passed"
        )
    # Over an hour from a cold start the score is only informational, but not meaningless.
    leak = next(one for one in verdict.criteria if one.name == "leak score")
    if leak.outcome == "fail":
        raise UnfitReferenceError(f"it shows a leak itself: {leak.reason}")


def _reference(
    evidence: Evidence, document: Mapping[str, Any], source: str, duration_seconds: float
) -> Reference:
    process = max(evidence.processes, key=lambda one: len(one.bins))
    reference = Reference(
        source=source,
        start_time=str(document["test_metadata"].get("start_time", "")),
        symbols=evidence.symbols,
        streams=tuple(evidence.settings.get("streams") or ()),
        bin_seconds=process.bin_seconds,
        index=tuple(one.index for one in process.bins),
        rss_min_bytes=tuple(one.rss_min_bytes for one in process.bins),
    )
    if reference.covers_seconds < COVERED_SHARE * duration_seconds:
        raise UnfitReferenceError(
            f"it covers {reference.covers_seconds:g} s of a process, and the soak takes "
            f"{duration_seconds:g} s; expected a run at least as long"
        )
    return reference
