"""Have the ids of a stream that leaves begun anew? REST alone can tell, no stream does any more."""

from __future__ import annotations

import logging
from collections.abc import Callable

from streamer.data.kinds.agg_trade import AggTrade, latest_request
from streamer.data.kinds.trade import Trade
from streamer.order.epochs import NEW_EPOCH
from streamer.repair import neighbours
from streamer.repair.exchange_questions import ExchangeQuestions
from streamer.repair.fit import TOLERANCE_US
from streamer.repair.gap_tracker import Ask, GapTracker, GiveUp
from streamer.repair.page_check import PageCheck
from streamer.repair.rest_requests import RestFailure, RestResponse, read_page
from streamer.routes import Route

log = logging.getLogger(__name__)

LAGGING_FIRST = 3
"""Answers without the ids before the latest trade is asked for: REST lags for a second or two."""


class EpochCheck:
    """Asks for the latest trade where REST knows nothing of a gap of a stream that leaves.

    After ids began anew the exchange tells nothing of those before. A stream that goes on shows
    it; one that leaves would wait above its gap until `repair.give_up_after`.
    """

    def __init__(
        self,
        questions: ExchangeQuestions,
        gap_tracker: GapTracker[Route],
        page_check: PageCheck,
        give_up: Callable[[GiveUp[Route]], None],
    ) -> None:
        self._questions = questions
        self._gap_tracker = gap_tracker
        self._page_check = page_check
        self._give_up = give_up

    def is_due(self, ask: Ask[Route]) -> bool:
        """Return whether to ask for the latest trade now: in turns with the ids themselves."""
        route, gap = ask.key, self._gap_tracker.open[ask.key]
        return (
            route.leaving
            and route.kind in ("trade", "aggTrade")
            and gap.trouble == "lagging"
            and gap.attempts >= LAGGING_FIRST
            and (gap.attempts - LAGGING_FIRST) % 2 == 0
        )

    def ask(self, ask: Ask[Route]) -> bool:
        """Ask for the latest trade; return whether it was asked."""
        return self._questions.begin(
            latest_request(ask.key.symbol),
            lambda outcome, now: self._take(ask, outcome, now),
            bulk=True,
        )

    def _take(self, ask: Ask[Route], outcome: RestResponse | RestFailure, now: float) -> None:
        if isinstance(outcome, RestFailure):
            give_up = self._gap_tracker.trouble(ask, outcome.kind, outcome.wait_seconds, now)
        elif self._shows_new_ids(ask, outcome, now):
            gap = self._gap_tracker.open[ask.key]
            give_up = GiveUp(ask.key, gap.last_id, NEW_EPOCH)
        else:
            give_up = self._gap_tracker.page(ask, [], now)  # one more answer without the ids
        if give_up is not None:
            self._give_up(give_up)

    def _shows_new_ids(self, ask: Ask[Route], answer: RestResponse, now: float) -> bool:
        """Return whether the latest trade is later than what waits, with an id below the gap's."""
        route, above = ask.key, neighbours.above(ask.key)
        if self._page_check.doubted or not isinstance(above, (Trade, AggTrade)):
            return False
        if route not in self._gap_tracker.open or not route.leaving:
            return False
        try:
            page = read_page(
                "aggTrade",
                route.symbol,
                answer.body,
                in_milliseconds=self._page_check.in_milliseconds,
            )
        except ValueError as error:
            self._questions.notice_trouble(RestFailure("unavailable", str(error)), now)
            return False
        if not page or not isinstance(latest := page[-1], AggTrade):
            return False
        latest_id = latest.id if route.kind == "aggTrade" else latest.last_trade_id
        is_new = latest_id < ask.first_id and latest.trade_time > above.trade_time + TOLERANCE_US
        if is_new:
            log.warning(
                "the ids of %s began anew while it leaves: %d after %d",
                route.name,
                latest_id,
                above.id,
            )
        return is_new
