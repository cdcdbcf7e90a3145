"""Drives repair, the looks at silences and the estimate of the clock: one question at a time.

On the feed's thread; the decisions are those of `repair`, `silence` and `weight`, which are pure.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from streamer.availability import Availability
from streamer.config import RepairConfig
from streamer.data.binance_spot import PAGE_LIMIT
from streamer.data.catalogue import CONTIGUOUS
from streamer.data.intervals import candles_between, interval_of, next_open_time
from streamer.data.kinds.agg_trade import AggTrade, latest_request
from streamer.data.kinds.kline import Kline
from streamer.data.kinds.trade import Trade
from streamer.data.rest_page import RestRequest, Unusable
from streamer.errors import FrameRejected
from streamer.feed_counters import FeedCounters
from streamer.messages import Backfill
from streamer.order.sequence import Gap
from streamer.order.sequences import Arrival
from streamer.repair.clock import ExchangeClock
from streamer.repair.fit import Misfit, Repaired, compare
from streamer.repair.gap_tracker import LASTING, GapTracker, GiveUp
from streamer.repair.gap_tracker import Ask as GapAsk
from streamer.repair.rest_requests import (
    TIME_REQUEST,
    RestFailure,
    RestResponse,
    page_request,
    read_page,
    read_time,
)
from streamer.repair.rest_worker import Ask
from streamer.repair.staleness import UNSURE_SECONDS, Finding, StalenessProbe
from streamer.repair.weight import WeightBudget
from streamer.routes import Route, Routes

log = logging.getLogger(__name__)

CLOCK_RETRY_SECONDS = 15.0
TROUBLE_REPEAT_SECONDS = 60.0  # between two notices of the same kind of trouble

Handle = Callable[[RestResponse | RestFailure, float], None]


class Forward(Protocol):
    """Hands what a sequence has released to the sink, and declares gaps."""

    def __call__(self, route: Route, released: list[Arrival | Gap]) -> None:
        """Events in order, gaps in their places."""


class Refuse(Protocol):
    """Keeps what REST told and what is not taken, for inspection."""

    def __call__(
        self, route: Route, content: bytes, error_type: str, error: str, now: float
    ) -> None:
        """`now` is monotonic."""


class Backfiller:
    """Closes gaps by REST, one question at a time; `turn` is to be called often.

    `silent_seconds(route, now)` is how long a stream that could have spoken has been silent;
    `unix_time()` is the wall clock in seconds. With `same_venue`, the addresses of REST and stream
    belong together for sure; otherwise nothing is taken from REST before it has told something
    that the stream has told too, and the same.
    """

    def __init__(
        self,
        config: RepairConfig,
        routes: Routes,
        ask: Ask,
        forward: Forward,
        refuse: Refuse,
        counters: FeedCounters,
        silences: StalenessProbe,
        availability: Availability,
        *,
        silent_seconds: Callable[[Route, float], float],
        unix_time: Callable[[], float],
        in_milliseconds: bool = False,
        same_venue: bool = False,
    ) -> None:
        self.silences = silences
        self._availability = availability
        self._config = config
        self._routes = routes
        self._ask = ask
        self._forward = forward
        self._refuse = refuse
        self._counters = counters
        self._silent_seconds = silent_seconds
        self._unix_time = unix_time
        self._in_milliseconds = in_milliseconds
        self._gap_tracker: GapTracker[Route] = GapTracker(config.give_up_after)
        self._budget = WeightBudget(config.weight_per_minute, config.weight_share)
        self._handle: Handle | None = None  # of the question under way
        self._page_was_last = False  # the latest question was about a gap
        self._young: dict[Route, AggTrade] = {}  # the latest of a look that was not sure
        self._clock = ExchangeClock()
        self._clock_at = 0.0
        self._same_venue = self._trusted = same_venue  # that REST is of the stream's venue
        self._unusable: dict[Route, Unusable] = {}  # told once
        self._doubted = False  # since it told something else than the stream
        self._look_at = 0.0
        self._looks: deque[Route] = deque()  # silent streams to be asked about, found in one pass
        self._noticed_at: dict[str, float] = {}

    @property
    def open_gaps(self) -> int:
        """How many gaps are open."""
        return len(self._gap_tracker.open)

    @property
    def progress(self) -> Backfill:
        """How far the open gaps are repaired."""
        left, done = self._gap_tracker.ids(_count)
        return Backfill(self.open_gaps, left, done)

    def turn(self, now: float, *, accepting: bool = True) -> None:
        """Take an outcome, look at the gaps, ask the next question. Never waits.

        While the sink is not `accepting`, nothing that waits is handed to it.
        """
        if self._clock.follow(self._unix_time(), now):
            log.warning("the clock here was set: the exchange is asked for the time again")
            self._clock_at = now
            self._use_clock()
        if self._handle is not None and (outcome := self._ask.take()) is not None:
            handle, self._handle = self._handle, None
            if outcome.used_weight is not None:
                self._budget.observe(outcome.used_weight, self._unix_time())
            if isinstance(outcome, RestFailure):
                self._notice_trouble(outcome, now)
            handle(outcome, now)
        self._look_at_gaps(now, accepting=accepting)
        if self._handle is None and not self._gap_tracker.paused(now):
            self._ask_next(now)

    def repairing(self, route: Route) -> bool:
        """Return whether something of a route is asked for, or has to be."""
        return route in self._gap_tracker.open

    def forget(self, route: Route) -> None:
        """Know nothing more of a route of which nothing is repaired."""
        self._gap_tracker.drop(route)
        self._young.pop(route, None)
        self._unusable.pop(route, None)
        self.silences.forget(route.name)

    def start_anew(self, route: Route) -> None:
        """Handle that the ids of a route began anew: nothing of the earlier ones is asked for."""
        self.forget(route)

    def close(self) -> None:
        """Ask no more."""
        self._ask.close()

    def _look_at_gaps(self, now: float, *, accepting: bool) -> None:
        for route in self._routes.holding():
            sequence = route.repaired
            if sequence is None:
                continue
            if accepting:
                self._forward(route, sequence.release())
            suspected = sequence.suspected(now)
            if suspected is not None:
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
        if self._gap_tracker.open:
            for give_up in self._gap_tracker.overdue(now):
                self._give_up(give_up)
            for route in tuple(self._gap_tracker.open):
                self._advance(route, now)

    def _advance(self, route: Route, now: float) -> None:
        """Tell how far a gap has become smaller, and note its end."""
        sequence = route.repaired
        assert sequence is not None  # noqa: S101 - for the type checker: only such are open
        gap = self._gap_tracker.advance(route, sequence.next_id or 0, now)
        if gap is not None and gap.repaired:
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
        if not sequence.pending and not (self._trusted and give_up.reason != "misfit"):
            self._gap_tracker.drop(give_up.key)  # REST alone told of it, and is not to be believed
            return
        self._forward(give_up.key, sequence.give_up(give_up.last_id, give_up.reason))

    def _ask_next(self, now: float) -> None:
        """Begin the most urgent question: gaps, then silences, then the clock.

        After a page of a gap comes whatever else is due: gaps can take hours to fill.
        """
        kinds = [self._ask_about_gap, self._ask_about_silence, self._ask_for_time]
        if self._page_was_last:
            kinds.append(kinds.pop(0))
        self._page_was_last = False
        for kind in kinds:
            if kind(now):
                return

    def _ask_about_gap(self, now: float) -> bool:
        ask = self._gap_tracker.next(now)
        if ask is None:
            return False
        comparison = self._comparison(ask)
        request = self._page_question(ask) if comparison is None else comparison
        self._page_was_last = self._begin(
            request,
            lambda outcome, at: self._page(ask, outcome, at, compares=comparison is not None),
            bulk=True,
        )
        return self._page_was_last

    def _ask_about_silence(self, now: float) -> bool:
        if not self._looks and now >= self._look_at:
            self._look_at = now + 1.0  # silence is counted in seconds
            self._looks.extend(route for route in self._routes if self._is_look_due(route, now))
        while self._looks:
            route = self._looks[0]
            if self._routes.by_name.get(route.name) is route and self._is_look_due(route, now):
                if not self._begin(latest_request(route.symbol), self._looker(route)):
                    return False
                self._looks.popleft()
                return True
            self._looks.popleft()  # it has spoken meanwhile, or another one told of its symbol
        return False

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

    def _ask_for_time(self, now: float) -> bool:
        return now >= self._clock_at and self._begin(TIME_REQUEST, self._measure)

    def _begin(self, request: RestRequest, handle: Handle, *, bulk: bool = False) -> bool:
        """Ask unless the budget of this minute is used up; return whether it was asked."""
        unix_time = self._unix_time()
        if self._budget.delay(request.weight, unix_time, bulk=bulk) > 0:
            return False
        self._budget.spend(request.weight, unix_time)
        self._handle = handle
        self._ask.start(request)
        return True

    def _comparison(self, ask: GapAsk[Route]) -> RestRequest | None:
        """Return the question for the event above a gap, where REST has to show whose it is."""
        route, gap = ask.key, self._gap_tracker.open[ask.key]
        above = _above(route)
        if self._trusted or gap.old_below is not None or above is None:
            return None
        if _below(route, ask.first_id) is not None:
            return None  # it is in the page
        return page_request(route.stream, route.symbol, above.id, 1)

    def _page_question(self, ask: GapAsk[Route]) -> RestRequest:
        """Return the question for a page and, as far as the stream told them, its neighbours."""
        route, gap = ask.key, self._gap_tracker.open[ask.key]
        first_id, limit = ask.first_id, ask.limit
        if gap.old_below is None:
            below, above = _below(route, first_id), _above(route)
            if below is not None:
                first_id = min(first_id, below.id)
            limit = min(PAGE_LIMIT, limit + (below is not None) + (above is not None))
        return page_request(route.stream, route.symbol, first_id, limit)

    def _page(
        self,
        ask: GapAsk[Route],
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
                events = self._read(route, outcome, unusable)
                if not self._fits(route, ask, events):
                    events, unusable = [], []  # nobody knows yet whose they are
            except Misfit as error:
                self._doubted, self._trusted = True, False
                self._refuse(route, outcome.body, "misfit", str(error), now)
                outcome = RestFailure("misfit", f"{route.name}: {error}")
                self._notice_trouble(outcome, now)
            except (ValueError, FrameRejected) as error:
                outcome = RestFailure("unavailable", str(error))
                self._notice_trouble(outcome, now)
        if isinstance(outcome, RestFailure):
            give_up = self._gap_tracker.trouble(ask, outcome.kind, outcome.wait_seconds, now)
        elif compares and events:
            give_up = None
            self._gap_tracker.compared(ask, now)
        else:
            exchange_time = self._unix_time() + (self._clock.offset_seconds or 0.0)
            oldest_us = int((exchange_time - self._config.max_age) * 1e6)
            # Candles of any age are few, and asked for by time.
            too_old = (
                bool(events)
                and not isinstance(latest := events[-1], Kline)
                and latest.trade_time < oldest_us
            )
            events = [event for event in events if event.id >= ask.first_id]
            ids = sorted(each.id for each in (*events, *unusable) if each.id >= ask.first_id)
            give_up = self._gap_tracker.page(ask, ids, now, too_old=too_old)
            if not too_old:
                self._take(route, events, unusable, now)
        if give_up is not None:
            self._give_up(give_up)
        if route in self._gap_tracker.open:
            self._advance(route, now)

    def _read(self, route: Route, answer: RestResponse, unusable: list[Unusable]) -> list[Repaired]:
        """Return the events of a page; add to `unusable` what no record can be made of.

        Raises ValueError and FrameRejected for what is wrong as a whole.
        """
        page = read_page(
            route.stream,
            route.symbol,
            answer.body,
            in_milliseconds=self._in_milliseconds,
            unusable=unusable,
        )
        received_us = int(answer.answered_at * 1e6)
        events: list[Repaired] = []
        for event in page:
            try:
                route.check(event, received_us)
            except FrameRejected as error:
                if error.error_type == "bad_time":
                    raise  # in another unit, all of it
                unusable.append(Unusable(event.id, repr(event).encode(), str(error)))
            else:
                events.append(event)
        return events

    def _fits(self, route: Route, ask: GapAsk[Route], events: list[Repaired]) -> bool:
        """Return whether a page is to be believed. Raises Misfit."""
        if compare(events, _below(route, ask.first_id), _above(route)):
            if self._doubted:
                log.warning("REST agrees with the streams again")
            self._trusted, self._doubted = True, False
            return True
        return self._trusted and not self._misses_what_was_told(route, ask)

    def _misses_what_was_told(self, route: Route, ask: GapAsk[Route]) -> bool:
        """Return whether a whole page would have shown the event above the gap, the only one known.

        One that is cut short could be of another venue: REST was believed a moment ago, and may
        have turned since. It is asked for again.
        """
        gap = self._gap_tracker.open.get(route)
        if self._same_venue or gap is None or gap.old_below is not None:
            return False
        above = _above(route)
        reaches = isinstance(above, (Trade, AggTrade)) and above.id <= ask.first_id + ask.limit
        return reaches and _below(route, ask.first_id) is None

    def _take(
        self, route: Route, events: list[Repaired], unusable: list[Unusable], now: float
    ) -> None:
        """Put what is missing where it belongs."""
        sequence, gap = route.repaired, self._gap_tracker.open.get(route)
        if sequence is None or gap is None:
            return
        received_us = int(self._unix_time() * 1e6)
        page = sorted([*events, *unusable], key=lambda each: each.id)
        for event in page:
            if event.id > gap.last_id:
                break
            if isinstance(event, Unusable):
                if sequence.next_id == event.id:  # else something below it is still asked for
                    self._declare_unusable(route, event, now)
                continue
            if isinstance(event, Kline) and not event.candle.is_closed:
                break  # REST has not seen its end yet
            if sequence.wants(event.id):
                gap.repaired += 1
                route.repaired_total += 1
                self._forward(route, sequence.take(event.id, (event, received_us), now))
                self._routes.hold(route)

    def _declare_unusable(self, route: Route, what: Unusable, now: float) -> None:
        """Declare what the exchange tells twice under an id though it is no trade, and keep it."""
        if self._unusable.get(route) != what:
            self._unusable[route] = what  # it is asked for again right away
            return
        del self._unusable[route]
        assert route.repaired is not None  # noqa: S101 - for the type checker: its gap is open
        self._counters.rest_errors["unusable"] += 1
        log.warning(
            "REST returned %d of %s, which is no valid record: %s", what.id, route.name, what.error
        )
        self._refuse(route, what.content, "unusable", what.error, now)
        last_id = what.id
        if route.kind == "kline":
            last_id = next_open_time(interval_of(route.stream), what.id) - 1
        self._forward(route, route.repaired.give_up(last_id, "unusable"))

    def _looker(self, route: Route) -> Handle:
        return lambda outcome, now: self._look(route, outcome, now)

    def _look(self, route: Route, outcome: RestResponse | RestFailure, now: float) -> None:
        """Return whether the exchange has news of a symbol that its stream did not bring."""
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
                latest = read_page(
                    "aggTrade", route.symbol, outcome.body, in_milliseconds=self._in_milliseconds
                )
            except ValueError as error:
                self._notice_trouble(RestFailure("unavailable", str(error)), now)
            else:
                if self._availability.known_symbol(route.symbol, now):
                    return  # it is subscribed anew, and has its time to speak
                finding = "unconfirmed" if self._doubted else "quiet"
                if not self._doubted and latest and isinstance(event := latest[-1], AggTrade):
                    finding = self._judge(route, event, seconds, now)
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
        exchange_time = self._unix_time() + (self._counters.clock_offset_seconds or 0.0)
        before = self._young.pop(route, None)
        if before is not None and exchange_time - before.trade_time / 1e6 < seconds:
            latest = before
        age_seconds = exchange_time - latest.trade_time / 1e6
        if age_seconds < UNSURE_SECONDS:
            self._young[route] = latest
            return "unconfirmed"
        last_id = route.repaired.last_id if route.repaired is not None else None
        if last_id is not None and route.kind in CONTIGUOUS:
            latest_id = latest.id if route.kind == "aggTrade" else latest.last_trade_id
            if latest_id <= last_id:
                return "quiet"
            if route not in self._gap_tracker.open:  # lost before the silence, or in it
                self._gap_tracker.suspect(route, last_id + 1, latest_id, now)
        else:
            age_seconds += UNSURE_SECONDS  # times alone tell, and clocks differ a little
        return "news" if age_seconds < seconds else "quiet"

    def _measure(self, outcome: RestResponse | RestFailure, now: float) -> None:
        self._clock_at = now + CLOCK_RETRY_SECONDS
        if isinstance(outcome, RestFailure):
            self._gap_tracker.pause(outcome.kind, outcome.wait_seconds, now)
            return
        try:
            exchange_time = read_time(outcome.body, in_milliseconds=self._in_milliseconds)
        except ValueError as error:
            self._notice_trouble(RestFailure("unavailable", str(error)), now)
            return
        was_far = self._clock.is_far
        if not self._clock.measure(exchange_time, outcome.asked_at, outcome.answered_at):
            return
        self._clock_at = now + self._config.clock_every
        self._use_clock()
        if self._clock.is_far and not was_far:
            offset = self._clock.offset_seconds or 0.0
            message = (
                f"the clock here is {abs(offset):.1f} s {'behind' if offset > 0 else 'ahead of'} "
                "the exchange's: times of receipt are off by as much; see to its synchronisation"
            )
            log.warning("%s", message)
            self._counters.notice("warning", message=message)

    def _use_clock(self) -> None:
        offset = self._counters.clock_offset_seconds = self._clock.offset_seconds
        if offset is not None:
            self._routes.window.follow(offset)

    def _notice_trouble(self, trouble: RestFailure, now: float) -> None:
        self._counters.rest_errors[trouble.kind] += 1
        if trouble.kind == "unknown_symbol":
            return  # it is named once, by `Availability`, or as the reason of a gap
        noticed_at = self._noticed_at.get(trouble.kind)
        if noticed_at is None or now - noticed_at >= TROUBLE_REPEAT_SECONDS:
            self._noticed_at[trouble.kind] = now
            log.warning("REST: %s", trouble.detail)
            self._counters.notice("rest_trouble", error_type=trouble.kind, error=trouble.detail)


def _below(route: Route, first_id: int) -> Repaired | None:
    """Return the event right below an id, as the stream told it; of a candle also one within it."""
    latest = route.latest
    if isinstance(latest, (Trade, AggTrade)):
        return latest if latest.id == first_id - 1 else None
    if isinstance(latest, Kline) and first_id in (latest.id, latest.candle.next_open_time):
        return latest
    return None


def _above(route: Route) -> Repaired | None:
    """Return the event right above the lowest gap, as the stream told it."""
    pending = route.repaired.lowest_held() if route.repaired is not None else None
    if pending is not None and isinstance(pending[0], (Trade, AggTrade, Kline)):
        return pending[0]
    return None


def _count(route: Route, first_id: int, below_id: int) -> int:
    """Return how many ids there are; those of candles are times."""
    if route.kind == "kline":
        return candles_between(interval_of(route.stream), first_id, below_id)
    return below_id - first_id
