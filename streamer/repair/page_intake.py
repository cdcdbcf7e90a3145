"""Puts what REST brought where it is missing, and declares what it confirms to be no record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from streamer.data.intervals import interval_of, next_open_time
from streamer.data.kinds.kline import Kline
from streamer.data.rest_page import Unusable
from streamer.feed_counters import FeedCounters
from streamer.order.sequence import Gap
from streamer.order.sequences import Arrival
from streamer.repair.fit import Repaired
from streamer.routes import Route, Routes

log = logging.getLogger(__name__)


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


class PageIntake:
    """Takes pages that are believed. `unix_time()` is the wall clock in seconds."""

    def __init__(
        self,
        routes: Routes,
        forward: Forward,
        refuse: Refuse,
        counters: FeedCounters,
        unix_time: Callable[[], float],
    ) -> None:
        self._routes = routes
        self._forward = forward
        self._refuse = refuse
        self._counters = counters
        self._unix_time = unix_time
        self._unusable: dict[Route, Unusable] = {}  # told once

    def take(
        self,
        route: Route,
        last_id: int,
        events: list[Repaired],
        unusable: list[Unusable],
        now: float,
    ) -> int:
        """Put what is missing up to `last_id` where it belongs; return how many events it was."""
        sequence = route.repaired
        assert sequence is not None  # noqa: S101 - for the type checker: its gap is open
        repaired = 0
        received_us = int(self._unix_time() * 1e6)
        page = sorted([*events, *unusable], key=lambda each: each.id)
        for event in page:
            if event.id > last_id:
                break
            if isinstance(event, Unusable):
                if sequence.next_id == event.id:  # else something below it is still asked for
                    self._declare_unusable(route, event, now)
                continue
            if isinstance(event, Kline) and not event.candle.is_closed:
                break  # REST has not seen its end yet
            if sequence.wants(event.id):
                repaired += 1
                route.repaired_total += 1
                self._forward(route, sequence.take(event.id, (event, received_us), now))
                self._routes.hold(route)
        return repaired

    def forget(self, route: Route) -> None:
        """Know nothing more of a route of which nothing is repaired."""
        self._unusable.pop(route, None)

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
