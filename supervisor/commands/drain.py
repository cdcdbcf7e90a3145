"""`drain`: as `stop`, and waits for the end: exit code 1 when not all could be delivered."""

from __future__ import annotations

from supervisor.asking import Asking
from supervisor.errors import ExitCode
from supervisor.settings import Settings


def _graces(settings: Settings) -> float:
    """Return what an ending takes at most, in seconds."""
    its = settings.supervisor
    return its.drain_grace + its.term_grace + its.abort_grace + its.kill_grace


_ASKING = Asking("drain", refused=ExitCode.INTERNAL_ERROR, within=_graces)
add_arguments = _ASKING.add_arguments
run = _ASKING.run
