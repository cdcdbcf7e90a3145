"""Signals become entries of a queue that the loop reads; handlers do nothing else."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections import deque
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Final

WATCHED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def name_of(number: int) -> str:
    """Return `SIGTERM` for 15, `SIGRTMIN+6` for what has a number only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        first = int(signal.SIGRTMIN)
        return f"SIGRTMIN+{number - first}" if number > first else f"signal {number}"


def hold() -> None:
    """Have signals wait for a SignalQueue, from the first lines of a supervisor to its last.

    By default each of them would end the process: with no profile written at first, with no exit
    code of ours at the end. SIGUSR2 writes the stacks of all threads to stderr, as SIGABRT of
    systemd's watchdog does before the end.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # nothing is meant by it
    if not faulthandler.is_enabled():
        with suppress(OSError, ValueError, AttributeError):  # no stderr, or without descriptor
            descriptor = os.dup(sys.stderr.fileno())  # the display may replace sys.stderr
            faulthandler.enable(descriptor)
            faulthandler.register(signal.SIGUSR2, descriptor)


class SignalQueue:
    """A context in which signals queue up; `fileno` is readable when some are there."""

    def __init__(self, watched: tuple[signal.Signals, ...] = WATCHED) -> None:
        self._watched = watched
        self._queue: deque[signal.Signals] = deque()
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> SignalQueue:
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # The handlers run between two instructions of Python; the pipe ends a poll at once.
        self._previous_wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in self._watched:
            self._previous[number] = signal.signal(number, self._enqueue)
        # What was held comes now.
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, self._watched)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_wakeup)
        os.close(self._read_end)
        os.close(self._write_end)

    def fileno(self) -> int:
        """Return what to poll."""
        return self._read_end

    def take(self) -> list[signal.Signals]:
        """Return the signals that came since the last call, oldest first."""
        with suppress(BlockingIOError):
            while os.read(self._read_end, 512):
                pass
        taken = []
        while self._queue:
            taken.append(self._queue.popleft())
        return taken

    def _enqueue(self, number: int, frame: FrameType | None) -> None:
        self._queue.append(signal.Signals(number))
