"""Whether a run became worse than the one before it: figure by figure, with intervals. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from monitor.conditions import caveats_of
from monitor.criteria import Outcome, Verdict
from monitor.estimates import Estimate
from monitor.evidence import DocumentError, Evidence, Process, evidence_of
from monitor.figures import Figure, figures_of, longest, slope_of
from monitor.leak import LeakDetector
from monitor.replay import replay
from monitor.series import DetectorFactory, curve_of
from monitor.soak_plans import DAY, DROPS_PER_DAY, HOUR, MIB
from monitor.verdict import verdict_on

Change = Literal["worse", "not_worse", "better", "cannot_tell"]

BINS_ALIKE: Final = 0.95  # of the shorter run: a curve beyond its end would be taken as flat
_RATES_ALIKE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of both runs. `change` is about the difference NEW − OLD and the margin."""

    name: str
    unit: str
    old: Estimate | None
    new: Estimate | None
    difference: Estimate | None  # with its interval of 90 %
    margin: float | None  # the smallest difference that matters
    change: Change
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became worse, and what was not the same about the two runs."""

    outcome: Outcome  # fail: something is worse, or NEW's own verdict is fail
    lines: tuple[Line, ...]
    criteria: tuple[str, ...]  # required ones that passed before and do not now
    caveats: tuple[str, ...]
    old_verdict: Outcome
    new_verdict: Outcome

    def of(self, change: Change) -> tuple[str, ...]:
        """Return the names of the figures that changed so."""
        return tuple(one.name for one in self.lines if one.change == change)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a figure is compared. A margin is the smallest difference that matters."""

    name: str
    margin: Callable[[float], float]  # by the old value
    more_is_worse: bool = True


# Shares are below what the machines of a release pipeline differ by from run to run, seldom below
# what a change of the code does; the amounts beside them keep small figures from being all noise.
_KINDS: Final = (
    _Kind("memory", lambda old: max(2.0, 0.05 * old)),
    _Kind("message rate", lambda old: 0.05 * old, more_is_worse=False),
    _Kind("receive latency", lambda old: max(5.0, 0.1 * old)),
    _Kind("receive latency p99", lambda old: max(10.0, 0.25 * old)),  # buckets are 2 to 2.5 apart
    _Kind("acknowledge latency", lambda old: max(5.0, 0.1 * old)),
    _Kind("acknowledge latency p99", lambda old: max(10.0, 0.25 * old)),
    _Kind("cpu per message", lambda old: 0.1 * old),
    # Half of what fails a soak.
    _Kind("drops", lambda _: DROPS_PER_DAY / 2 / (DAY / HOUR)),
    _Kind("incidents with gaps", lambda _: DROPS_PER_DAY / 2 / (DAY / HOUR)),
    _Kind("missing ids", lambda _: 0.0),
)


def compare(
    new: Mapping[str, Any], old: Mapping[str, Any], *, detector: DetectorFactory = LeakDetector
) -> Comparison:
    """Compare two documents. Raises DocumentError, which names the one that is no profile."""
    new_evidence, old_evidence = _evidence(new, "NEW"), _evidence(old, "OLD")
    verdicts = [verdict_on(one, replay(one, detector)) for one in (old_evidence, new_evidence)]
    until = _common_age(new_evidence, old_evidence)
    news = figures_of(new, new_evidence, until)
    olds = figures_of(old, old_evidence, until)
    lines = (
        _growth(new_evidence, old_evidence, until, detector),
        *(_line(kind, news[kind.name], olds[kind.name]) for kind in _KINDS),
    )
    changes = {one.change for one in lines}
    outcome = verdicts[1].outcome
    if "worse" in changes:
        outcome = "fail"
    elif "cannot_tell" in changes and outcome == "pass":
        outcome = "inconclusive"
    return Comparison(
        outcome=outcome,
        lines=lines,
        criteria=tuple(_no_longer_passed(*verdicts)),
        caveats=(
            *caveats_of(new, new_evidence, old, old_evidence),
            *_rate_caveat(news["message rate"], olds["message rate"]),
        ),
        old_verdict=verdicts[0].outcome,
        new_verdict=verdicts[1].outcome,
    )


def change_of(difference: Estimate, margin: float, *, more_is_worse: bool = True) -> Change:
    """Return what a difference means: only what the whole interval says is said."""
    low, high = difference.low, difference.high
    if not more_is_worse:
        low, high = -high, -low
    if low > margin:
        return "worse"
    if high < -margin:
        return "better"
    return "not_worse" if high <= margin else "cannot_tell"


def _evidence(document: Mapping[str, Any], name: str) -> Evidence:
    try:
        return evidence_of(document)
    except DocumentError as error:
        raise DocumentError(f"{name}: {error}") from None


def _line(kind: _Kind, new: Figure, old: Figure) -> Line:
    line = Line(kind.name, new.unit, old.estimate, new.estimate, None, None, "cannot_tell")
    if new.estimate is None or old.estimate is None:
        reasons = (
            f"{name}: {one.reason}" for name, one in (("OLD", old), ("NEW", new)) if one.reason
        )
        return replace(line, reason="; ".join(reasons))
    margin = kind.margin(old.estimate.value)
    difference = new.estimate - old.estimate
    change = change_of(difference, margin, more_is_worse=kind.more_is_worse)
    # What did not happen at all cannot have become worse, however short the run.
    if change == "cannot_tell" and kind.more_is_worse and new.estimate.value == 0:
        change = "not_worse"
    return replace(line, difference=difference, margin=margin, change=change)


def _growth(new: Evidence, old: Evidence, until_seconds: float, detector: DetectorFactory) -> Line:
    """Compare the slopes at equal ages: what a warm-up adds to both is no difference.

    The detector's own estimate, with the memory of OLD as the reference: its slope is that of the
    difference of the floors, and its interval takes in that neighbours resemble each other.
    """
    after, before = longest(new), longest(old)
    margin = new.profile.memory_growth_limit_bytes / MIB / (new.profile.duration_seconds / HOUR) / 2
    line = Line("memory growth", "MiB/h", None, None, None, margin, "cannot_tell")
    if after is None or before is None or not after.bins or not before.bins:
        return replace(line, reason="no samples")
    after, before = _until(after, until_seconds), _until(before, until_seconds)
    ends = [
        (one.bins[-1].index + 1) * one.bin_seconds if one.bins else 0.0 for one in (after, before)
    ]
    line = replace(line, old=_slope(old, before, detector), new=_slope(new, after, detector))
    if min(ends) < BINS_ALIKE * max(ends):
        return replace(line, reason="their samples end at different ages")
    curve = curve_of(
        before.bin_seconds,
        [one.index for one in before.bins],
        [one.rss_min_bytes for one in before.bins],
    )
    difference = _slope(replace(new, reference=curve), after, detector)
    if difference is None:
        return replace(line, reason=f"{min(ends) / 60:.0f} min in common are too few for a slope")
    return replace(line, difference=difference, change=change_of(difference, margin))


def _slope(evidence: Evidence, process: Process, detector: DetectorFactory) -> Estimate | None:
    return slope_of(replay(replace(evidence, processes=(process,)), detector))


def _common_age(new: Evidence, old: Evidence) -> float:
    """Return the age up to which a process of both was observed."""
    ages = [
        (one.bins[-1].index + 1) * one.bin_seconds
        for one in (longest(new), longest(old))
        if one is not None and one.bins
    ]
    return min(ages, default=0.0)


def _until(process: Process, seconds: float) -> Process:
    width = process.bin_seconds
    return replace(
        process, bins=tuple(one for one in process.bins if (one.index + 1) * width <= seconds)
    )


def _no_longer_passed(old: Verdict, new: Verdict) -> Iterator[str]:
    before = {one.name: one.outcome for one in old.criteria}
    for one in new.criteria:
        if one.required and one.outcome != "pass" and before.get(one.name) == "pass":
            yield f"{one.name}: {one.outcome}: {one.reason or one.expression}"


def _rate_caveat(new: Figure, old: Figure) -> Iterator[str]:
    if new.estimate is None or old.estimate is None or old.estimate.value <= 0:
        return
    if abs(new.estimate.value / old.estimate.value - 1) > _RATES_ALIKE:
        yield (
            f"message rate: {old.estimate.value:,.1f}/s before, {new.estimate.value:,.1f}/s now; "
            "latency, memory and CPU per message depend on it"
        )
