"""`vigil` with a scripted streamer: `python supervised.py TARGET [arguments of vigil]`.

Multiprocess imports this module again in the child, so everything heavy stays inside.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

HOARDING_BYTES = 50 << 20
"""More than a process has that only starts, less than one that hoards."""

STEADY_BYTES = 1 << 20
"""By how much the floors of a process differ at most that has all it will hoard."""


def main() -> int:
    import supervisor.child_setup
    from tests.integration import scripted_streamer

    supervisor.child_setup.stream = getattr(scripted_streamer, sys.argv[1])
    from supervisor.command_line import run

    if os.environ.get("VIGIL_TEST_SUSPECT"):
        _suspect_everyone()
    if file := os.environ.get("VIGIL_TEST_BREAK"):
        _break_once_there_is(Path(file))
    return run(sys.argv[2:])


def _suspect_everyone() -> None:
    """Have growth suspected at once: the detector itself needs hours."""
    from monitor import series
    from monitor.measurements import READERS, Measurement, Metric
    from monitor.state import Child

    def read(_state: object, child: Child, *_: object) -> Iterator[Measurement]:
        # The whole floor before it is that of the grown process, however slowly it has started:
        # one that was seen while it grew is above what a start takes, and below what it will hold.
        lows = child.process.leak._lows
        lowest = min(lows, default=0)
        if lowest >= HOARDING_BYTES and max(lows) - lowest < STEADY_BYTES:
            yield Measurement(1.0)

    series.BEFORE_BINS = 3  # the memory of a process that is only starting is no floor
    READERS["leak_suspicion"] = Metric("sample", read)


def _break_once_there_is(file: Path) -> None:
    """Let the loop fail as a mistake of ours would, as soon as there is such a file."""
    from supervisor.service import Service

    turn = Service._turn

    def broken(self: Service, signals: object) -> None:
        if file.exists():
            raise RuntimeError("a mistake of ours")
        turn(self, signals)  # type: ignore[arg-type]

    Service._turn = broken  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    sys.exit(main())
