"""`vigil` with the real streamer and a fault built in: `python -m … HOOK [arguments of vigil]`.

The hooks are planted in the child before the streamer begins, so that production code has none.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

from streamer.config import StreamerConfig
from streamer.messages import Report

LEAK_BYTES_PER_SECOND = 10 << 20  # seconds from a ceiling to a fifth above it, where SIGKILL comes
SLOW_LEAK_BYTES_PER_SECOND = 100_000
_leak: list[bytes] = []


def _run(config: StreamerConfig) -> int:
    from streamer.run import run_streamer

    return run_streamer(config)


def _later(act) -> None:
    """Call `act` on a thread of its own once the streamer has reported, however slow its start."""
    from streamer.telemetry import Telemetry

    send, reported = Telemetry.send, threading.Event()

    def send_and_tell(telemetry, message) -> None:
        send(telemetry, message)
        if isinstance(message, Report):
            reported.set()

    def act_then() -> None:
        reported.wait()
        act()

    Telemetry.send = send_and_tell
    threading.Thread(target=act_then, daemon=True).start()


def leaks(config: StreamerConfig) -> int:
    """Grow in a thread beside the feed."""

    def grow() -> None:
        while True:
            _leak.append(os.urandom(LEAK_BYTES_PER_SECOND // 10))
            time.sleep(0.1)

    _later(grow)
    return _run(config)


def leaks_slowly(config: StreamerConfig) -> int:
    """Grow by 6 MB a minute in the first generation: seen long before it reaches a limit."""

    def grow() -> None:
        while True:
            _leak.append(os.urandom(SLOW_LEAK_BYTES_PER_SECOND))
            time.sleep(1.0)

    if config.generation == 1:
        _later(grow)
    return _run(config)


def holds_gil(config: StreamerConfig) -> int:
    """Keep the GIL inside C in the first generation, so that no Python runs any more."""
    if config.generation == 1:
        _later(lambda: ctypes.PyDLL(None).sleep(3600))
    return _run(config)


def hangs_without_term(config: StreamerConfig) -> int:
    """As `holds_gil`, and SIGTERM is ignored."""
    if config.generation == 1:

        def hang() -> None:
            ctypes.CDLL(None).signal(int(signal.SIGTERM), 1)  # 1 is SIG_IGN
            ctypes.PyDLL(None).sleep(3600)

        _later(hang)
    return _run(config)


def main() -> int:
    """Plant the hook and be `vigil`."""
    import supervisor.child_setup
    from supervisor.command_line import run
    from tests.integration import hooked_streamer  # by this name the child finds it

    supervisor.child_setup.stream = getattr(hooked_streamer, sys.argv[1])
    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
