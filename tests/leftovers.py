"""Kills what a run of the tests leaves behind, however the run itself has ended.

Fixtures end their processes, but not when pytest ends without them: by SIGKILL, a crash of the
interpreter, or `--timeout-method=thread`, which calls os._exit. So a process of its own waits for
the end of pytest (of each worker) and then kills whatever has inherited the run's token.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

VARIABLE = "VIGIL_TESTS_RUN"
"""In the environment of everything that a run starts; its value is the run's token."""
_QUIET_SECONDS = 0.5  # by then a process that was being forked has been seen
_LOOK_SECONDS = 0.05
_GIVE_UP_SECONDS = 30.0  # a process that waits for a disk cannot be killed


def pytest_sessionstart() -> None:
    """Have pytest call it in each of its processes."""
    kill_after_this_process()


def kill_after_this_process() -> None:
    """Start the process that waits; what is started from now on has the token."""
    token = uuid.uuid4().hex
    without = {name: value for name, value in os.environ.items() if name != VARIABLE}
    subprocess.Popen(
        [sys.executable, "-S", __file__, str(os.getpid()), token],
        env=without,
        # Whoever reads what pytest prints waits for the last process that could write it.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a terminal's signals are for pytest
    )
    os.environ[VARIABLE] = token


def main() -> None:
    """Wait for the parent process to end, then kill what has its token."""
    parent, token = int(sys.argv[1]), sys.argv[2]
    with suppress(ProcessLookupError):  # it has ended already
        descriptor = os.pidfd_open(parent)
        if os.getppid() == parent:  # and this number is no other process's by now
            select.select([descriptor], [], [])
    begun = quiet_since = time.monotonic()
    while (now := time.monotonic()) < min(quiet_since + _QUIET_SECONDS, begun + _GIVE_UP_SECONDS):
        for pid in having(token):
            quiet_since = now
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)


def having(token: str) -> list[int]:
    """Return the processes that were started with the token in their environment."""
    entry = f"{VARIABLE}={token}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it ends right now, or is another user's
            if entry in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


if __name__ == "__main__":
    main()
