"""Frames recorded from a real exchange, sent again byte for byte. Pure but for reading the file.

Format: first line `<url> <-> <time>`, then lines `receive time: frame`; times in Unix seconds.
"""

from __future__ import annotations

import json
from pathlib import Path

_AT_ONCE = 1000  # frames per turn when as fast as possible, so that the loop stays responsive


class RecordingError(ValueError):
    """A file that is no recording; says where."""


class Replay:
    """A recording and how far it has been sent. Times are Unix µs."""

    def __init__(
        self, recorded: list[tuple[float, str, bytes]], speed: float, delay_seconds: float
    ) -> None:
        self.names = frozenset(name for _, name, _ in recorded)
        self.total = len(recorded)
        self.sent = 0
        self._recorded = recorded
        self._speed = speed
        self._delay = int(delay_seconds * 1e6)
        self._started: int | None = None

    def start(self, now: int) -> None:
        """Begin, once somebody listens; later calls change nothing."""
        if self._started is None:
            self._started = now + self._delay

    def due(self, now: int) -> list[tuple[str, bytes]]:
        """Return the stream names and frames to send now, each frame once."""
        begin = self.sent
        while self.sent < min(self.total, begin + _AT_ONCE) and self._time(self.sent) <= now:
            self.sent += 1
        return [(name, recorded) for _, name, recorded in self._recorded[begin : self.sent]]

    def next_time(self, now: int) -> int:
        """Return when the next frame is due; far away when there is none."""
        return self._time(self.sent) if self.sent < self.total else now + 1_000_000

    def symbols(self) -> set[str]:
        """Return the symbols of the recorded streams."""
        return {name.partition("@")[0].upper() for name in self.names}

    def _time(self, position: int) -> int:
        if self._started is None:
            return 1 << 62
        if self._speed == 0:
            return self._started
        since = self._recorded[position][0] - self._recorded[0][0]
        return self._started + int(since / self._speed * 1e6)


def read(path: Path) -> list[tuple[float, str, bytes]]:
    """Return (receive time, stream name, frame) of every line; raises RecordingError, OSError."""
    lines = path.read_bytes().split(b"\n")
    if b" <-> " not in lines[0]:
        raise RecordingError(f"{path}: the first line is no `<url> <-> <time>`")
    recorded = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        time, _, frame = line.partition(b": ")
        try:
            name = json.loads(frame)["stream"]
            recorded.append((float(time), str(name), frame))
        except (ValueError, KeyError, TypeError):
            raise RecordingError(
                f"{path}:{number}: no `time: frame` of a combined stream"
            ) from None
    return recorded
