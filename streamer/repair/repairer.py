"""Drives repair, the looks at silences and the estimate of the clock: one question at a time.

On the feed's thread; the decisions are those of `repair`, `silence` and `weight`, which are pure.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from streamer.config import RepairConfig
from streamer.data.events import AggTrade
from streamer.data.streams import CONTIGUOUS
from streamer.data.summaries import Kline
from streamer.errors import FrameRejected
from streamer.order.sequence import Gap
from streamer.repair.asker import Ask
from streamer.repair.gaps import Ask as GapAsk
from streamer.repair.gaps import GiveUp, Repairs
from streamer.repair.questions import (
    TIME_QUESTION,
    Answer,
    Page,
    Question,
    Trouble,
    latest_question,
    page_question,
    read_page,
    read_time,
)
from streamer.repair.silence import UNSURE_SECONDS, Finding, Silences
from streamer.repair.weight import WeightBudget
from streamer.routes import Arrival, Route
from streamer.tally import Tally

log = logging.getLogger(__name__)

CLOCK_TRIP_SECONDS = 1.0  # an answer that took longer says too little about the clock
CLOCK_RETRY_SECONDS = 15.0
TROUBLE_REPEAT_SECONDS = 60.0  # between two notices of the same kind of trouble

Handle = Callable[[Answer | Trouble, float], None]


class Forward(Protocol):
    """Hands what a sequence has released to the sink, and declares gaps."""

    def __call__(self, route: Route, released: list[Arrival | Gap]) -> None:
        """Events in order, gaps in their places."""


class Repairer:
    """Closes gaps by REST, one question at a time; `turn` is to be called often.

    `silent_seconds(route, now)` is how long a stream that could have spoken has been silent;
    `unix_time()` is the wall clock in seconds.
    """

    def __init__(
        self,
        config: RepairConfig,
        routes: Iterable[Route],
        ask: Ask,
        forward: Forward,
        tally: Tally,
        silences: Silences,
        *,
        silent_seconds: Callable[[Route, float], float],
        unix_time: Callable[[], float],
        in_milliseconds: bool = False,
    ) -> None:
        self.silences = silences
        self._config = config
        self._routes = routes
        self._ask = ask
        self._forward = forward
        self._tally = tally
        self._silent_seconds = silent_seconds
        self._unix_time = unix_time
        self._in_milliseconds = in_milliseconds
        self._repairs: Repairs[Route] = Repairs(config.give_up_after)
        self._budget = WeightBudget(config.weight_per_minute, config.weight_share)
        self._handle: Handle | None = None  # of the question under way
        self._young: dict[Route, AggTrade] = {}  # the latest of a look that was not sure
        self._clock_at = 0.0
        self._look_at = 0.0
        self._noticed_at: dict[str, float] = {}

    @property
    def open_gaps(self) -> int:
        """How many gaps are open."""
        return len(self._repairs.open)

    def turn(self, now: float, *, accepting: bool = True) -> None:
        """Take an outcome, look at the gaps, ask the next question. Never waits.

        While the sink is not `accepting`, nothing that waits is handed to it.
        """
        if self._handle is not None and (outcome := self._ask.take()) is not None:
            handle, self._handle = self._handle, None
            if outcome.used_weight is not None:
                self._budget.observe(outcome.used_weight, self._unix_time())
            if isinstance(outcome, Trouble):
                self._notice_trouble(outcome, now)
            handle(outcome, now)
        self._look_at_gaps(now, accepting=accepting)
        if self._handle is None and not self._repairs.paused(now):
            self._ask_next(now)

    def repairing(self, route: Route) -> bool:
        """Tell whether something of a route is asked for, or has to be."""
        return route in self._repairs.open

    def forget(self, route: Route) -> None:
        """Know nothing more of a route of which nothing is repaired."""
        self._young.pop(route, None)
        self.silences.forget(route.name)

    def close(self) -> None:
        """Ask no more."""
        self._ask.close()

    def _look_at_gaps(self, now: float, *, accepting: bool) -> None:
        for route in self._routes:
            sequence = route.repaired
            if sequence is None or not sequence.held:
                continue
            if accepting:
                self._forward(route, sequence.release())
            suspected = sequence.suspected(now)
            if suspected is not None:
                gap, since = suspected
                if route not in self._repairs.open:
                    log.info(
                        "suspected gap: %s of %s from %d to %d: asking REST",
                        *(route.stream, route.symbol, gap.first_id, gap.last_id),
                    )
                self._repairs.suspect(route, gap.first_id, gap.last_id, now, since)
        if self._repairs.open:
            for give_up in self._repairs.overdue(now):
                self._give_up(give_up)
            for route in tuple(self._repairs.open):
                self._advance(route, now)

    def _advance(self, route: Route, now: float) -> None:
        """Tell how far a gap has become smaller, and note its end."""
        sequence = route.repaired
        assert sequence is not None  # noqa: S101 - for the type checker: only such are open
        gap = self._repairs.advance(route, sequence.next_id or 0, now)
        if gap is not None and gap.repaired:
            route.repaired_gaps_total += 1
            self._tally.notice(
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
        self._forward(give_up.key, sequence.give_up(give_up.last_id, give_up.reason))

    def _ask_next(self, now: float) -> None:
        """Begin the most urgent question: gaps, then silences, then the clock."""
        ask = self._repairs.next(now)
        if ask is not None:
            route = ask.key
            question = page_question(route.stream, route.symbol, ask.first_id, ask.limit)
            self._begin(question, lambda outcome, at: self._page(ask, outcome, at))
            return
        if now >= self._look_at:
            self._look_at = now + 1.0  # silence is counted in seconds
            for route in self._routes:
                seconds = self._silent_seconds(route, now)
                if not route.leaving and self.silences.due(route.name, seconds, now):
                    self._begin(latest_question(route.symbol), self._looker(route))
                    self._look_at = now  # there may be more of them
                    return
        if now >= self._clock_at:
            self._begin(TIME_QUESTION, self._clock)

    def _begin(self, question: Question, handle: Handle) -> None:
        unix_time = self._unix_time()
        if self._budget.delay(question.weight, unix_time) > 0:
            return
        self._budget.spend(question.weight, unix_time)
        self._handle = handle
        self._ask.start(question)

    def _page(self, ask: GapAsk[Route], outcome: Answer | Trouble, now: float) -> None:
        route = ask.key
        events: Page = []
        if isinstance(outcome, Answer):
            try:
                events = self._read(route, outcome)
            except (ValueError, FrameRejected) as error:
                outcome = Trouble("unavailable", str(error))
                self._notice_trouble(outcome, now)
        if isinstance(outcome, Trouble):
            give_up = self._repairs.trouble(ask, outcome.kind, outcome.wait_seconds, now)
        else:
            oldest_us = int((self._unix_time() - self._config.max_age) * 1e6)
            # Candles of any age are few, and asked for by time.
            too_old = (
                bool(events)
                and not isinstance(latest := events[-1], Kline)
                and latest.trade_time < oldest_us
            )
            ids = [event.id for event in events]
            give_up = self._repairs.page(ask, ids, now, too_old=too_old)
            if not too_old:
                self._take(route, events, now)
        if give_up is not None:
            self._give_up(give_up)
        if route in self._repairs.open:
            self._advance(route, now)

    def _read(self, route: Route, answer: Answer) -> Page:
        events = read_page(
            route.stream, route.symbol, answer.body, in_milliseconds=self._in_milliseconds
        )
        received_us = int(answer.answered_at * 1e6)
        for event in events:
            route.check(event, received_us)
        return events

    def _take(self, route: Route, events: Page, now: float) -> None:
        """Put what is missing where it belongs."""
        sequence, gap = route.repaired, self._repairs.open.get(route)
        if sequence is None or gap is None:
            return
        received_us = int(self._unix_time() * 1e6)
        for event in events:
            if event.id > gap.last_id:
                break
            if isinstance(event, Kline) and not event.candle.is_closed:
                break  # REST has not seen its end yet
            if sequence.wants(event.id):
                gap.repaired += 1
                route.repaired_total += 1
                self._forward(route, sequence.take(event.id, (event, received_us), now))

    def _looker(self, route: Route) -> Handle:
        return lambda outcome, now: self._look(route, outcome, now)

    def _look(self, route: Route, outcome: Answer | Trouble, now: float) -> None:
        """Tell whether the exchange has news of a symbol that its stream did not bring."""
        seconds = self._silent_seconds(route, now)
        finding: Finding = "unconfirmed"
        if isinstance(outcome, Trouble):
            self._repairs.pause(outcome.wait_seconds, now)
        elif route.leaving:  # since the question was asked
            return
        else:
            try:
                latest = read_page(
                    "aggTrade", route.symbol, outcome.body, in_milliseconds=self._in_milliseconds
                )
            except ValueError as error:
                self._notice_trouble(Trouble("unavailable", str(error)), now)
            else:
                finding = "quiet"
                if latest and isinstance(event := latest[-1], AggTrade):
                    finding = self._judge(route, event, seconds, now)
        self.silences.told(route.name, finding, seconds, now)
        if finding == "news":
            log.warning("%s has been silent for %.0f s, though there is news", route.name, seconds)

    def _judge(self, route: Route, latest: AggTrade, seconds: float, now: float) -> Finding:
        """Tell what the exchange's latest trade means for a stream silent for so long.

        A busy symbol's latest trade is always young, and may be on its way to us: it counts when
        it is still missing at the next look.
        """
        exchange_time = self._unix_time() + (self._tally.clock_offset_seconds or 0.0)
        before = self._young.pop(route, None)
        if before is not None and exchange_time - before.trade_time / 1e6 < seconds:
            latest = before
        age_seconds = exchange_time - latest.trade_time / 1e6
        if age_seconds < UNSURE_SECONDS:
            self._young[route] = latest
            return "unconfirmed"
        if route.repaired is not None and route.kind in CONTIGUOUS:
            last_id = route.repaired.last_id
            latest_id = latest.id if route.kind == "aggTrade" else latest.last_trade_id
            if last_id is None or latest_id <= last_id:
                return "quiet"
            if route not in self._repairs.open:  # lost before the silence, or in it
                self._repairs.suspect(route, last_id + 1, latest_id, now)
        else:
            age_seconds += UNSURE_SECONDS  # times alone tell, and clocks differ a little
        return "news" if age_seconds < seconds else "quiet"

    def _clock(self, outcome: Answer | Trouble, now: float) -> None:
        self._clock_at = now + CLOCK_RETRY_SECONDS
        if isinstance(outcome, Trouble):
            self._repairs.pause(outcome.wait_seconds, now)
            return
        try:
            exchange_time = read_time(outcome.body, in_milliseconds=self._in_milliseconds)
        except ValueError as error:
            self._notice_trouble(Trouble("unavailable", str(error)), now)
            return
        trip_seconds = outcome.answered_at - outcome.asked_at
        if 0 <= trip_seconds <= CLOCK_TRIP_SECONDS:
            self._clock_at = now + self._config.clock_every
            middle = (outcome.asked_at + outcome.answered_at) / 2
            self._tally.clock_offset_seconds = exchange_time - middle

    def _notice_trouble(self, trouble: Trouble, now: float) -> None:
        self._tally.rest_errors[trouble.kind] += 1
        noticed_at = self._noticed_at.get(trouble.kind)
        if noticed_at is None or now - noticed_at >= TROUBLE_REPEAT_SECONDS:
            self._noticed_at[trouble.kind] = now
            log.warning("REST: %s", trouble.detail)
            self._tally.notice("rest_trouble", error_type=trouble.kind, error=trouble.detail)
