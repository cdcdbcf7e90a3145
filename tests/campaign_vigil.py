"""`vigil` for the campaign: `python -m tests.campaign_vigil HOOK [arguments of vigil]`.

Lines in the pipe `VIGIL_TEST_COMMANDS`, such as rotate, go to every streamer as commands do. HOOK
is none, or what is disabled in the child (`tests.campaign_hooks`); production code has neither.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def main() -> int:
    """Plant both and be `vigil`."""
    import supervisor.bootstrap
    from supervisor.command_line import run
    from tests import campaign_hooks

    if sys.argv[1] != "none":
        supervisor.bootstrap.stream = getattr(campaign_hooks, sys.argv[1])
    if path := os.environ.get("VIGIL_TEST_COMMANDS"):
        _take_commands(path)
    return run(sys.argv[2:])


def _take_commands(path: str) -> None:
    from supervisor.service import Service

    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    receive = Service._receive

    def receive_and_ask(self: Service, now: float, time: float) -> None:
        receive(self, now, time)
        try:
            commands = os.read(pipe, 4096).decode().split()
        except BlockingIOError:
            return
        for command in commands:
            for member in self.parts.fleet:
                arguments: dict[str, Any] = {"reason": "command"} if command == "rotate" else {}
                self.parts.control._ask(member.lifecycle.name, command, now, arguments)

    Service._receive = receive_and_ask  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main())
