"""Asks REST for what is missing, takes the answers, and declares what cannot come."""

from __future__ import annotations

import logging
from functools import partial

from streamer.data.binance_spot import PAGE_LIMIT, TRADES_WEIGHT
from streamer.data.kinds.kline import Kline
from streamer.data.rest_page import RestRequest, Unusable
from streamer.errors import FrameRejected
from streamer.feed_counters import FeedCounters
from streamer.order.sequence import RepairableSequence
from streamer.order.sequences import Arrival
from streamer.repair import neighbours
from streamer.repair.aggregate_look import AggregateLook
from streamer.repair.clock_check import ClockCheck
from streamer.repair.epoch_check import EpochCheck
from streamer.repair.exchange_questions import ExchangeQuestions, Handle
from streamer.repair.fit import Misfit, Repaired, can_tell
from streamer.repair.gap_tracker import Ask, GapTracker, GiveUp
from streamer.repair.page_check import PageCheck, in_page
from streamer.repair.page_intake import Forward, PageIntake, Refuse
from streamer.repair.rest_requests import RestFailure, RestResponse, page_request
from streamer.repair.rounds import Rounds
from streamer.routes import Route, Routes

log = logging.getLogger(__name__)

LOOKED_AT = 64
"""Routes that wait, and gaps, that one turn looks at: with 1,500 all of them within 2.4 s, which is
the time of 24 answers, and each of them again before it is asked about."""
OVERDUE_EVERY_SECONDS = 1.0  # of `repair.give_up_after`, which is seconds at least


class GapFiller:
    """Follows the gaps of the routes: finds them, asks for them, closes or declares them.

    What is older than `max_age_seconds` is not asked for.
    """

    def __init__(
        self,
        questions: ExchangeQuestions,
        routes: Routes,
        gap_tracker: GapTracker[Route],
        page_check: PageCheck,
        clock: ClockCheck,
        forward: Forward,
        refuse: Refuse,
        counters: FeedCounters,
        max_age_seconds: float,
    ) -> None:
        self._questions = questions
        self._routes = routes
        self._gap_tracker = gap_tracker
        self._page_check = page_check
        self._clock = clock
        self._forward = forward
        self._refuse = refuse
        self._counters = counters
        self._max_age_seconds = max_age_seconds
        self._waiting_rounds: Rounds[Route] = Rounds(LOOKED_AT)
        self._gap_rounds: Rounds[Route] = Rounds(LOOKED_AT)
        self._releasing: set[Route] = set()  # out of which more may be handed on at once
        self._overdue_at = 0.0
        self._aggregate_look = AggregateLook(in_milliseconds=page_check.in_milliseconds)
        self._intake = PageIntake(routes, forward, refuse, counters, clock.unix_time)
        self._epoch_check = EpochCheck(questions, routes, gap_tracker, page_check, self._give_up)

    def turn(self, now: float, *, accepting: bool) -> None:
        """Look at what waits above gaps: some have closed meanwhile, some are new, some are old.

        Of many, `LOOKED_AT` in each turn, and those out of which more is to be released.
        """
        routes = self._routes.repairing
        for route in dict.fromkeys((*self._releasing, *self._waiting_rounds.next(routes))):
            self._look(route, now, accepting=accepting)
        if now >= self._overdue_at:
            self._overdue_at = now + OVERDUE_EVERY_SECONDS
            for give_up in self._gap_tracker.overdue(now):
                self._give_up(give_up)
        for route in self._gap_rounds.next(self._gap_tracker.open):
            self._advance(route, now)

    def ask(self, now: float) -> bool:
        """Ask about the most urgent gap; return whether it was asked."""
        # First the weight: with it used up, all gaps would be looked at many times a second.
        if not self._gap_tracker.open or not self._questions.affords(TRADES_WEIGHT, bulk=True):
            return False
        ask = self._next(now)
        if ask is None:
            return False
        if self._epoch_check.is_due(ask):
            if not self._epoch_check.ask(ask):
                return False
            self._gap_tracker.asked()
            return True
        if (request := self._comparison(ask)) is not None:
            handle: Handle = partial(self._page, ask, compares=True)
        elif (request := self._look_question(ask)) is not None:
            handle = partial(self._looked, ask)
        else:
            request, handle = self._page_question(ask), partial(self._page, ask)
        if not self._questions.begin(request, handle, bulk=True):
            return False
        self._gap_tracker.asked()
        return True

    def forget(self, route: Route) -> None:
        """Know nothing more of a route of which nothing is repaired."""
        self._gap_tracker.drop(route)
        self._releasing.discard(route)
        self._intake.forget(route)

    def _look(self, route: Route, now: float, *, accepting: bool) -> None:
        """Hand on what a closed gap has freed, and see whether there is a gap."""
        sequence = route.repaired
        if sequence is None or not sequence.pending:
            self._routes.repairing.pop(route, None)
            self._releasing.discard(route)
            return
        if accepting:
            released = sequence.release()
            self._forward(route, released)
            (self._releasing.add if released else self._releasing.discard)(route)
        self._suspect(route, sequence, now)

    def _suspect(self, route: Route, sequence: RepairableSequence[Arrival], now: float) -> None:
        """Open the lowest gap of a route when it is old enough, or tell what it looks like now."""
        suspected = sequence.suspected(now)
        if suspected is None:
            return
        gap, since = suspected
        if route not in self._gap_tracker.open:
            log.info(
                "suspected gap: %s of %s from %d to %d: asking REST",
                route.stream,
                route.symbol,
                gap.first_id,
                gap.last_id,
            )
        self._gap_tracker.suspect(route, gap.first_id, gap.last_id, now, since)

    def _next(self, now: float) -> Ask[Route] | None:
        """Return what to ask, after a look whether it is missing still."""
        while True:
            ask = self._gap_tracker.next(now, lambda route: route.sequence.pending)
            if ask is None or ask.key.repaired is None:
                return None
            self._suspect(ask.key, ask.key.repaired, now)
            self._advance(ask.key, now)
            if self._gap_tracker.ask_of(ask.key) == ask:
                return ask

    def _advance(self, route: Route, now: float) -> None:
        """Tell how far a gap has become smaller, and note its end."""
        sequence = route.repaired
        assert sequence is not None  # noqa: S101 - for the type checker: only such are open
        gap = self._gap_tracker.advance(route, sequence.next_id or 0, now)
        if gap is None:
            return
        self._releasing.add(route)
        if gap.repaired:
            route.repaired_gaps_total += 1
            self._counters.notice(
                "gap_repaired",
                stream=route.stream,
                symbol=route.symbol,
                first_id=gap.began_id,
                last_id=gap.last_id,
                repaired=gap.repaired,
            )

    def _give_up(self, give_up: GiveUp[Route]) -> None:
        sequence = give_up.key.repaired
        assert sequence is not None  # noqa: S101 - as above
        is_believed = (
            self._page_check.trusted
            and give_up.reason != "misfit"
            and (
                self._page_check.same_venue
                or neighbours.below(give_up.key, sequence.next_id or 0) is not None
            )
        )
        if not sequence.pending and not is_believed:
            self._gap_tracker.drop(give_up.key)  # REST alone told of it, and is not to be believed
            return
        self._forward(give_up.key, sequence.give_up(give_up.last_id, give_up.reason))
        self._releasing.add(give_up.key)

    def _comparison(self, ask: Ask[Route]) -> RestRequest | None:
        """Return the question for the event above a gap, where REST has to show whose it is."""
        route, gap = ask.key, self._gap_tracker.open[ask.key]
        above = neighbours.above(route)
        if gap.old_below is not None or above is None:
            return None
        if neighbours.below(route, ask.first_id) is not None:
            return None  # it is in the page
        if self._page_check.trusted:  # for good, by a page that holds it, or since a moment ago
            is_in_page = in_page(ask.first_id, ask.limit, above) or not can_tell(above)
            if self._page_check.same_venue or is_in_page or gap.is_compared:
                return None
        return page_request(route.stream, route.symbol, above.id, 1)

    def _look_question(self, ask: Ask[Route]) -> RestRequest | None:
        """Return a cheaper question, for aggregates, where it may be enough for the whole gap."""
        gap, exchange_time = self._gap_tracker.open[ask.key], self._clock.exchange_time
        if gap.looked_cheaply or gap.old_below is not None:
            return None
        if not self._questions.lacks_weight:
            return None  # a page is the answer for sure, and this minute has enough for all
        last_id = gap.last_id
        if not (self._page_check.same_venue and self._page_check.trusted):
            # The answer has to show by itself whose it is: by the trade above the gap.
            last_id += 1
            above = neighbours.above(ask.key)
            if above is None or above.id != last_id:
                return None
        return self._aggregate_look.request(ask.key, gap.first_id, last_id, exchange_time)

    def _looked(self, ask: Ask[Route], outcome: RestResponse | RestFailure, now: float) -> None:
        """Take the gap's trades out of aggregates; what these leave open is asked for as trades."""
        route, gap = ask.key, self._gap_tracker.open.get(ask.key)
        if gap is not None:
            gap.looked_cheaply, gap.is_compared = True, False
        if isinstance(outcome, RestFailure):
            self._gap_tracker.trouble(ask, outcome.kind, outcome.wait_seconds, now)
            return
        if gap is None or gap.first_id != ask.first_id:
            return  # closed or grown smaller meanwhile
        last_id = ask.first_id + ask.limit - 1
        try:
            trades = self._aggregate_look.read(route, ask.first_id, last_id, outcome)
            if trades is not None and self._fits(route, ask, list(trades)):
                gap.repaired += self._intake.take(
                    route, last_id, [each for each in trades if each.id >= ask.first_id], [], now
                )
        except ValueError as error:  # a misfit too: the trades themselves will show whose they are
            self._questions.unreadable(error, now)
        self._gap_tracker.looked(ask, now)
        self._advance(route, now)

    def _page_question(self, ask: Ask[Route]) -> RestRequest:
        """Return the question for a page and, as far as the stream told them, its neighbours."""
        route, gap = ask.key, self._gap_tracker.open[ask.key]
        first_id, limit = ask.first_id, ask.limit
        if gap.old_below is None:
            below, above = neighbours.below(route, first_id), neighbours.above(route)
            if below is not None:
                first_id = min(first_id, below.id)
            limit = min(PAGE_LIMIT, limit + (below is not None) + (above is not None))
        return page_request(route.stream, route.symbol, first_id, limit)

    def _page(
        self,
        ask: Ask[Route],
        outcome: RestResponse | RestFailure,
        now: float,
        *,
        compares: bool = False,
    ) -> None:
        """Take a page; one that only `compares` the event above says nothing of the gap itself."""
        route = ask.key
        events: list[Repaired] = []
        unusable: list[Unusable] = []
        if isinstance(outcome, RestResponse):
            try:
                events = self._page_check.read(route, outcome, unusable)
                if not self._fits(route, ask, events):
                    events, unusable = [], []  # nobody knows yet whose they are
            except Misfit as error:
                self._page_check.doubt()
                self._refuse(route, outcome.body, "misfit", str(error), now)
                outcome = RestFailure("misfit", f"{route.name}: {error}")
                self._questions.notice_trouble(outcome, now)
            except (ValueError, FrameRejected) as error:
                outcome = self._questions.unreadable(error, now)
        if isinstance(outcome, RestFailure):
            give_up = self._gap_tracker.trouble(ask, outcome.kind, outcome.wait_seconds, now)
        elif compares and events:
            give_up = None
            self._gap_tracker.compared(ask, now)
        else:
            # Candles of any age are few, and asked for by time.
            oldest_us = int((self._clock.exchange_time - self._max_age_seconds) * 1e6)
            too_old = (
                bool(events)
                and not isinstance(latest := events[-1], Kline)
                and latest.trade_time < oldest_us
            )
            events = [event for event in events if event.id >= ask.first_id]
            ids = sorted(each.id for each in (*events, *unusable) if each.id >= ask.first_id)
            give_up = self._gap_tracker.page(ask, ids, now, too_old=too_old)
            if not too_old:
                gap = self._gap_tracker.open.get(route)
                if gap is not None:
                    gap.repaired += self._intake.take(route, gap.last_id, events, unusable, now)
        if give_up is not None:
            self._give_up(give_up)
        if route in self._gap_tracker.open:
            self._advance(route, now)

    def _fits(self, route: Route, ask: Ask[Route], events: list[Repaired]) -> bool:
        """Return whether a page is to be believed. Raises Misfit."""
        gap = self._gap_tracker.open.get(route)
        return self._page_check.fits(
            route,
            ask.first_id,
            ask.limit,
            events,
            searched=gap is None or gap.old_below is not None,
            compared=gap is not None and gap.is_compared,
        )
