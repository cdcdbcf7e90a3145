"""`rotate`: every connection is replaced by a new one, without a hole; the old one goes last."""

from __future__ import annotations

from supervisor.control_client import ControlClient

_ASKING = ControlClient("rotate", one_streamer=True)
add_arguments = _ASKING.add_arguments
run = _ASKING.run
