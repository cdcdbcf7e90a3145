"""`vigil` with a scripted streamer: `python supervised.py TARGET [arguments of vigil]`.

Multiprocess imports this module again in the child, so everything heavy stays inside.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    import supervisor.bootstrap
    from tests.integration import scripted_streamer

    supervisor.bootstrap.stream = getattr(scripted_streamer, sys.argv[1])
    from supervisor.command_line import run

    if os.environ.get("VIGIL_TEST_BREAK"):
        _break_after_some_turns()
    return run(sys.argv[2:])


def _break_after_some_turns() -> None:
    """Let the loop fail as a mistake of ours would."""
    from supervisor.service import Service

    turn, turns = Service._turn, iter(range(30))

    def broken(self: Service, signals: object) -> None:
        if next(turns, None) is None:
            raise RuntimeError("a mistake of ours")
        turn(self, signals)  # type: ignore[arg-type]

    Service._turn = broken  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    sys.exit(main())
