"""`collect`: streamers collect garbage and give freed memory back; the figures are theirs."""

from __future__ import annotations

from supervisor.control_client import ControlClient

_ASKING = ControlClient("collect", one_streamer=True)
add_arguments = _ASKING.add_arguments
run = _ASKING.run
