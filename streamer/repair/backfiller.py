"""Drives repair, the looks at silences and the estimate of the clock: one question at a time.

On the feed's thread. What is asked and what is made of the answers is in `gap_filler`,
`silence_check` and `clock_check`; which of them may ask next is decided here.
"""

from __future__ import annotations

from collections.abc import Callable

from streamer.availability import Availability
from streamer.config import RepairConfig
from streamer.feed_counters import FeedCounters
from streamer.messages import Backfill
from streamer.repair.clock_check import ClockCheck, NoteClock
from streamer.repair.depth_snapshots import MakeSnapshots
from streamer.repair.exchange_questions import ExchangeQuestions
from streamer.repair.gap_filler import GapFiller
from streamer.repair.gap_tracker import GapTracker
from streamer.repair.neighbours import count_ids, pages_weight
from streamer.repair.page_check import PageCheck
from streamer.repair.page_intake import Forward, Refuse
from streamer.repair.rest_requests import RestFailure
from streamer.repair.rest_worker import Ask
from streamer.repair.silence_check import SilenceCheck
from streamer.repair.staleness import StalenessProbe
from streamer.repair.weight import WeightBudget
from streamer.routes import Route, Routes


class Backfiller:
    """Closes gaps by REST, one question at a time; `turn` is to be called often.

    `silent_seconds(route, now)` is how long a stream that could have spoken has been silent;
    `unix_time()` is the wall clock in seconds; `same_venue` as for `PageCheck`;
    `note_clock` hears of the clock's offsets.
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
        note_clock: NoteClock = lambda *_: None,
        make_snapshots: MakeSnapshots | None = None,
        processes: int = 1,
    ) -> None:
        """Without `make_snapshots` no books are asked for; `processes` share the address."""
        self.silences = silences
        self._unix_time = unix_time
        self._budget = WeightBudget(config.weight_per_minute, config.weight_share, processes)
        self._questions = ExchangeQuestions(ask, self._budget, counters, unix_time)
        self._gap_tracker: GapTracker[Route] = GapTracker(config.give_up_after)
        self._page_was_last = False  # the latest question was about a gap
        page_check = PageCheck(in_milliseconds=in_milliseconds, same_venue=same_venue)
        self._clock = ClockCheck(
            self._questions,
            counters,
            routes.window,
            self._pause,
            every_seconds=config.clock_every,
            unix_time=unix_time,
            in_milliseconds=in_milliseconds,
            note=note_clock,
        )
        self._gap_filler = GapFiller(
            self._questions,
            routes,
            self._gap_tracker,
            page_check,
            self._clock,
            forward,
            refuse,
            counters,
            config.max_age,
        )
        self._silence_check = SilenceCheck(
            self._questions,
            routes,
            silences,
            availability,
            self._gap_tracker,
            page_check,
            self._clock,
            silent_seconds,
        )
        self._snapshots = (
            None
            if make_snapshots is None
            else make_snapshots(self._questions, page_check, self._pause)
        )

    @property
    def open_gaps(self) -> int:
        """How many gaps are open."""
        return len(self._gap_tracker.open)

    @property
    def progress(self) -> Backfill:
        """How far the open gaps are repaired."""
        if not self.open_gaps:
            return Backfill()
        left, done = self._gap_tracker.ids(count_ids)
        weight = self._gap_tracker.weight_left(pages_weight)
        seconds = self._budget.seconds_for(weight, self._unix_time())
        return Backfill(self.open_gaps, left, done, round(seconds, 1))

    def turn(self, now: float, *, accepting: bool = True) -> None:
        """Take an outcome, look at the gaps, ask the next question. Never waits.

        While the sink is not `accepting`, nothing that waits is handed to it, and no snapshot is
        asked for, which would have to wait in memory.
        """
        self._clock.turn(now)
        self._questions.take(now)
        self._gap_filler.turn(now, accepting=accepting)
        if not self._questions.is_asking and not self._gap_tracker.paused(now):
            self._ask_next(now, accepting=accepting)

    def repairing(self, route: Route) -> bool:
        """Return whether something of a route is asked for, or has to be."""
        return route in self._gap_tracker.open

    def begin(self, route: Route) -> None:
        """Take a route that has joined."""
        if self._snapshots is not None:
            self._snapshots.begin(route)

    def lose_book(self, route: Route, last_id: int) -> None:
        """Handle that changes of a book up to an id are lost for good."""
        if self._snapshots is not None:
            self._snapshots.lose(route, last_id)

    def forget(self, route: Route) -> None:
        """Know nothing more of a route of which nothing is repaired."""
        self._drop(route)
        if self._snapshots is not None:
            self._snapshots.forget(route)

    def start_anew(self, route: Route) -> None:
        """Handle that the ids of a route began anew: nothing of the earlier ones is asked for."""
        self._drop(route)
        if self._snapshots is not None:
            self._snapshots.start_anew(route)

    def close(self) -> None:
        """Ask no more."""
        self._questions.close()

    def _ask_next(self, now: float, *, accepting: bool) -> None:
        """Begin the most urgent question: gaps, silences, the clock, then snapshots of books.

        After a page of a gap comes whatever else is due: gaps can take hours to fill.
        """
        weight = self._budget.left_for_bulk(self._unix_time())
        self._budget.bulk_waits = self._gap_tracker.takes_more_than(weight, pages_weight)
        kinds = [self._ask_about_gap, self._silence_check.ask, self._clock.ask]
        if self._snapshots is not None and accepting:
            kinds.append(self._snapshots.ask)
        if self._page_was_last:
            kinds.append(kinds.pop(0))
        self._page_was_last = False
        for ask in kinds:
            if ask(now):
                return

    def _drop(self, route: Route) -> None:
        self._gap_filler.forget(route)
        self._silence_check.forget(route)

    def _pause(self, trouble: RestFailure, now: float) -> None:
        self._gap_tracker.pause(trouble.kind, trouble.wait_seconds, now)

    def _ask_about_gap(self, now: float) -> bool:
        self._page_was_last = self._gap_filler.ask(now)
        return self._page_was_last
