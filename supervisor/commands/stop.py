"""`stop`: everything ends as on SIGTERM: streamers are drained first. Does not wait."""

from __future__ import annotations

from supervisor.asking import Asking

_ASKING = Asking("stop")
add_arguments = _ASKING.add_arguments
run = _ASKING.run
