"""Is a silent stream dead, or is there no news? What REST said about silences. Pure.

A symbol that nobody trades is as silent as a stream that has stopped; the exchange's latest trade
tells them apart. Times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Finding = Literal["quiet", "news", "unconfirmed"]
"""REST has no news either; it has news that the stream did not bring; or nothing is known yet."""

AGAIN_FACTOR = 0.5  # the next look comes when the silence has grown by half,
AGAIN_LEAST_SECONDS, AGAIN_MOST_SECONDS = 5.0, 300.0  # within these bounds
UNSURE_SECONDS = 2.0  # news this young may be on its way to us: look again


@dataclass(slots=True)
class _Look:
    """The latest finding about a silence."""

    since: float  # when the silence began
    finding: Finding
    again_at: float


class StalenessProbe:
    """What is known about the silences of streams, by their names."""

    def __init__(self, after_seconds: float) -> None:
        """Look at silences of `after_seconds`; 0: at none."""
        self.after_seconds = after_seconds
        self._looks: dict[str, _Look] = {}

    def due(self, name: str, silent_seconds: float, now: float) -> bool:
        """Return whether REST is to be asked about the silence of a stream."""
        if not self.after_seconds or silent_seconds < self.after_seconds:
            self._looks.pop(name, None)
            return False
        look = self._of(name, silent_seconds, now)
        return look is None or now >= look.again_at

    def told(self, name: str, finding: Finding, silent_seconds: float, now: float) -> None:
        """Take what REST said: `unconfirmed` when it said nothing that helps."""
        again = UNSURE_SECONDS
        if finding != "unconfirmed":
            again = max(silent_seconds * AGAIN_FACTOR, AGAIN_LEAST_SECONDS)
        known = self._of(name, silent_seconds, now)
        if finding == "unconfirmed" and known is not None:
            finding = known.finding
        since = known.since if known else now - silent_seconds
        self._looks[name] = _Look(since, finding, now + min(again, AGAIN_MOST_SECONDS))

    def finding(self, name: str, silent_seconds: float, now: float) -> Finding | None:
        """Return what is known about a silence; None when it is too short to be asked about."""
        if not self.after_seconds or silent_seconds < self.after_seconds:
            return None
        look = self._of(name, silent_seconds, now)
        return look.finding if look is not None else "unconfirmed"

    def blames(self, name: str, silent_seconds: float, now: float) -> bool:
        """Return whether the connection is to blame for a silence: REST has news.

        That REST is busy or away says nothing about the connection.
        """
        return self.finding(name, silent_seconds, now) == "news"

    def forget(self, name: str) -> None:
        """Know nothing more of a stream."""
        self._looks.pop(name, None)

    def _of(self, name: str, silent_seconds: float, now: float) -> _Look | None:
        """Return the look at this very silence: not at one that has ended meanwhile."""
        look = self._looks.get(name)
        if look is None or now - silent_seconds > look.since + AGAIN_LEAST_SECONDS / 2:
            return None
        return look
