"""The leak detector over a document again: every assessment of every process, with its time."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from monitor.evidence import Evidence, Process
from monitor.leak import Assessment
from monitor.series import DetectorFactory, LeakTrack


@dataclass(frozen=True, slots=True)
class Replayed:
    """The judgement of one process after each of its bins."""

    process: Process
    times: tuple[float, ...]  # elapsed seconds of the run
    assessments: tuple[Assessment, ...]

    @property
    def latest(self) -> Assessment | None:
        """The judgement after the last bin."""
        return self.assessments[-1] if self.assessments else None

    def until(self, elapsed_seconds: float) -> Replayed:
        """Return what was known at a time."""
        known = bisect_right(self.times, elapsed_seconds)
        return Replayed(self.process, self.times[:known], self.assessments[:known])

    def first_above(self, score: float) -> float | None:
        """Return when the score first passed a threshold."""
        for at, one in zip(self.times, self.assessments, strict=True):
            if one.score is not None and one.score > score:
                return at
        return None


def replay(evidence: Evidence, detector: DetectorFactory) -> tuple[Replayed, ...]:
    """Feed the bins of each process to a detector of its own: about a second for a day."""
    return tuple(_replayed(process, evidence, detector) for process in evidence.processes)


def worst(replays: Iterable[Replayed]) -> tuple[Process, Assessment] | None:
    """Return the process with the highest latest score; None while no process has one."""
    scored = [
        (one.process, latest)
        for one in replays
        if (latest := one.latest) is not None and latest.score is not None
    ]
    return max(scored, key=lambda each: each[1].score or 0.0, default=None)


def _replayed(process: Process, evidence: Evidence, detector: DetectorFactory) -> Replayed:
    horizon = evidence.profile.duration_seconds
    track = LeakTrack(process.bin_seconds, horizon, detector, evidence.reference)
    track.accounts_for_all = process.accounts_for_all
    assessments = []
    collections = deque(process.collections)
    for one in process.bins:
        # As in the run itself: a bin is still open while a collection in it becomes known.
        while collections and collections[0] <= one.index:
            track.collected(collections.popleft())
        assessments.append(track.add(one))
    return Replayed(
        process,
        times=tuple(
            process.started_seconds + (one.index + 1) * process.bin_seconds for one in process.bins
        ),
        assessments=tuple(assessments),
    )
