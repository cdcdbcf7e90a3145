"""One child process: launched, watched by a pidfd, signalled, reaped. When to do so is policy."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import multiprocess
from multiprocess import resource_tracker

from streamer.dialing.environment import names_with_credentials
from streamer.setting_sources import is_setting
from supervisor.child_setup import HELD_SIGNALS, ChildSetup, enter

Target = Callable[..., int]
"""What runs in the child: importable by name; what it returns is the exit code."""


class Child:
    """A process in a session of its own; its `pid` is the session's id as well.

    Readiness and signals go through the pidfd, which can never mean a recycled PID; `multiprocess`
    alone reaps, or it would believe the process alive for ever.
    """

    def __init__(self, process: Any, pidfd: int, stacks_file: Path) -> None:  # noqa: ANN401
        self._process = process
        self.pid: int = process.pid
        self.pidfd = pidfd  # readable once the process has ended
        self.stacks_file = stacks_file

    @classmethod
    def launch(
        cls,
        target: Target,
        arguments: tuple[Any, ...],
        *,
        stacks_file: Path,
        output_file: Path | None = None,
    ) -> Child:
        """Start `target(*arguments)` in a fresh interpreter. Raises OSError.

        The death signal follows the thread that spawned: only the main thread may call this.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a child is launched from the main thread only")
        setup = ChildSetup(os.getpid(), stacks_file, output_file)
        process = multiprocess.get_context("spawn").Process(
            target=enter, args=(setup, target, arguments)
        )
        with _without_settings():
            # Otherwise `start` does it, and unblocks SIGINT on the way.
            resource_tracker.ensure_running()
            # A signal that comes before the child has a handler for it would kill it: its mask is
            # inherited, and `enter` lifts it.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return cls(process, os.pidfd_open(process.pid), stacks_file)

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False: the process has ended already."""
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            return False
        return True

    def has_ended(self) -> bool:
        """Say whether the process is over; it stays a zombie until `reap`."""
        return bool(select.select([self.pidfd], [], [], 0)[0])

    def reap(self) -> int:
        """Return the exit code of an ended process (negative: the signal's number), and free it.

        Until here the PID cannot be used again, so sweep the session before.
        """
        exit_code: int = self._process.exitcode
        self._process.close()
        os.close(self.pidfd)
        if self.stacks_file.exists() and self.stacks_file.stat().st_size == 0:
            self.stacks_file.unlink()  # nothing was dumped
        return exit_code


@contextmanager
def _without_settings() -> Iterator[None]:
    """Keep settings and proxies with passwords out of the environment of what is started.

    A child gets what it must know through a pipe; /proc/PID/environ shows the rest to whoever may
    read it, and everything that a child starts inherits it.
    """
    names = [name for name in os.environ if is_setting(name)]
    names += names_with_credentials(os.environ)
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)
