"""`drain`: as `stop`, and waits for the end: exit code 1 when not all could be delivered."""

from __future__ import annotations

from pathlib import Path

from supervisor.control_client import MARGIN_SECONDS, ControlClient
from supervisor.control_server import ANSWER_WITHIN_SECONDS
from supervisor.control_socket import ask
from supervisor.errors import ExitCode


def _ending(directory: Path) -> float:
    """Return what an ending takes at most, by the grace periods that it runs with."""
    status = ask(directory, "status", ANSWER_WITHIN_SECONDS + MARGIN_SECONDS)
    return float(status["result"]["ending_seconds"])


_ASKING = ControlClient("drain", refused=ExitCode.INTERNAL_ERROR, within=_ending)
add_arguments = _ASKING.add_arguments
run = _ASKING.run
