"""The first lines that run in a child, before anything of the streamer is imported.

Everything here is lean on purpose: what this module imports, every streamer carries.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streamer import core_dumps
from streamer.config import StreamerConfig

_PR_SET_PDEATHSIG: Final = 1
DIAGNOSE_SIGNAL: Final = signal.SIGUSR2
"""Dumps the stacks of all threads and lets the process go on."""

_IGNORED: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1)
"""Not for a supervised streamer, which a terminal's Ctrl-C reaches until it has its own session."""
HELD_SIGNALS: Final = frozenset({*_IGNORED, DIAGNOSE_SIGNAL, signal.SIGTERM})
"""Blocked while a child is spawned: by default each of them would end it."""


@dataclass(frozen=True, slots=True)
class ChildSetup:
    """What a child must know of its parent before it becomes a streamer."""

    parent_pid: int
    stacks_file: Path  # SIGABRT and DIAGNOSE_SIGNAL write the stacks of all threads there
    output_file: Path | None = None  # stdout and stderr; None: the parent's


def enter(setup: ChildSetup, target: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    """Set the child up, run `target(*arguments)` and exit with the code that it returns."""
    die_with(setup.parent_pid)
    os.setsid()
    core_dumps.forbid()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # so far there is nothing to lose
    _dump_stacks_into(setup.stacks_file)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)  # what waits is dealt with now
    if setup.output_file is not None:
        _redirect_output(setup.output_file)
    try:
        code = target(*arguments)
    finally:
        # The interpreter gives its handlers up before it ends, and the default of each would end
        # it with another exit code than the one that says whether all is stored.
        for number in (*_IGNORED, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def stream(config: StreamerConfig) -> int:
    """Run one streamer; its imports happen here, so that the parent never makes them."""
    from streamer import logs
    from streamer.run import run_streamer

    logs.configure(config.log_format, config.log_level)
    if config.recent_log is not None:
        logs.keep_recent(config.recent_log)
    return run_streamer(config)


def die_with(parent_pid: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies, and exit if it is dead already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:  # it died between the spawn and the line above
        sys.exit(128 + signal.SIGTERM)


def _dump_stacks_into(path: Path) -> None:
    """Let SIGABRT and DIAGNOSE_SIGNAL write every thread's stack, even while C holds the GIL."""
    # Never closed: the handlers write to this descriptor for as long as the process lives.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    faulthandler.enable(descriptor, all_threads=True)
    # What is in place again when the interpreter ends and takes the handler back.
    signal.signal(DIAGNOSE_SIGNAL, signal.SIG_IGN)
    faulthandler.register(DIAGNOSE_SIGNAL, descriptor, all_threads=True)


def _redirect_output(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for stream_number in (1, 2):
        os.dup2(descriptor, stream_number)
    os.close(descriptor)
