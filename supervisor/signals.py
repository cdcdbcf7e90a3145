"""Signals become entries of a queue that the loop reads; handlers do nothing else."""

from __future__ import annotations

import os
import signal
from collections import deque
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Final

WATCHED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


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
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
