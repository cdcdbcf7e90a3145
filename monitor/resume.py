"""What a soak that was interrupted can go on from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor.evidence import DocumentError, Evidence, evidence_of, foreign, is_pattern
from monitor.reference import Reference
from monitor.segments import joined
from monitor.soak_plans import SoakPlan
from monitor.verdict import judge

INTERRUPTIONS: Final = (None, "stopped")
"""How a run that can be resumed has ended: killed with its supervisor, or stopped by a person."""

_MUST_AGREE: Final = ("sink.kind", "connection.max_age", "connection.stale_after")
"""Settings by which it is judged, or without which memory is another."""


class UnfitProfileError(DocumentError):
    """A profile that no soak can go on from: says why, and what would be right."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The part of a soak that is done."""

    source: str  # the file's name, for people
    document: Mapping[str, Any]
    plan: SoakPlan
    reference: Reference | None
    elapsed_seconds: float  # that were run and recorded

    @property
    def remaining_seconds(self) -> float:
        """How much of the planned time is left."""
        return self.plan.duration_seconds - self.elapsed_seconds


@foreign()
def resumed_from(document: Mapping[str, Any], source: str) -> Resumed:
    """Return what is resumed. Raises DocumentError, UnfitProfileError for most reasons."""
    evidence = evidence_of(document)
    if not evidence.own_format or not document.get("profile"):
        raise UnfitProfileError("it is not of a soak; expected a profile written by one")
    if evidence.ended not in INTERRUPTIONS:
        raise UnfitProfileError(
            f"it has ended ({evidence.ended}) with the verdict {document.get('verdict')}; "
            "expected one that was interrupted: stopped, or killed with its supervisor"
        )
    _refuse_incomplete(document)
    verdict = judge(document)
    if verdict.outcome == "fail":
        why = "; ".join(f"{one.name}: {one.reason or one.expression}" for one in verdict.failed)
        raise UnfitProfileError(f"it has failed already, which more time cannot mend ({why})")
    reference = document.get("reference")
    found = Resumed(
        source,
        document,
        evidence.profile,
        Reference(**{key: _frozen(value) for key, value in reference.items()})
        if reference
        else None,
        evidence.elapsed_seconds,
    )
    if verdict.outcome == "pass" or found.remaining_seconds <= 0:
        raise UnfitProfileError(
            f"{evidence.elapsed_seconds:.0f} s of its {evidence.profile.duration_seconds:.0f} s "
            "were run: nothing is left to do"
        )
    return found


def _refuse_incomplete(document: Mapping[str, Any]) -> None:
    """Try now what is done at each checkpoint: a run must not fail by what it goes on from."""
    try:
        with foreign():
            judge(joined(document, document), detector=None)
    except DocumentError as error:
        raise UnfitProfileError(f"it is incomplete, or of another version ({error})") from None


def disagreements(resumed: Resumed, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what makes another soak of it. `settings` are those of the profile to come."""
    evidence = evidence_of(resumed.document)
    names = {f"{one}:{symbol}" for one in settings["streams"] for symbol in settings["symbols"]}
    if evidence.is_of_group or any(map(is_pattern, (*settings["symbols"], *evidence.symbols))):
        # Which streams those are depends on others: then the settings are to agree.
        streams = evidence.settings.get("streams") or ()
        before = {f"{one}:{symbol}" for one in streams for symbol in evidence.symbols}
    else:
        before = _wanted_at_the_end(evidence)
    if names != before:
        yield f"its streams are {_listed(before)}, and now they are {_listed(names)}"
    effective = evidence.settings.get("effective") or {}
    for key in _MUST_AGREE:
        section, name = key.split(".")
        then, now = (one.get(section, {}).get(name) for one in (effective, settings["effective"]))
        if then != now:
            yield f"its {key} is {then}, and now it is {now}"


def _wanted_at_the_end(evidence: Evidence) -> set[str]:
    return {name for name, (_, end) in evidence.wanted.items() if end >= evidence.elapsed_seconds}


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:10]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more if shown else "none"


def _frozen(value: Any) -> Any:  # noqa: ANN401 - of JSON
    return tuple(value) if isinstance(value, list) else value
