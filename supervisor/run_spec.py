"""What a supervisor is started for, and whether its settings fit that."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from monitor.conditions import changes
from monitor.model import Mode
from monitor.reference import Reference
from monitor.resume import Resumed, disagreements
from monitor.soak_plans import SoakPlan
from supervisor.description import environment, summary_of
from supervisor.errors import UsageError
from supervisor.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a supervisor is started for."""

    mode: Mode
    profile: SoakPlan | None = None  # of a soak
    output: Path | None = None  # where the profile goes; None: into the state directory
    reference: Reference | None = None  # a known-good run, for the leak score of a soak
    resumed: Resumed | None = None  # the part of the soak that is done

    @property
    def duration_seconds(self) -> float | None:
        """How long it is to stream; None: until it is stopped."""
        if self.resumed is not None:
            return self.resumed.remaining_seconds
        return self.profile.duration_seconds if self.profile else None


def refuse_other_settings(spec: RunSpec, settings: Settings) -> None:
    """Raise UsageError for settings under which a reference or a resumed part means nothing."""
    if spec.reference is not None:
        _refuse_another_feed(spec.reference, settings)
    if spec.resumed is not None:
        _refuse_another_soak(spec.resumed, settings)


def _refuse_another_feed(reference: Reference, settings: Settings) -> None:
    """Raise UsageError for a reference of other symbols or streams: it warms up otherwise."""
    for name, then, now in (
        ("symbols", reference.symbols, settings.exchange.symbols),
        ("streams", reference.streams, settings.exchange.streams),
    ):
        if set(then) != set(now):
            raise UsageError(
                f"--reference {reference.source}: its {name} are {', '.join(then)}, and this soak "
                f"has {', '.join(now)}; expected a run with the same ones"
            )


def _refuse_another_soak(resumed: Resumed, settings: Settings) -> None:
    """Raise UsageError for settings that make another soak of it; tell what else is different."""
    summary = summary_of(settings)
    if found := list(disagreements(resumed, summary)):
        raise UsageError(
            f"--resume {resumed.source}: {'; '.join(found)}; expected the settings that it was "
            "begun with"
        )
    log.info(
        "%s goes on after %.0f s of %.0f s",
        resumed.source,
        resumed.elapsed_seconds,
        resumed.plan.duration_seconds,
    )
    for change in changes(resumed.document, {"settings": summary, "environment": environment()}):
        log.warning("not as before the interruption: %s", change)
