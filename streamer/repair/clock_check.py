"""Asks the exchange for its time, and has everybody judge by it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from streamer.data.checks import TimeWindow
from streamer.feed_counters import FeedCounters
from streamer.repair.clock import ExchangeClock
from streamer.repair.exchange_questions import ExchangeQuestions
from streamer.repair.rest_requests import TIME_REQUEST, RestFailure, RestResponse, read_time

log = logging.getLogger(__name__)

CLOCK_RETRY_SECONDS = 15.0

NoteClock = Callable[[float, float, float | None], None]
"""Hears of an offset, in seconds: when by our clock, the exchange's less ours, how exact; None
where our clock was set, so that it is an older one less the step."""


class ClockCheck:
    """Measures the exchange's clock each `every_seconds`, and when the clock here was set.

    `pause(trouble, now)` is told of a trouble that concerns all questions, `note` of each offset.
    """

    def __init__(
        self,
        questions: ExchangeQuestions,
        counters: FeedCounters,
        window: TimeWindow,
        pause: Callable[[RestFailure, float], None],
        *,
        every_seconds: float,
        unix_time: Callable[[], float],
        in_milliseconds: bool,
        note: NoteClock,
    ) -> None:
        self._questions = questions
        self._counters = counters
        self._window = window
        self._pause = pause
        self._every_seconds = every_seconds
        self.unix_time = unix_time
        self._in_milliseconds = in_milliseconds
        self._clock = ExchangeClock()
        self._note = note
        self._ask_at = 0.0

    @property
    def exchange_time(self) -> float:
        """The exchange's Unix time in seconds, as far as it is known."""
        return self.unix_time() + (self._clock.offset_seconds or 0.0)

    def turn(self, now: float) -> None:
        """Notice that the clock here was set. To be called often."""
        if self._clock.follow(self.unix_time(), now):
            log.warning("the clock here was set: the exchange is asked for the time again")
            self._ask_at = now
            if self._clock.offset_seconds is not None:
                self._note(self.unix_time(), self._clock.offset_seconds, None)
            self._use()

    def ask(self, now: float) -> bool:
        """Ask for the time where that is due; return whether it was asked."""
        return now >= self._ask_at and self._questions.begin(TIME_REQUEST, self._measure)

    def _measure(self, outcome: RestResponse | RestFailure, now: float) -> None:
        self._ask_at = now + CLOCK_RETRY_SECONDS
        if isinstance(outcome, RestFailure):
            self._pause(outcome, now)
            return
        try:
            exchange_time = read_time(outcome.body, in_milliseconds=self._in_milliseconds)
        except ValueError as error:
            self._questions.unreadable(error, now)
            return
        was_far = self._clock.is_far
        if not self._clock.measure(exchange_time, outcome.asked_at, outcome.answered_at):
            return
        self._ask_at = now + self._every_seconds
        if self._clock.offset_seconds is not None:
            half = (outcome.answered_at - outcome.asked_at) / 2
            self._note(outcome.answered_at, self._clock.offset_seconds, half)
        self._use()
        if self._clock.is_far and not was_far:
            offset = self._clock.offset_seconds or 0.0
            message = (
                f"the clock here is {abs(offset):.1f} s {'behind' if offset > 0 else 'ahead of'} "
                "the exchange's: times of receipt are off by as much; see to its synchronisation"
            )
            log.warning("%s", message)
            self._counters.notice("warning", message=message)

    def _use(self) -> None:
        offset = self._counters.clock_offset_seconds = self._clock.offset_seconds
        if offset is not None:
            self._window.follow(offset)
