"""The wish to stop, heard where nothing is half-done."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SLICE_SECONDS = 0.2  # of a pause, after which the wish is heard


class Stopped(Exception):  # noqa: N818 - no error: somebody asked for it
    """Somebody asked to stop."""


class Stop:
    """TERM and INT ask to stop; the second of them ends the process as if it were killed."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear signals while the block lasts, if this is the main thread."""
        numbers: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT)
        if threading.current_thread() is not threading.main_thread():
            numbers = ()
        before = [(number, signal.signal(number, self._hear)) for number in numbers]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def check(self) -> None:
        """Raise Stopped when somebody has asked to."""
        if self.asked:
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Wait. Raises Stopped."""
        end = time.monotonic() + seconds
        while True:
            self.check()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, SLICE_SECONDS))

    def time(self) -> float:
        """Return the Unix time in seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return a time in seconds that is never set."""
        return time.monotonic()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
