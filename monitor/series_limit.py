"""Which symbols have series of their own in the metrics, when there are too many. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

OTHERS = "(others)"
"""Label `symbol` of the series that sum up the rest; no symbol has parentheses."""


class SeriesLimit:
    """At most `streams_max` streams have series of their own, whole symbols at a time.

    The first symbols of the settings come first. Nothing moves between the two groups later: the
    counters of the rest together would seem to go back.
    """

    def __init__(self, streams_max: int) -> None:
        self.omitted: set[str] = set()  # symbols, also of streams that are gone
        self._streams_max = streams_max
        self._shown: Counter[str] = Counter()  # streams, by symbol

    def take(self, streams: Iterable[tuple[str, str]]) -> None:
        """Take the streams that there are now, each as stream and symbol."""
        now = Counter(symbol for _, symbol in streams)
        self._shown = Counter({symbol: now[symbol] for symbol in self._shown if symbol in now})
        room = self._streams_max - self._shown.total()
        for symbol, count in now.items():
            if symbol in self._shown or symbol in self.omitted:
                continue
            if count <= room:
                self._shown[symbol] = count
                room -= count
            else:
                self.omitted.add(symbol)
                room = 0  # a smaller one behind it would be shown out of turn
