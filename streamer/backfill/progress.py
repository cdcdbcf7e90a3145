"""How far a back-fill has come: one line that is written again, or a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

TERMINAL_SECONDS, PLAIN_SECONDS = 0.2, 10.0  # between two looks of a person, and in a log


class Progress:
    """Writes to a stream for people; `clock` is monotonic, in seconds."""

    def __init__(
        self,
        stream: TextIO,
        *,
        is_terminal: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._is_terminal = is_terminal
        self._every = TERMINAL_SECONDS if is_terminal else PLAIN_SECONDS
        self._clock = clock
        self._name, self._of, self._done, self._total = "", "", 0, 0
        self._began = self._shown_at = clock()
        self._is_shown = False  # a line that is to be cleared before another one

    def begin(self, name: str, total: int = 0) -> None:
        """Begin with something that has so many parts; 0: nobody knows."""
        self._name, self._done, self._total = name, 0, total
        self._of = f" of {total:,}" if total else ""
        self._began = self._shown_at = self._clock()

    def count(self, parts: int = 1) -> None:
        """Count what is done."""
        self._done += parts
        now = self._clock()
        if now - self._shown_at >= self._every:
            self._shown_at = now
            self._show(now)

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self._write(("\r\x1b[K" if self._is_shown else "") + text + "\n")
        self._is_shown = False

    def _show(self, now: float) -> None:
        seconds = max(now - self._began, 0.001)
        rate = self._done / seconds
        text = f"{self._name}: {self._done:,}{self._of} ids, {rate:,.0f} a second"
        left = self._total - self._done
        if rate and left > 0:
            text += f", {_duration(left / rate)} left"
        if not self._is_terminal:
            self._write(text + "\n")
            return
        self._write(f"\r\x1b[K{text}")
        self._is_shown = True

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else (f"{minutes} min" if minutes else f"{seconds:.0f} s")
    )
