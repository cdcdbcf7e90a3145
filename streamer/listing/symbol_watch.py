"""Asks the exchange which symbols trade, at the start and from time to time: who joins and leaves.

On the feed's thread; the question is asked by a helper thread of its own, which ends when it has
been answered, so that neither a back-fill waits for it nor it for a back-fill.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from streamer.feed_counters import FeedCounters
from streamer.listing.exchange_info import REQUEST, read_trading
from streamer.listing.listing_file import Listing, ListingFile
from streamer.listing.listing_guard import CONFIRMATIONS, ListingGuard
from streamer.listing.patterns import SymbolPatterns
from streamer.repair.rest_requests import RestFailure, RestResponse
from streamer.repair.rest_worker import Ask

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0  # while it is not confirmed which symbols trade: some may not be recorded
RETRY_KNOWN_SECONDS = 300.0  # after trouble, and to confirm what is not believed at once


class SymbolWatch:
    """The wanted symbols, by name and pattern; `turn` is to be called about once a second.

    `make_ask` returns what asks the exchange; it is not called where patterns are not used.
    Of what is wanted, only the symbols that `holds` accepts are this streamer's; None: all of them.
    """

    def __init__(
        self,
        entries: Iterable[str],
        make_ask: Callable[[], Ask],
        file: ListingFile,
        counters: FeedCounters,
        every_seconds: float,
        holds: Callable[[str], bool] | None = None,
    ) -> None:
        self._holds = holds
        self._patterns = SymbolPatterns(entries, holds)
        self._make_ask = make_ask
        self._ask: Ask | None = None
        self._file = file
        self._counters = counters
        self._every_seconds = every_seconds
        self._kept = file.read()
        self.refused: set[str] = set()
        """Symbols that are listed and cannot be recorded: not selected unless they are named."""
        if self._patterns.need_listing:
            self._guard = ListingGuard(self._kept.trading, is_settled=self._kept.is_settled)
        else:
            self._guard = ListingGuard(frozenset(self._patterns.names))
        self._keep()
        self._ask_at = 0.0
        self._is_told = False  # the trouble that lasts

    @property
    def entries(self) -> tuple[str, ...]:
        """The symbols as the settings name them."""
        return self._patterns.entries

    @property
    def selected(self) -> tuple[str, ...]:
        """The symbols that are wanted, as far as it is known what trades."""
        return self._patterns.select(self._guard.known - self.refused)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Those that are selected, and those that could not be recorded."""
        return self._patterns.select(self._guard.known)

    @property
    def names(self) -> frozenset[str]:
        """The symbols that the settings name one by one."""
        return frozenset(self._patterns.names)

    def chosen(self, streams: Iterable[str], names: Iterable[str]) -> frozenset[str]:
        """Return which of these names of streams are wanted by a pattern once they are listed."""
        endings = {f"@{stream}" for stream in streams}
        return frozenset(
            name
            for name in names
            for symbol, mark, stream in [name.partition("@")]
            if mark + stream in endings and self._patterns.choose(symbol.upper())
        )

    @property
    def is_waiting(self) -> bool:
        """Whether patterns are used and it is not known what trades."""
        return self._patterns.need_listing and not self._guard.known

    def refuse(self, symbols: Iterable[str]) -> None:
        """Leave out symbols that cannot be recorded, but for those that are named. Warns."""
        refused = sorted(set(symbols) - self.names)
        if refused:
            log.warning("listed and cannot be recorded, no topic's name: %s", ", ".join(refused))
            self.refused.update(refused)

    def want(self, entries: Iterable[str]) -> tuple[str, ...]:
        """Want other symbols from now on; return them. The exchange is asked again soon.

        Before it has answered, those that were selected are known: who is streamed and wanted still
        must not leave because nobody was asked so far.
        """
        streamed = frozenset(self.selected)
        if not self._patterns.need_listing and not streamed <= self._guard.known:
            self._guard = ListingGuard(self._guard.known | streamed)
        self._patterns = SymbolPatterns(entries, self._holds)
        self._ask_at = 0.0
        self._keep()
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
        self._guard.take(listed)
        self._keep()
        if self._guard.is_strange:
            gone, new = len(before - listed), len(listed - before)
            self._retry(
                "doubted",
                f"exchangeInfo lists {len(listed)} trading symbols, {gone} fewer and {new} more "
                f"than before: not believed unless it says so {CONFIRMATIONS} times",
                0.0,
                now,
            )
            return self._guard.known != before
        self._is_told = False
        if self._holds is None and not self.selected:  # of several streamers, one may have none
            log.warning(
                "exchange.symbols = %s: none of the %d symbols that trade matches: "
                "nothing is recorded",
                ", ".join(self.entries),
                len(listed),
            )
        is_sure = self._guard.is_settled and not self._guard.doubts
        wait = self._every_seconds if is_sure else min(self._every_seconds, self._again)
        self._ask_at = now + wait
        return True

    @property
    def _again(self) -> float:
        """After how many seconds to ask again, where it is not sure what trades."""
        return RETRY_KNOWN_SECONDS if self._guard.is_settled else RETRY_SECONDS

    def _keep(self) -> None:
        """Keep what is known, or the symbols that are named where nobody is asked."""
        listing = (
            Listing(self._guard.known, self._guard.is_settled)
            if self._patterns.need_listing
            else Listing(self.names)
        )
        if listing != self._kept:
            self._file.write(listing)
            self._kept = listing

    def _retry(self, kind: str, detail: str, wait_seconds: float, now: float) -> None:
        """Ask again later; say what goes on meanwhile, once."""
        known = self._guard.known
        self._ask_at = now + max(wait_seconds, self._again)
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
