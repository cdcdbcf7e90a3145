"""Whether the supervisor keeps up: a judge that is late judges the past. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_SECONDS = 10.0  # a collection of garbage or a slow disk is over by then
BUSY_RATIO = 0.9  # of the window, outside of the wait for something to do
DELAY_SECONDS = 3.0  # a rule is to act within two sampling periods of a second each


@dataclass(frozen=True, slots=True)
class Load:
    """What the loop of the supervisor had to do lately."""

    busy_ratio: float  # of the last 10 s, 0 to 1
    report_delay_seconds: float  # from the making of a report to its judgement, the latest

    @property
    def is_overloaded(self) -> bool:
        """Whether more comes than can be judged."""
        return self.busy_ratio > BUSY_RATIO or self.report_delay_seconds > DELAY_SECONDS

    def __str__(self) -> str:
        return (
            f"busy for {self.busy_ratio:.0%} of the time, "
            f"reports are judged after {self.report_delay_seconds:.1f} s"
        )


class LoadWatch:
    """Measures the load, turn by turn. Times are monotonic."""

    def __init__(self, now: float) -> None:
        self._turns: deque[tuple[float, float]] = deque()  # its end, and how long it was busy
        self._since = now
        self._delay_seconds = 0.0

    def turned(self, woke: float, ended: float) -> None:
        """Take a turn of the loop: when its wait was over, and when it was."""
        self._turns.append((ended, ended - woke))
        while len(self._turns) > 1 and self._turns[0][0] < ended - WINDOW_SECONDS:
            self._since = self._turns.popleft()[0]

    def reported(self, delay_seconds: float) -> None:
        """Take how old a report was when it was judged, by the wall clock."""
        self._delay_seconds = max(delay_seconds, 0.0)

    def load(self, now: float) -> Load:
        """Return the load until now."""
        seconds = now - self._since
        busy = sum(busy for _, busy in self._turns)
        return Load(min(busy / seconds, 1.0) if seconds > 0 else 0.0, self._delay_seconds)
