"""`vigil` with a scripted streamer: `python supervised.py TARGET [arguments of vigil]`.

Multiprocess imports this module again in the child, so everything heavy stays inside.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator


def main() -> int:
    import supervisor.bootstrap
    from tests.integration import scripted_streamer

    supervisor.bootstrap.stream = getattr(scripted_streamer, sys.argv[1])
    from supervisor.command_line import run

    if os.environ.get("VIGIL_TEST_SUSPECT"):
        _suspect_everyone()
    if os.environ.get("VIGIL_TEST_BREAK"):
        _break_after_some_turns()
    return run(sys.argv[2:])


def _suspect_everyone() -> None:
    """Have growth suspected at once: the detector itself needs hours."""
    from monitor import series
    from monitor.readings import READERS, Metric, Reading

    def read(*_: object) -> Iterator[Reading]:
        if time.monotonic() - began > 5:  # some bins before it, to compare with
            yield Reading(1.0)

    began = time.monotonic()
    series.BEFORE_BINS = 3  # the memory of a process that is only starting is no floor
    READERS["leak_suspicion"] = Metric("sample", read)


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
