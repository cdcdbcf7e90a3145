"""Whether what the exchange lists is believed: one strange answer must not end a thousand streams.

Pure.
"""

from __future__ import annotations

AT_ONCE_SHARE, AT_ONCE_LEAST = 0.1, 20
"""Of the symbols known, how many may join in one answer: the exchange lists fewer in a month."""
CONFIRMATIONS = 3
"""Answers in a row without a symbol before it is gone, or with many new ones before they join."""


class ListingGuard:
    """Keeps the symbols that are believed to trade: `known`, empty before anything was told.

    `is_settled` tells whether an answer has confirmed them. Before that they may be a part only,
    such as the symbols that settings named, and any number of others may join at once.
    """

    def __init__(self, known: frozenset[str] = frozenset(), *, is_settled: bool = False) -> None:
        self.known = known
        self.is_settled = is_settled
        self.is_strange = False
        """Whether the latest answer was empty, or more symbols are in doubt than change at once."""
        self._is_answered = is_settled
        self._missing: dict[str, int] = {}  # of the known, in how many answers in a row
        self._new: dict[str, int] = {}  # not believed yet, likewise

    @property
    def doubts(self) -> bool:
        """Whether further answers are to confirm what the latest one said."""
        return self.is_strange or bool(self._missing or self._new)

    def take(self, listed: frozenset[str]) -> bool:
        """Take an answer; return whether what it lists is `known` from now on, and nothing else.

        That nothing trades is never believed.
        """
        if not listed:
            self.is_strange = True
            return False
        allowed = max(AT_ONCE_LEAST, AT_ONCE_SHARE * len(self.known))
        self._missing = _counted(self._missing, self.known - listed)
        gone = _confirmed(self._missing)
        self._new = _counted(self._new, listed - self.known)
        at_once = not self.is_settled or len(self._new) <= allowed
        joining = frozenset(self._new) if at_once else _confirmed(self._new)
        self.is_settled |= self._is_answered and len(self._new) <= allowed
        self._is_answered = True
        self._missing = {each: told for each, told in self._missing.items() if each not in gone}
        self._new = {each: told for each, told in self._new.items() if each not in joining}
        self.known = (self.known - gone) | joining
        self.is_strange = bool(self._new) or len(self._missing) > allowed
        return self.known == listed


def _counted(before: dict[str, int], now: frozenset[str]) -> dict[str, int]:
    return {each: before.get(each, 0) + 1 for each in now}


def _confirmed(counts: dict[str, int]) -> frozenset[str]:
    return frozenset(each for each, told in counts.items() if told >= CONFIRMATIONS)
