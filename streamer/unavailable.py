"""Which streams the exchange does not serve, why, and when it is asked again. Pure.

Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

UnavailableReason = Literal["unknown_symbol", "refused"]
"""REST does not know the symbol (-1121), and nothing comes; the SUBSCRIBE of the name is refused,
while others are accepted."""

AGAIN_FIRST_SECONDS, AGAIN_MOST_SECONDS = 60.0, 3600.0
"""Until it is asked again, doubled each time: an exchange's mistake is over in minutes, and what is
wrong in the settings stays wrong."""


@dataclass(slots=True)
class _Unavailable:
    reason: UnavailableReason
    heard_us: int | None  # when the last event of it was received by then
    pause_seconds: float
    again_at: float


class UnavailableStreams:
    """What is known of streams that are not served, by their wire names."""

    def __init__(self) -> None:
        self._found: dict[str, _Unavailable] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def note(self, name: str, reason: UnavailableReason, heard_us: int | None, now: float) -> bool:
        """Note that a stream is not served; return whether that is new.

        `heard_us` is when its last event was received, Unix microseconds, None when there was none.
        """
        known = self._found.get(name)
        if known is None or known.reason != reason:
            pause = AGAIN_FIRST_SECONDS
            self._found[name] = _Unavailable(reason, heard_us, pause, now + pause)
            return True
        known.pause_seconds = min(2.0 * known.pause_seconds, AGAIN_MOST_SECONDS)
        known.again_at = now + known.pause_seconds
        return False

    def reason(self, name: str) -> UnavailableReason | None:
        """Return why a stream is not served; None when it is, as far as known."""
        found = self._found.get(name)
        return found.reason if found is not None else None

    def due(self, name: str, now: float) -> bool:
        """Return whether the exchange is to be asked again about a stream."""
        found = self._found.get(name)
        return found is not None and now >= found.again_at

    def asked(self, name: str, now: float) -> None:
        """Note that it is being asked about a stream: not again before the same pause is over."""
        found = self._found[name]
        found.again_at = now + found.pause_seconds

    def is_heard(self, name: str, heard_us: int | None) -> bool:
        """Return whether an event has come since it was noted."""
        found = self._found.get(name)
        return found is not None and found.heard_us != heard_us

    def forget(self, name: str) -> bool:
        """Note that a stream is served, or not wanted any more; return whether it was noted."""
        return self._found.pop(name, None) is not None
