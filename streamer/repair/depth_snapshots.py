"""Snapshots of books beside the streams of their changes: asked for over REST, put into the sink.

On the feed's thread; what is due and when is decided by `snapshot_plan`, which is pure. A snapshot
is asked for once the first change has come, so that it can be new enough to go on from.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from streamer.config import DepthSnapshotConfig
from streamer.data.events import Event
from streamer.data.kinds.depth import KIND as DEPTH
from streamer.data.kinds.depth import Depth
from streamer.data.kinds.depth_snapshot import (
    DepthSnapshot,
    SnapshotReason,
    read_snapshot,
    snapshot_request,
)
from streamer.errors import FrameRejected
from streamer.feed_counters import FeedCounters
from streamer.order.ranges import RangeSequence
from streamer.repair.book_match import agrees, fits
from streamer.repair.exchange_questions import ExchangeQuestions
from streamer.repair.gap_tracker import LASTING
from streamer.repair.page_check import PageCheck
from streamer.repair.rest_requests import RestFailure, RestResponse
from streamer.repair.snapshot_plan import SnapshotDue, SnapshotPlan
from streamer.repair.weight import WeightBudget
from streamer.routes import JUMP_LIMIT, Route, Routes

log = logging.getLogger(__name__)


SCARCE_SHARE = 1 / 8
"""Of what snapshots may weigh, while gaps need more weight than a minute has: a snapshot of 1,000
levels takes two pages from them. By the defaults three books a minute then, instead of 24: with
1,500 books the trades of all are complete two minutes earlier, and the last of the books six
minutes later, of an hour. Not none: a back-fill of a day takes hours."""
STARTS_EVERY_SECONDS = 1.0
"""Between looks at streams whose first change is awaited, of which there can be thousands."""


@dataclass(frozen=True, slots=True)
class _Start:
    """A stream whose first change is awaited; it goes on after an id, or begins (None)."""

    reason: SnapshotReason
    after_id: int | None
    events: int  # that it had brought before


class SnapshotSink(Protocol):
    """Where snapshots go: what of a sink they need."""

    def put(self, route: Route, event: Event, received_us: int) -> None:
        """Accept a snapshot that was received at a Unix time in microseconds."""

    def renew(self, route: Route) -> None:
        """Have the route's epoch in the ids of records from now on."""


class DepthSnapshots:
    """Keeps account of the books of all streams of changes."""

    def __init__(
        self,
        questions: ExchangeQuestions,
        page_check: PageCheck,
        pause: Callable[[RestFailure, float], None],
        *,
        config: DepthSnapshotConfig,
        weight_per_minute: int,
        routes: Routes,
        sink: SnapshotSink,
        counters: FeedCounters,
        unix_time: Callable[[], float],
    ) -> None:
        """Ask with at most `config.weight_share` of `weight_per_minute`.

        `pause(trouble, now)` is told of a trouble that concerns all questions.
        """
        self._questions = questions
        self._page_check = page_check
        self._pause = pause
        self._levels = config.levels
        self._routes = routes
        self._sink = sink
        self._counters = counters
        self._unix_time = unix_time
        self._plan = SnapshotPlan(config.interval)
        # Of its own: repairs go on whatever is due here.
        self._budget = WeightBudget(weight_per_minute, config.weight_share)
        self._scarce_budget = WeightBudget(weight_per_minute, config.weight_share * SCARCE_SHARE)
        self._weight = snapshot_request("", config.levels).weight
        self._starting: dict[Route, _Start] = {}
        self._starts_at = 0.0  # the next look at them, in monotonic seconds
        self._lost: set[Route] = set()  # of which that was told
        self._stored_ids: dict[str, dict[int, int]] = defaultdict(dict)  # the latest, by epoch
        self._matched = False  # a snapshot had told the same as the stream
        for route in routes:
            self.begin(route)

    def begin(self, route: Route, reason: SnapshotReason = "start") -> None:
        """Take a stream that begins or goes on, or whose ids have begun anew."""
        sequence = route.sequence
        if isinstance(sequence, RangeSequence):
            # Where it begins nothing was lost: a gap to an earlier run is told as one.
            route.book_lost, route.book_awaited = reason == "gap", True
            self._starting[route] = _Start(reason, sequence.last_id, sequence.events_total)

    def lose(self, route: Route, last_id: int) -> None:
        """Take that changes up to an id were lost for good: a snapshot is due at once."""
        if route.book_lost is not None and self._plan.need(route.symbol, "gap", last_id):
            route.book_lost = True
            self._lost.add(route)

    def forget(self, route: Route) -> None:
        """Know nothing more of a stream."""
        if route.book_lost is None:
            return
        route.book_lost, route.book_awaited = None, False
        self._starting.pop(route, None)
        self._lost.discard(route)
        if not self._routes_of(route.symbol):
            self._plan.forget(route.symbol)
            self._stored_ids.pop(route.symbol, None)

    def start_anew(self, route: Route) -> None:
        """Take that the ids of a stream began anew: all that is known is of the earlier ones."""
        if route.book_lost is not None:
            self._plan.forget(route.symbol)
            self.begin(route, "gap")

    def ask(self, now: float) -> bool:
        """Ask for the most urgent book, unless the share of the weight is used; return whether."""
        if self._starting and now >= self._starts_at:
            self._starts_at = now + STARTS_EVERY_SECONDS
            self._look_at_starts()
        unix_time = self._unix_time()
        budget = self._scarce_budget if self._questions.lacks_weight else self._budget
        if self._page_check.doubted or budget.delay(self._weight, unix_time) > 0:
            return False
        due = self._plan.next(now)
        if due is None:
            return False
        known = self._latest_changes(due.symbol)
        request = snapshot_request(due.symbol, self._levels)
        is_asked = self._questions.begin(
            request, lambda outcome, at: self._take(due, known, outcome, at), bulk=True
        )
        if is_asked:
            for one in (self._budget, self._scarce_budget):
                one.spend(request.weight, unix_time)
        return is_asked

    def _look_at_starts(self) -> None:
        for route, start in tuple(self._starting.items()):
            sequence = route.sequence
            assert isinstance(sequence, RangeSequence)  # noqa: S101 - for the type checker
            if sequence.events_total > start.events:
                del self._starting[route]
                # Without a first id it goes on after the last one of an earlier run.
                first_id = sequence.first_id
                reach_id = start.after_id or 0 if first_id is None else first_id - 1
                if not self._plan.need(route.symbol, start.reason, reach_id):
                    self._restore(route)

    def _take(
        self,
        due: SnapshotDue,
        known: list[Depth],
        outcome: RestResponse | RestFailure,
        now: float,
    ) -> None:
        if isinstance(outcome, RestFailure):
            self._plan.failed(due.symbol, now)
            if outcome.kind not in LASTING:
                self._pause(outcome, now)
            return
        try:
            self._take_answer(due, known, outcome, now)
        except (ValueError, FrameRejected) as error:
            self._plan.failed(due.symbol, now)
            self._questions.unreadable(error, now)

    def _take_answer(
        self, due: SnapshotDue, known: list[Depth], answer: RestResponse, now: float
    ) -> None:
        """Store the book in an answer, if it serves. Raises ValueError and FrameRejected.

        `known` are the latest changes when it was asked for.
        """
        symbol, routes = due.symbol, self._routes_of(due.symbol)
        if not routes:
            return  # they have left since
        snapshot = read_snapshot(symbol, answer.body, due.reason, self._levels)
        streamed_id = max(route.sequence.last_id or 0 for route in routes)
        if abs(snapshot.id - streamed_id) > JUMP_LIMIT:
            raise ValueError(
                f"depth: the book of {symbol} is as of {snapshot.id}, its changes at {streamed_id}"
            )
        if not self._is_of_this_market(snapshot, known):
            self._plan.failed(symbol, now)
            log.warning(
                "the snapshot of %s does not tell the same as its latest changes: asked again",
                symbol,
            )
            return
        if not self._plan.serves(symbol, snapshot.id, now):
            log.info("the snapshot of %s is older than its changes: asked again", symbol)
            return
        self._store(snapshot, {route.epoch for route in routes}, answer)
        for route in routes:
            if (route.book_lost or route.book_awaited) and route not in self._starting:
                self._restore(route)

    def _is_of_this_market(self, snapshot: DepthSnapshot, known: list[Depth]) -> bool:
        """Return whether it is for sure, or by its content, as far as that tells.

        Of an unknown host the first one has to tell the same as a change, unless its trades did.
        """
        if self._page_check.same_venue:
            return True
        latest = self._latest_changes(snapshot.symbol)
        if not all(fits(snapshot, change) for change in latest):
            self._matched = False
            return False
        if not self._page_check.trusted and not self._matched:
            self._matched = agrees(snapshot, (*known, *latest))
            return self._matched
        return True

    def _latest_changes(self, symbol: str) -> list[Depth]:
        routes = self._routes_of(symbol)
        return [route.latest for route in routes if isinstance(route.latest, Depth)]

    def _store(self, snapshot: DepthSnapshot, epochs: set[int], answer: RestResponse) -> None:
        """Store a snapshot for each numbering of the symbol's streams: each looks for its own.

        Not where that has one as new already: nothing has happened since.
        """
        target, stored = self._routes.snapshots[snapshot.symbol], self._stored_ids[snapshot.symbol]
        for epoch in sorted(epochs):
            if snapshot.id > stored.get(epoch, -1):
                stored[epoch] = snapshot.id
                if target.epoch != epoch:
                    target.epoch = epoch
                    self._sink.renew(target)
                self._sink.put(target, snapshot, int(answer.answered_at * 1e6))
        for epoch in stored.keys() - epochs:
            del stored[epoch]

    def _restore(self, route: Route) -> None:
        route.book_lost = route.book_awaited = False
        if route in self._lost:
            self._lost.remove(route)
            last_id = self._plan.latest_id(route.symbol)
            self._counters.notice(
                "book_restored", stream=route.stream, symbol=route.symbol, last_update_id=last_id
            )

    def _routes_of(self, symbol: str) -> list[Route]:
        return [
            route
            for name in DEPTH.streams
            if (route := self._routes.by_name.get(f"{symbol.lower()}@{name}")) is not None
            and route.book_lost is not None
        ]


MakeSnapshots: TypeAlias = Callable[
    [ExchangeQuestions, PageCheck, Callable[[RestFailure, float], None]], DepthSnapshots
]
