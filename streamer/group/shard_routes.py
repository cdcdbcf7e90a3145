"""The streams of a shard while the feed runs: joined and held, opened, ended at once.

Unlike a stream that leaves because of the settings, one that goes to another member is ended at
once and without a record: somebody goes on right after its last one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from streamer.errors import StreamerError
from streamer.group.ownership import OVERLAP_SECONDS
from streamer.ingest.ingest import Ingest
from streamer.network.connection_manager import ConnectionManager
from streamer.order.held_back import HeldBack
from streamer.order.positions import Position
from streamer.order.seam import Seam, unproven
from streamer.repair.backfiller import Backfiller
from streamer.report import IdleClock
from streamer.routes import Route
from streamer.sinks.kafka import KafkaSink

PROVEN_WITHIN_SECONDS = OVERLAP_SECONDS / 2
"""The other half is for what reaches the two machines at different times."""


class ShardRoutes:
    """Owned by the feed's thread."""

    def __init__(
        self,
        ingest: Ingest,
        connection_manager: ConnectionManager,
        sink: KafkaSink,
        idle_clock: IdleClock,
        backfiller: Backfiller | None,
    ) -> None:
        self._ingest = ingest
        self._routes = ingest.routes
        self._connection_manager = connection_manager
        self._sink = sink
        self._idle_clock = idle_clock
        self._backfiller = backfiller
        # Streams that came back before the exchange had stopped them, by name: since when. It stops
        # them still before it sends them again, so what comes until then may have a hole after it.
        self._came_back: dict[str, float] = {}

    def join(self, streams: Iterable[str], symbols: Iterable[str], now: float) -> None:
        """Subscribe streams; what comes of them is held until `open`. Raises StreamerError."""
        symbols = tuple(symbols)
        joined: list[Route] = []
        for stream in dict.fromkeys(streams):
            for symbol in symbols:
                route = self._routes.make(stream, symbol)
                if route.name in self._routes.by_name:
                    continue
                route.held = HeldBack()
                self._open_sink(route)
                self._routes.add(route)
                self._idle_clock.add(route, now)
                joined.append(route)
                if self._connection_manager.holds(route.name):
                    self._came_back[route.name] = now
        if joined:
            self._connection_manager.change([route.name for route in joined], (), now)

    def are_heard(self, symbols: Iterable[str]) -> bool:
        """Return whether the exchange has answered for every stream of these symbols."""
        return all(self._is_heard(route.name) for route in self._of(symbols))

    def note_heard(self, symbols: Iterable[str]) -> None:
        """Note that from now on nothing is missing of what is held of these symbols."""
        now_us = time.time_ns() // 1000
        for route in self._of(symbols):
            if route.held is not None:
                route.held.whole_since_us = now_us

    def _is_heard(self, name: str) -> bool:
        slot = self._connection_manager.slots.find(name)
        return slot is not None and slot.active is not None and slot.active.settled_at is not None

    def open(
        self,
        symbols: Iterable[str],
        positions: Mapping[str, Position],
        now: float,
        *,
        is_seamless: bool,
        begins: bool = True,
    ) -> bool:
        """Go on after these records, with what was held; return whether that is all of it.

        A stream without one `begins`, or is held on: who told them may not have recorded it.
        With `is_seamless`, the streams were heard here before the last of these was recorded: there
        is no time in which nobody heard them, but where what was heard shows that there is.
        """
        held = [route for route in self._of(symbols) if route.held is not None]
        routes = [route for route in held if begins or route.name in positions]
        known = {route.name: positions[route.name] for route in routes if route.name in positions}
        self._sink.take_over(known)
        heard = known.keys() - self._unproven(routes, known) if is_seamless else ()
        self._ingest.resume(known, heard)
        for route in routes:
            if self._backfiller is not None:
                self._backfiller.begin(route)
            self._ingest.open(route, now, is_seamless=is_seamless)
        return len(routes) == len(held)

    def end(self, symbols: Iterable[str], now: float, *, discards: bool) -> dict[str, Position]:
        """End the streams of these symbols; return where their records end.

        With `discards`, what waits on disk of them is not delivered.
        """
        routes = self._of(symbols)
        if discards:
            self._sink.discard(routes)
        else:  # before where they end: a connection that is lost is no longer waited for
            self._ingest.coverage.cover_all([route.name for route in routes])
        ends: dict[str, Position] = {}
        for route in routes:
            if route.sequence.last_id is not None:
                ends[route.name] = Position(
                    route.sequence.last_id, route.heard_us or 0, route.epoch
                )
            self._routes.remove(route)
            self._routes.ended.add(route.name)
            self._came_back.pop(route.name, None)
            self._idle_clock.remove(route)
            if self._backfiller is not None:
                self._backfiller.forget(route)
            self._sink.hand_over(route)
        if routes:
            names = [route.name for route in routes]
            self._connection_manager.change((), names, now)
            for name in names:
                self._connection_manager.slots.forget(name)
        return ends

    def turn(self, now: float) -> None:
        """Forget names of which nothing can come any more; declare what came back with a hole."""
        for name, since in tuple(self._came_back.items()):
            if self._is_heard(name):
                del self._came_back[name]
                self._bridge(name, now - since)
        for name in tuple(self._routes.ended):
            if not self._connection_manager.holds(name):
                self._routes.ended.discard(name)

    def _bridge(self, name: str, seconds: float) -> None:
        """Go on with a stream that was stopped and begun again within this time."""
        route = self._routes.by_name[name]
        if route.held is not None:  # then it is opened with what comes from now on
            route.held.frames.clear()
        else:
            self._ingest.coverage.declare_shed([name], seconds)

    def _unproven(self, routes: Iterable[Route], known: Mapping[str, Position]) -> set[str]:
        """Return of which streams the one before may have missed what was not heard here yet."""
        seams: dict[str, Seam] = {}
        for route in routes:
            if route.held is None or (position := known.get(route.name)) is None:
                continue
            seams[route.name] = Seam(position.last_id, route.held.whole_since_us)
            for _, payload, received_us in route.held.frames:
                if (first_id := route.peek_id(payload)) is not None:
                    seams[route.name] = replace(
                        seams[route.name], first_id=first_id, first_us=received_us
                    )
                    break
        return unproven(seams, round(PROVEN_WITHIN_SECONDS * 1e6))

    def _of(self, symbols: Iterable[str]) -> list[Route]:
        wanted = set(symbols)
        return [route for route in self._routes if route.symbol in wanted]

    def _open_sink(self, route: Route) -> None:
        self._sink.add(route)
        try:
            self._routes.add_beside(route, self._sink.add)
        except StreamerError:
            self._sink.remove(route)
            raise
