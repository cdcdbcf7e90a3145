"""`restart`: streamers are drained and launched again, one that waits for that at once."""

from __future__ import annotations

from supervisor.control_client import ControlClient

_ASKING = ControlClient("restart", one_streamer=True)
add_arguments = _ASKING.add_arguments
run = _ASKING.run
