"""`reload`: a running supervisor reads its settings again, as on SIGHUP, and tells the outcome."""

from __future__ import annotations

from supervisor.control_client import ControlClient

_ASKING = ControlClient("reload")
add_arguments = _ASKING.add_arguments
run = _ASKING.run
