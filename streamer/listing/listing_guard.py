"""Whether what the exchange lists is believed: one strange answer must not end a thousand streams.

Pure.
"""

from __future__ import annotations

AT_ONCE_SHARE, AT_ONCE_LEAST = 0.1, 20
"""Of the symbols known, how many may leave or join in one answer: the exchange delists some ten a
month and lists fewer."""
CONFIRMATIONS = 3
"""Answers in a row that say the same, before a larger change is believed."""


class ListingGuard:
    """Keeps the symbols that are believed to trade: `known`, empty before anything was told."""

    def __init__(self, known: frozenset[str] = frozenset()) -> None:
        self.known = known
        self._doubted: frozenset[str] | None = None
        self._told = 0  # how often in a row

    @property
    def doubts(self) -> bool:
        """Whether the latest answer was not believed."""
        return self._doubted is not None

    def take(self, listed: frozenset[str]) -> bool:
        """Take an answer; return whether it is believed, and is `known` from now on.

        That nothing trades is never believed.
        """
        if listed and (not self.known or not self._is_strange(listed)):
            self.known, self._doubted, self._told = listed, None, 0
            return True
        self._told = self._told + 1 if listed == self._doubted else 1
        self._doubted = listed
        if not listed or self._told < CONFIRMATIONS:
            return False
        self.known, self._doubted, self._told = listed, None, 0
        return True

    def _is_strange(self, listed: frozenset[str]) -> bool:
        allowed = max(AT_ONCE_LEAST, AT_ONCE_SHARE * len(self.known))
        gone, new = len(self.known - listed), len(listed - self.known)
        # A few symbols of few: all of them gone is strange, too.
        return gone > allowed or new > allowed or gone == len(self.known)
