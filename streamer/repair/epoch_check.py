"""Have the ids of a stream that leaves begun anew? REST alone can tell, no stream does any more."""

from __future__ import annotations

import logging
from collections.abc import Callable

from streamer.data.kinds.agg_trade import AggTrade, latest_request
from streamer.data.kinds.trade import Trade
from streamer.errors import FrameRejected
from streamer.order.epochs import NEW_EPOCH
from streamer.repair import neighbours
from streamer.repair.exchange_questions import ExchangeQuestions
from streamer.repair.fit import TOLERANCE_US, Misfit
from streamer.repair.gap_tracker import Ask, GapTracker, GiveUp
from streamer.repair.latest_trade import latest_id, read_latest
from streamer.repair.page_check import PageCheck
from streamer.repair.rest_requests import RestFailure, RestResponse, page_request
from streamer.routes import Route, Routes

log = logging.getLogger(__name__)

LAGGING_FIRST = 3
"""Answers without the ids before the latest trade is asked for: REST lags for a second or two."""


class EpochCheck:
    """Asks for the latest trade where REST knows nothing of a gap of a stream that leaves.

    After ids began anew the exchange tells nothing of those before. A stream that goes on shows
    it; one that leaves would wait above its gap until `repair.give_up_after`. Where the addresses
    of REST and streams may be of different venues, REST first has to tell the same as another
    stream: of this one it tells nothing that could be compared. Without another stream nothing is
    believed.
    """

    def __init__(
        self,
        questions: ExchangeQuestions,
        routes: Routes,
        gap_tracker: GapTracker[Route],
        page_check: PageCheck,
        give_up: Callable[[GiveUp[Route]], None],
    ) -> None:
        self._questions = questions
        self._routes = routes
        self._gap_tracker = gap_tracker
        self._page_check = page_check
        self._give_up = give_up
        self._compared: Ask[Route] | None = None  # with another stream, right before this question

    def is_due(self, ask: Ask[Route]) -> bool:
        """Return whether to ask for the latest trade now: in turns with the ids themselves."""
        route, gap = ask.key, self._gap_tracker.open[ask.key]
        return (
            route.leaving
            and route.kind in ("trade", "aggTrade")
            and gap.trouble == "lagging"
            and gap.attempts >= LAGGING_FIRST
            and (gap.attempts - LAGGING_FIRST) % 2 == 0
            and (self._is_believed(ask) or self._other_stream() is not None)
        )

    def ask(self, ask: Ask[Route]) -> bool:
        """Ask for the latest trade, or first for a comparison; return whether it was asked."""
        other = None if self._is_believed(ask) else self._other_stream()
        if other is None:
            return self._questions.begin(
                latest_request(ask.key.symbol),
                lambda outcome, now: self._take(ask, outcome, now),
                bulk=True,
            )
        route, told = other
        return self._questions.begin(
            page_request(route.stream, route.symbol, told.id, 1),
            lambda outcome, now: self._compare(ask, route, told, outcome, now),
            bulk=True,
        )

    def _is_believed(self, ask: Ask[Route]) -> bool:
        return self._page_check.same_venue or self._compared == ask

    def _other_stream(self) -> tuple[Route, Trade | AggTrade] | None:
        """Return a stream that goes on, and the latest that it told itself."""
        for route in self._routes:
            latest = route.latest
            if (
                isinstance(latest, (Trade, AggTrade))
                and latest.source == "live"
                and route.repaired is not None
                and not route.leaving
            ):
                return route, latest
        return None

    def _compare(
        self,
        ask: Ask[Route],
        route: Route,
        told: Trade | AggTrade,
        outcome: RestResponse | RestFailure,
        now: float,
    ) -> None:
        """Note whether REST tells what another stream told; if so, the latest trade is next."""
        if isinstance(outcome, RestResponse):
            try:
                events = self._page_check.read(route, outcome, [])
                self._compared = ask if self._page_check.agrees(events, told) else None
            except Misfit as error:
                self._page_check.doubt()
                outcome = RestFailure("misfit", f"{route.name}: {error}")
                self._questions.notice_trouble(outcome, now)
            except (ValueError, FrameRejected) as error:
                outcome = self._questions.unreadable(error, now)
        if isinstance(outcome, RestFailure):
            give_up = self._gap_tracker.trouble(ask, outcome.kind, outcome.wait_seconds, now)
        elif self._compared is not None:
            give_up = None
        else:
            give_up = self._gap_tracker.page(ask, [], now)
        if give_up is not None:
            self._give_up(give_up)

    def _take(self, ask: Ask[Route], outcome: RestResponse | RestFailure, now: float) -> None:
        self._compared = None  # REST may turn to another venue at any time
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
            latest = read_latest(route, answer, in_milliseconds=self._page_check.in_milliseconds)
        except ValueError as error:
            self._questions.unreadable(error, now)
            return False
        if latest is None:
            return False
        newest_id = latest_id(route, latest)
        is_new = newest_id < ask.first_id and latest.trade_time > above.trade_time + TOLERANCE_US
        if is_new:
            log.warning(
                "the ids of %s began anew while it leaves: %d after %d",
                route.name,
                newest_id,
                above.id,
            )
        return is_new
