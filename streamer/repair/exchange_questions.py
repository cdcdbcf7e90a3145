"""One question to the exchange at a time, within the budget of weight. Never waits."""

from __future__ import annotations

import logging
from collections.abc import Callable

from streamer.data.rest_page import RestRequest
from streamer.feed_counters import FeedCounters
from streamer.repair.rest_requests import RestFailure, RestResponse
from streamer.repair.rest_worker import Ask
from streamer.repair.weight import WeightBudget

log = logging.getLogger(__name__)

TROUBLE_REPEAT_SECONDS = 60.0  # between two notices of the same kind of trouble

Handle = Callable[[RestResponse | RestFailure, float], None]
"""Takes the outcome of a question, and the monotonic time."""


class ExchangeQuestions:
    """The question under way, what its weight is taken from, and the troubles with questions.

    `unix_time()` is the wall clock in seconds.
    """

    def __init__(
        self,
        ask: Ask,
        budget: WeightBudget,
        counters: FeedCounters,
        unix_time: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._budget = budget
        self._counters = counters
        self._unix_time = unix_time
        self._handle: Handle | None = None  # of the question under way
        self._noticed_at: dict[str, float] = {}

    @property
    def is_asking(self) -> bool:
        """Whether a question is under way."""
        return self._handle is not None

    @property
    def lacks_weight(self) -> bool:
        """Whether the open gaps need more than this minute's weight."""
        return self._budget.bulk_waits

    def affords(self, weight: int, *, bulk: bool = False) -> bool:
        """Return whether a question of this weight may begin in this minute."""
        return self._budget.delay(weight, self._unix_time(), bulk=bulk) <= 0

    def begin(self, request: RestRequest, handle: Handle, *, bulk: bool = False) -> bool:
        """Ask unless the budget of this minute is used up; return whether it was asked.

        To be called only while no question is under way.
        """
        if not self.affords(request.weight, bulk=bulk):
            return False
        self._budget.spend(request.weight, self._unix_time(), bulk=bulk)
        self._handle = handle
        self._ask.start(request)
        return True

    def take(self, now: float) -> None:
        """Hand over the outcome of the question under way, if there is one."""
        if self._handle is None or (outcome := self._ask.take()) is None:
            return
        handle, self._handle = self._handle, None
        # Only an answer of the exchange tells whether it tells.
        if outcome.used_weight is not None or isinstance(outcome, RestResponse):
            self._budget.observe(outcome.used_weight, self._unix_time())
        if isinstance(outcome, RestFailure):
            self.notice_trouble(outcome, now)
        handle(outcome, now)

    def notice_trouble(self, trouble: RestFailure, now: float) -> None:
        """Count a trouble, and tell of it unless its kind was told a moment ago."""
        self._counters.rest_errors[trouble.kind] += 1
        if trouble.kind == "unknown_symbol":
            return  # it is named once, by `Availability`, or as the reason of a gap
        noticed_at = self._noticed_at.get(trouble.kind)
        if noticed_at is None or now - noticed_at >= TROUBLE_REPEAT_SECONDS:
            self._noticed_at[trouble.kind] = now
            log.warning("REST: %s", trouble.detail)
            self._counters.notice("rest_trouble", error_type=trouble.kind, error=trouble.detail)

    def unreadable(self, error: Exception, now: float) -> RestFailure:
        """Return an answer that is not what is documented as a failure, which is told of."""
        failure = RestFailure("unavailable", str(error))
        self.notice_trouble(failure, now)
        return failure

    def close(self) -> None:
        """Ask no more."""
        self._ask.close()
