"""Asks the exchange which symbols trade, at the start and from time to time: who joins and leaves.

On the feed's thread; the question is asked by a helper thread of its own, which ends when it has
been answered, so that neither a back-fill waits for it nor it for a back-fill.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from streamer.feed_counters import FeedCounters
from streamer.listing.exchange_info import REQUEST, read_trading
from streamer.listing.listing_file import ListingFile
from streamer.listing.listing_guard import CONFIRMATIONS, ListingGuard
from streamer.listing.patterns import SymbolPatterns
from streamer.repair.rest_requests import RestFailure, RestResponse
from streamer.repair.rest_worker import Ask

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0  # while it is not known which symbols trade: nothing of them is recorded
RETRY_KNOWN_SECONDS = 300.0  # after trouble, and to confirm an answer that is not believed


class SymbolWatch:
    """The wanted symbols, by name and pattern; `turn` is to be called about once a second.

    `make_ask` returns what asks the exchange; it is not called where patterns are not used.
    """

    def __init__(
        self,
        entries: Iterable[str],
        make_ask: Callable[[], Ask],
        file: ListingFile,
        counters: FeedCounters,
        every_seconds: float,
    ) -> None:
        self._patterns = SymbolPatterns(entries)
        self._make_ask = make_ask
        self._ask: Ask | None = None
        self._file = file
        self._counters = counters
        self._every_seconds = every_seconds
        self._guard = ListingGuard(file.read() if self._patterns.need_listing else frozenset())
        self._ask_at = 0.0
        self._is_told = False  # the trouble that lasts

    @property
    def entries(self) -> tuple[str, ...]:
        """The symbols as the settings name them."""
        return self._patterns.entries

    @property
    def selected(self) -> tuple[str, ...]:
        """The symbols that are wanted, as far as it is known what trades."""
        return self._patterns.select(self._guard.known)

    @property
    def is_waiting(self) -> bool:
        """Whether patterns are used and it is not known what trades."""
        return self._patterns.need_listing and not self._guard.known

    def want(self, entries: Iterable[str]) -> tuple[str, ...]:
        """Want other symbols from now on; return them. The exchange is asked again soon."""
        self._patterns = SymbolPatterns(entries)
        if self._patterns.need_listing and not self._guard.known:
            self._guard = ListingGuard(self._file.read())
        self._ask_at = 0.0
        return self.selected

    def turn(self, now: float) -> bool:
        """Ask when it is time; return whether an answer has come that may change `selected`."""
        if self._ask is not None:
            outcome = self._ask.take()
            if outcome is None:
                return False
            self._ask.close()
            self._ask = None
            return self._take(outcome, now)
        if self._patterns.need_listing and now >= self._ask_at:
            self._ask = self._make_ask()
            self._ask.start(REQUEST)
        return False

    def close(self) -> None:
        """Ask no more."""
        if self._ask is not None:
            self._ask.close()

    def _take(self, outcome: RestResponse | RestFailure, now: float) -> bool:
        if isinstance(outcome, RestFailure):
            self._retry(outcome.kind, outcome.detail, outcome.wait_seconds, now)
            return False
        try:
            listed = read_trading(outcome.body)
        except ValueError as error:
            self._retry("unavailable", f"exchangeInfo: {error}", 0.0, now)
            return False
        before = self._guard.known
        if not self._guard.take(listed):
            gone, new = len(before - listed), len(listed - before)
            self._retry(
                "doubted",
                f"exchangeInfo lists {len(listed)} trading symbols, {gone} fewer and {new} more "
                f"than before: not believed unless it says so {CONFIRMATIONS} times",
                0.0,
                now,
            )
            return False
        self._is_told = False
        self._ask_at = now + self._every_seconds
        if self._guard.known != before:
            self._file.write(self._guard.known)
        return True

    def _retry(self, kind: str, detail: str, wait_seconds: float, now: float) -> None:
        """Ask again later; say what goes on meanwhile, once."""
        known = self._guard.known
        self._ask_at = now + max(wait_seconds, RETRY_KNOWN_SECONDS if known else RETRY_SECONDS)
        self._counters.rest_errors[kind] += 1
        if not self._is_told:
            self._is_told = True
            meanwhile = (
                f"the {len(known)} symbols that were known last are gone by"
                if known
                else "symbols by pattern are not recorded until the exchange lists them"
            )
            log.warning("%s; %s", detail, meanwhile)
            self._counters.notice("rest_trouble", error_type=kind, error=f"{detail}; {meanwhile}")
