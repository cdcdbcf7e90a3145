"""The supervisor with a streamer that leaks: `python -m benchmarks.leaking [supervisor's own]`.

Multiprocess imports this module again in the child, so everything heavy stays inside.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.config import StreamerConfig

RATE_VARIABLE = "BENCH_LEAK_MIB_PER_SECOND"
_BEGIN_SECONDS = 5.0  # reports are coming by then
_STEPS_PER_SECOND = 20
_kept: list[bytearray] = []


def leak(config: StreamerConfig) -> int:
    """Stream, and grow steadily from a thread beside."""
    from supervisor.child_setup import stream

    threading.Thread(target=_grow, daemon=True).start()
    return stream(config)


def _grow() -> None:
    step_bytes = int(float(os.environ[RATE_VARIABLE]) * (1 << 20)) // _STEPS_PER_SECOND
    time.sleep(_BEGIN_SECONDS)
    while True:
        _kept.append(bytearray(b"x") * step_bytes)  # written to, so that it is resident
        time.sleep(1 / _STEPS_PER_SECOND)


def main() -> int:
    """Run the supervisor's command line with another target."""
    import supervisor.child_setup
    from benchmarks import leaking  # by the name under which the child can import it

    supervisor.child_setup.stream = leaking.leak  # before anyone takes the real one
    from supervisor.command_line import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
