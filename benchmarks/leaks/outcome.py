"""What a detector made of a run, reduced to what the table needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.leaks.corpus import Run
from monitor.leak import Assessment, LeakDetector

CONVICTION = 0.8


@dataclass(frozen=True, slots=True)
class Outcome:
    """One detector, one run."""

    family: str
    seed: int
    rate: float
    onset_hours: float
    detector: str
    alarm_hours: float | None  # when the score first passed 0.8, after the onset if leaking
    suspicion_hours: float | None  # 0.5
    final_score: float | None  # not latched
    rotations_seen: int  # up to the alarm
    covered: bool | None  # the last interval holds the true slope of its window
    pattern: str = ""
    covered_at_alarm: bool | None = None  # the interval of the alarm holds the true slope

    @property
    def delay_hours(self) -> float | None:
        """From the leak's beginning to the alarm; None when it was never found."""
        return None if self.alarm_hours is None else self.alarm_hours - self.onset_hours


Trace = list[tuple[float, float | None]]  # elapsed hours, score


def judge(
    run: Run, horizon_seconds: float, *, until_alarm: bool = False, explained: bool = False
) -> Outcome:
    """Feed a run to Vigil's detector, if wanted only up to the first alarm after the onset.

    With `explained` the process tells what it accounts for.
    """
    detector = LeakDetector(horizon_seconds, run.reference, accounts_for_all=True)
    trace: Trace = []
    pattern = ""
    at_alarm: bool | None = None
    last = detector.assess()
    for i, (end, memory) in enumerate(zip(run.ends, run.memory_bytes, strict=True)):
        messages = run.messages[i] if run.messages is not None else None
        accounted = memory - run.unexplained_bytes[i] if explained else None
        detector.observe(end, memory, messages, i in run.rotations, accounted)
        assessment = detector.assess()
        if assessment is not last:
            last = assessment
            trace.append((end / 3600, assessment.current_score))
            alarmed = (assessment.current_score or 0) > CONVICTION and end / 3600 >= run.onset_hours
            if alarmed and at_alarm is None:
                at_alarm = _covers(run, assessment, i)
            if not pattern and (assessment.current_score or 0) > CONVICTION:
                pattern = assessment.pattern
                if until_alarm and end / 3600 >= run.onset_hours:
                    break
    covered = _covers(run, last, len(run.leak_mb) - 1)
    outcome = outcome_of(run, "vigil", trace, covered, pattern)
    return replace(outcome, covered_at_alarm=at_alarm)


def _covers(run: Run, assessment: Assessment, at: int) -> bool | None:
    """Return whether the interval holds the mean growth of the leak in its window, up to a bin."""
    low, high, window = assessment.low, assessment.high, assessment.window_seconds
    if low is None or high is None or window is None:
        return None
    first = at - round(window / run.bin_seconds)
    grown = run.leak_mb[at] - run.leak_mb[max(first, 0)]
    return low <= grown / (window / 3600) <= high


def judge_by(run: Run, name: str, detector: Callable[[Run], Trace]) -> Outcome:
    """Feed a run to a detector that is compared."""
    return outcome_of(run, name, detector(run), None, "")


def outcome_of(
    run: Run, detector: str, trace: Trace, covered: bool | None, pattern: str
) -> Outcome:
    """Reduce a trace of scores."""
    alarm = first_above(trace, CONVICTION, run.onset_hours)
    until = math.inf if alarm is None else alarm * 3600
    return Outcome(
        family=run.family,
        seed=run.seed,
        rate=run.rate_mb_per_hour,
        onset_hours=run.onset_hours,
        detector=detector,
        alarm_hours=alarm,
        suspicion_hours=first_above(trace, 0.5, run.onset_hours),
        final_score=trace[-1][1] if trace else None,
        rotations_seen=sum((index + 1) * run.bin_seconds <= until for index in run.rotations),
        covered=covered,
        pattern=pattern,
    )


def first_above(trace: Trace, limit: float, since_hours: float) -> float | None:
    """First hour at or after another one at which a score is above the limit."""
    for hour, score in trace:
        if hour >= since_hours and score is not None and score > limit:
            return hour
    return None


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Interval of 95 % for a share."""
    if count == 0:
        return 0.0, 1.0
    z = 1.96
    share = hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)
