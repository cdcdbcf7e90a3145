"""What a criterion is: the smallest part of a verdict, with its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Criterion:
    """One question that was put to the document, and its answer."""

    name: str
    expression: str  # what must hold, for people
    observed: float | None  # in `unit`; None when there is nothing to go by
    limit: float | None
    unit: str
    outcome: Outcome
    required: bool  # False: told, but the verdict does not depend on it
    samples: int  # how many observations it rests on
    first_breach: float | None = None  # elapsed seconds
    reason: str = ""  # why inconclusive, or what failed


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a run and what it rests on."""

    outcome: Outcome
    criteria: tuple[Criterion, ...]

    @property
    def failed(self) -> tuple[Criterion, ...]:
        """Required criteria that failed."""
        return tuple(one for one in self.criteria if one.required and one.outcome == "fail")

    @property
    def open(self) -> tuple[Criterion, ...]:
        """Required criteria that could not be answered."""
        return tuple(one for one in self.criteria if one.required and one.outcome == "inconclusive")


def verdict_of(criteria: tuple[Criterion, ...]) -> Verdict:
    """Return the verdict: one required failure fails, one required open question leaves it open."""
    outcomes = {one.outcome for one in criteria if one.required}
    outcome: Outcome = "pass" if outcomes == {"pass"} else "inconclusive"
    if "fail" in outcomes:
        outcome = "fail"
    return Verdict(outcome, criteria)
