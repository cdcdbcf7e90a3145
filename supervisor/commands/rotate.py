"""`rotate`: every connection is replaced by a new one, without a hole; the old one goes last."""

from __future__ import annotations

from supervisor.asking import Asking

_ASKING = Asking("rotate", one_streamer=True)
add_arguments = _ASKING.add_arguments
run = _ASKING.run
