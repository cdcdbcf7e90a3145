"""Symbols by pattern: what is wanted of what the exchange lists. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property

ALL = "ALL"
"""Every symbol; none of the exchange has this name, which would be an asset without a price."""
_WILDCARDS = ("*", "?")


class SymbolPatterns:
    """Entries of `exchange.symbols`, in upper case: names, patterns, and exclusions after `!`.

    `*` stands for any characters and `?` for one. A name is wanted whether the exchange lists it or
    not; what an exclusion matches is not wanted, by whatever other entry it would be. Of all that
    only those symbols are taken that `holds` accepts: those of a shard; None takes all.
    """

    def __init__(self, entries: Iterable[str], holds: Callable[[str], bool] | None = None) -> None:
        self.entries = tuple(entries)
        self._holds = holds or (lambda _symbol: True)
        wanted = [each for each in self.entries if not each.startswith("!")]
        named = [each for each in wanted if not is_pattern(each)]
        self.names = tuple(filter(self._holds, named))
        self._patterns = [each for each in wanted if is_pattern(each)]
        self._excluded = [each[1:] for each in self.entries if each.startswith("!")]

    @property
    def need_listing(self) -> bool:
        """Whether it depends on what the exchange lists which symbols are wanted."""
        return bool(self._patterns)

    @property
    def is_empty(self) -> bool:
        """Whether nothing can ever be wanted, by any shard."""
        return len(self._excluded) == len(self.entries)

    def select(self, listed: Iterable[str]) -> tuple[str, ...]:
        """Return the wanted symbols: those named, in their order, then those listed, sorted."""
        named = dict.fromkeys(self.names)
        found = sorted(each for each in listed if each not in named and self._included(each))
        return tuple(each for each in (*named, *found) if not self._is_excluded(each))

    def choose(self, symbol: str) -> bool:
        """Return whether a symbol is wanted by a pattern, if it is listed."""
        return self._included(symbol) and not self._is_excluded(symbol)

    def _included(self, symbol: str) -> bool:
        return self._inclusion.fullmatch(symbol) is not None and self._holds(symbol)

    def _is_excluded(self, symbol: str) -> bool:
        return self._exclusion.fullmatch(symbol) is not None

    @cached_property
    def _inclusion(self) -> re.Pattern[str]:
        return _any_of(self._patterns)

    @cached_property
    def _exclusion(self) -> re.Pattern[str]:
        return _any_of(self._excluded)


def is_pattern(entry: str) -> bool:
    """Return whether an entry of the settings is anything but the name of one symbol."""
    return entry == ALL or entry.startswith("!") or any(mark in entry for mark in _WILDCARDS)


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return what matches any of the patterns; nothing where there are none."""
    return re.compile("|".join(map(_expression, patterns)) or "(?!)", re.DOTALL)


def _expression(pattern: str) -> str:
    if pattern == ALL:
        return ".*"
    # Stars in a row would take exponential time to find that something does not match.
    text = re.sub(r"\*+", "*", pattern)
    return "".join(
        ".*" if mark == "*" else "." if mark == "?" else re.escape(mark) for mark in text
    )
