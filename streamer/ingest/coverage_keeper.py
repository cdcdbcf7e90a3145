"""Which streams are covered now, where ids tell of no gaps: times go on record instead."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import assert_never

from streamer.ingest.gap_records import GapRecords
from streamer.network.events import CoverageEvent, Lost, Restored
from streamer.order import coverage
from streamer.order.coverage import Coverage, Uncovered
from streamer.order.sequence import IncreasingSequence
from streamer.order.sequences import Arrival
from streamer.routes import Route, Routes

log = logging.getLogger(__name__)


class CoverageKeeper:
    """Keeps account of the time in which nothing served a stream."""

    def __init__(self, routes: Routes, gap_records: GapRecords) -> None:
        self._routes = routes
        self._gap_records = gap_records
        self._missed_seconds: list[float] = []  # of each stream, since this was last logged

    def take_event(self, event: CoverageEvent) -> None:
        """Keep account of what was covered. To be told of it before anything that came after."""
        match event:
            case Lost(names):
                self.lose_sight(names)
            case Restored(names, seconds):
                self.declare_missed(names, seconds)
            case _:
                assert_never(event)

    def lose_sight(self, names: Iterable[str]) -> None:
        """Handle that nothing is heard of these streams from now on.

        Where ids tell of no gaps, that time is declared: before the first event that comes again,
        which may be seconds before `declare_missed` hears that all of them are back.
        """
        for route, _ in self._increasing(names):
            if route.held is not None:
                route.held.lose()
            else:
                self.begin_gap(route)

    def begin_gap(self, route: Route) -> None:
        """Handle that nothing was heard of this stream since its last event or record."""
        if isinstance(route.sequence, IncreasingSequence):
            route.coverage = coverage.lost(route.coverage, route.heard_us)
            if route.coverage.is_lost:
                route.sequence.interrupt()

    def declare_missed(self, names: Iterable[str], seconds: float) -> None:
        """Declare the time in which these streams were lost, where nothing has come yet.

        They are served again from now on. One that `lose_sight` was not told of has joined
        meanwhile, and missed nothing.
        """
        self.cover_all(names)
        missed, self._missed_seconds = self._missed_seconds, []
        if missed:
            longest = max(seconds, *missed)
            log.warning(
                "%d streams have a gap of up to %.1f s that cannot be repaired",
                len(missed),
                longest,
            )

    def cover_all(self, names: Iterable[str]) -> None:
        """Declare until now what nothing has come of since it was lost."""
        now_us = time.time_ns() // 1000
        for route, _ in self._increasing(names):
            self.cover(route, *coverage.covered(route.coverage, now_us))

    def declare_shed(self, names: Iterable[str], seconds: float) -> None:
        """Declare a time until now in which events were dropped, where ids tell of no gaps.

        Of a stream that nothing serves, all of the time is declared when it is back.
        """
        now_us = time.time_ns() // 1000
        since_us = now_us - round(seconds * 1e6)
        for route, _ in self._increasing(names):
            if route.held is not None:
                route.held.lose()
                continue
            after, uncovered = coverage.dropped(route.coverage, route.heard_us, since_us, now_us)
            route.coverage = after
            if uncovered is not None:
                self._gap_records.declare_uncovered(route, uncovered)

    def _increasing(
        self, names: Iterable[str]
    ) -> Iterator[tuple[Route, IncreasingSequence[Arrival]]]:
        """Yield those of these streams that are known still and whose ids tell of no gaps."""
        for name in names:
            route = self._routes.by_name.get(name)
            if route is not None and isinstance(route.sequence, IncreasingSequence):
                yield route, route.sequence

    def cover(self, route: Route, after: Coverage, uncovered: Uncovered | None) -> None:
        """Take the coverage of a stream that is served again, and what it missed."""
        route.coverage = after
        if uncovered is not None:
            self._missed_seconds.append((uncovered.to_us - uncovered.from_us) / 1e6)
            self._gap_records.declare_uncovered(route, uncovered)
