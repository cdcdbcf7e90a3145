"""Asks REST about silent streams: whether the exchange has news that a stream did not bring."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from streamer.availability import Availability
from streamer.data.catalogue import CONTIGUOUS
from streamer.data.kinds.agg_trade import AggTrade, latest_request
from streamer.repair.clock_check import ClockCheck
from streamer.repair.exchange_questions import ExchangeQuestions, Handle
from streamer.repair.gap_tracker import LASTING, GapTracker
from streamer.repair.latest_trade import latest_id, read_latest
from streamer.repair.page_check import PageCheck
from streamer.repair.rest_requests import RestFailure, RestResponse
from streamer.repair.staleness import UNSURE_SECONDS, Finding, StalenessProbe
from streamer.routes import Route, Routes

log = logging.getLogger(__name__)


class SilenceCheck:
    """Looks at silences, one question each; the findings are kept in `silences`.

    `silent_seconds(route, now)` is how long a stream that could have spoken has been silent.
    """

    def __init__(
        self,
        questions: ExchangeQuestions,
        routes: Routes,
        silences: StalenessProbe,
        availability: Availability,
        gap_tracker: GapTracker[Route],
        page_check: PageCheck,
        clock: ClockCheck,
        silent_seconds: Callable[[Route, float], float],
    ) -> None:
        self.silences = silences
        self._questions = questions
        self._routes = routes
        self._availability = availability
        self._gap_tracker = gap_tracker
        self._page_check = page_check
        self._clock = clock
        self._silent_seconds = silent_seconds
        self._young: dict[Route, AggTrade] = {}  # the latest of a look that was not sure
        self._look_at = 0.0
        self._looks: deque[Route] = deque()  # silent streams to be asked about, found in one pass

    def ask(self, now: float) -> bool:
        """Ask about the next silence where one is due; return whether it was asked."""
        if not self._looks and now >= self._look_at:
            self._look_at = now + 1.0  # silence is counted in seconds
            self._looks.extend(route for route in self._routes if self._is_look_due(route, now))
        while self._looks:
            route = self._looks[0]
            if self._routes.by_name.get(route.name) is route and self._is_look_due(route, now):
                if not self._questions.begin(latest_request(route.symbol), self._looker(route)):
                    return False
                self._looks.popleft()
                return True
            self._looks.popleft()  # it has spoken meanwhile, or another one told of its symbol
        return False

    def forget(self, route: Route) -> None:
        """Know nothing more of the silence of a route."""
        self._young.pop(route, None)
        self.silences.forget(route.name)

    def _is_look_due(self, route: Route, now: float) -> bool:
        if route.leaving:
            return False
        unavailable = self._availability.streams
        match unavailable.reason(route.name):
            case None:
                return self.silences.due(route.name, self._silent_seconds(route, now), now)
            case "unknown_symbol":
                return unavailable.due(route.name, now)
            case "refused":
                return False  # it is asked for on the connections

    def _looker(self, route: Route) -> Handle:
        return lambda outcome, now: self._look(route, outcome, now)

    def _look(self, route: Route, outcome: RestResponse | RestFailure, now: float) -> None:
        """Note whether the exchange has news of a symbol that its stream did not bring."""
        seconds = self._silent_seconds(route, now)
        finding: Finding = "unconfirmed"
        if isinstance(outcome, RestFailure) and outcome.kind not in LASTING:
            self._gap_tracker.pause(outcome.kind, outcome.wait_seconds, now)
        elif route.leaving:  # since the question was asked
            return
        elif isinstance(outcome, RestFailure):  # about this symbol alone
            if outcome.kind == "unknown_symbol":
                self._note_unknown(route, outcome.detail, now)
        else:
            try:
                latest = read_latest(
                    route, outcome, in_milliseconds=self._page_check.in_milliseconds
                )
            except ValueError as error:
                self._questions.unreadable(error, now)
            else:
                if self._availability.known_symbol(route.symbol, now):
                    return  # it is subscribed anew, and has its time to speak
                is_doubted = self._page_check.doubted
                finding = "unconfirmed" if is_doubted else "quiet"
                if not is_doubted and latest is not None:
                    finding = self._judge(route, latest, seconds, now)
        self.silences.told(route.name, finding, seconds, now)
        if finding == "news":
            log.warning(
                "%s has been silent for %.0f s, though REST has newer events", route.name, seconds
            )

    def _note_unknown(self, route: Route, error: str, now: float) -> None:
        """Handle that REST does not know a symbol: believed unless one of its streams speaks."""
        routes = [each for each in self._routes if each.symbol == route.symbol]
        is_noted = self._availability.streams.reason(route.name) is not None
        if is_noted or all(
            self._silent_seconds(each, now) >= self.silences.after_seconds for each in routes
        ):
            self._availability.unknown_symbol(routes, error, now)

    def _judge(self, route: Route, latest: AggTrade, seconds: float, now: float) -> Finding:
        """Tell what the exchange's latest trade means for a stream silent for so long.

        A busy symbol's latest trade is always young, and may be on its way to us: it counts when
        it is still missing at the next look.
        """
        exchange_time = self._clock.exchange_time
        before = self._young.pop(route, None)
        if before is not None and exchange_time - before.trade_time / 1e6 < seconds:
            latest = before
        age_seconds = exchange_time - latest.trade_time / 1e6
        if age_seconds < UNSURE_SECONDS:
            self._young[route] = latest
            return "unconfirmed"
        last_id = route.repaired.last_id if route.repaired is not None else None
        if last_id is not None and route.kind in CONTIGUOUS:
            newest_id = latest_id(route, latest)
            if newest_id <= last_id:
                return "quiet"
            if route not in self._gap_tracker.open:  # lost before the silence, or in it
                self._gap_tracker.suspect(route, last_id + 1, newest_id, now)
        else:
            age_seconds += UNSURE_SECONDS  # times alone tell, and clocks differ a little
        return "news" if age_seconds < seconds else "quiet"
