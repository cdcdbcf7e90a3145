"""`stop`: everything ends as on SIGTERM: streamers are drained first. Does not wait."""

from __future__ import annotations

from supervisor.control_client import ControlClient

_ASKING = ControlClient("stop")
add_arguments = _ASKING.add_arguments
run = _ASKING.run
