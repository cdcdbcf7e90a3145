"""What is told and done when the exchange does not serve a stream, or serves it again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from streamer.feed_counters import FeedCounters
from streamer.routes import Route, Routes
from streamer.unavailable import UnavailableReason, UnavailableStreams

log = logging.getLogger(__name__)

_WHAT_TO_DO = (
    "nothing is recorded of it, all else goes on; correct exchange.symbols and exchange.streams, "
    "or leave it: it is asked for again within an hour at most"
)


class Availability:
    """Notes which streams are not served; each is named once in the log, and when it is back.

    `on_listed(routes, now)` is called when the exchange knows a symbol that it did not know before:
    what was subscribed meanwhile may never deliver.
    """

    def __init__(self, routes: Routes, counters: FeedCounters) -> None:
        self.streams = UnavailableStreams()
        self.on_listed: Callable[[list[Route], float], None] = lambda _routes, _now: None
        self._routes = routes
        self._counters = counters

    def unknown_symbol(self, routes: Iterable[Route], error: str, now: float) -> None:
        """Note that REST does not know the symbol of silent streams."""
        fresh = [route for route in routes if self._note(route, "unknown_symbol", error, now)]
        if fresh:
            log.warning(
                "the exchange does not know the symbol %s (%s): %s",
                fresh[0].symbol,
                error,
                _WHAT_TO_DO,
            )

    def known_symbol(self, symbol: str, now: float) -> bool:
        """Note that REST knows a symbol; return whether that is news."""
        if not self.streams:
            return False
        listed = [
            route
            for route in self._routes
            if route.symbol == symbol and self.streams.reason(route.name) == "unknown_symbol"
        ]
        for route in listed:
            self._served(route)
        if listed:
            self.on_listed(listed, now)
        return bool(listed)

    def refused(self, name: str, error: str, now: float) -> None:
        """Note that the exchange refuses the subscription of one stream."""
        route = self._routes.by_name.get(name)
        if route is not None and self._note(route, "refused", error, now):
            log.warning("%s cannot be subscribed (%s): %s", name, error, _WHAT_TO_DO)

    def accepted(self, name: str) -> None:
        """Note that the exchange accepts the subscription of a stream."""
        if (route := self._routes.by_name.get(name)) is not None:
            self._served(route)

    def update(self) -> None:
        """Note which streams have brought something meanwhile."""
        for name in tuple(self.streams):
            route = self._routes.by_name.get(name)
            if route is None:
                self.streams.forget(name)
            elif self.streams.is_heard(name, route.received_us):
                self._served(route)

    def _note(self, route: Route, reason: UnavailableReason, error: str, now: float) -> bool:
        if not self.streams.note(route.name, reason, route.received_us, now):
            return False
        self._counters.notice(
            "stream_unavailable",
            stream=route.stream, symbol=route.symbol, reason=reason, error=error,
        )  # fmt: skip
        return True

    def _served(self, route: Route) -> None:
        if self.streams.forget(route.name):
            log.info("%s is served by the exchange again", route.name)
            self._counters.notice("stream_available", stream=route.stream, symbol=route.symbol)
