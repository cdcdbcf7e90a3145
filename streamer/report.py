"""The cumulative report that a watcher gets each second."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from streamer.config import StreamerConfig
from streamer.messages import Report, SlotState, State, StreamCounts
from streamer.network.links import Links
from streamer.network.slot import Slot
from streamer.repair.silence import Silences
from streamer.routes import Route
from streamer.sinks import Sink
from streamer.tally import Tally

NOTICE_REPEATED_SECONDS = 30.0
"""A notice is in every report of this long: a lost report then loses none."""


ALERTED_FRAMES, ALERTED_ANSWERS = ("differing_copy",), ("misfit", "unusable")
"""Counted from 0 on: an alert sees a counter grow, not one that appears."""


class Silence:
    """How long each route has been silent, on the monotonic clock, whatever the wall clock does.

    `update` is to be called about once a second.
    """

    def __init__(self, routes: Iterable[Route], now: float) -> None:
        self._seen: dict[Route, tuple[int | None, float]] = {
            route: (route.received_us, now) for route in routes
        }

    def add(self, route: Route, now: float) -> None:
        """Count from now for one more route."""
        self._seen[route] = route.received_us, now

    def remove(self, route: Route) -> None:
        """Forget a route."""
        self._seen.pop(route, None)

    def update(self, now: float, time_us: int) -> None:
        """Note which routes have received something since the last call."""
        for route, (received_us, at) in self._seen.items():
            latest = route.received_us
            if latest is not None and latest != received_us:
                since = min(max(time_us - latest, 0) / 1e6, now - at)
                self._seen[route] = latest, now - since

    def excuse(self, now: float) -> None:
        """Begin anew for all: who does not read cannot tell silence."""
        self._seen = {route: (received_us, now) for route, (received_us, _) in self._seen.items()}

    def seconds(self, route: Route, now: float) -> float:
        """Return how long the route has been silent; 0 for one that is not known."""
        return now - self._seen.get(route, (None, now))[1]


class Reporter:
    """Makes reports of what the parts have counted."""

    def __init__(
        self,
        config: StreamerConfig,
        routes: Iterable[Route],
        links: Links,
        sink: Sink,
        tally: Tally,
        silence: Silence,
        now: float,
        *,
        silences: Silences | None = None,
    ) -> None:
        self._config = config
        self._routes = routes
        self._links = links
        self._sink = sink
        self._tally = tally
        self._silence = silence
        self._silences = silences  # what REST says about them
        self._started_at = now
        self._sequence = 0

    def report(
        self, now: float, state: State, *, final: bool = False, exit_reason: str | None = None
    ) -> Report:
        """Return the state of everything."""
        self._sequence += 1
        wall = time.time()
        self._silence.update(now, round(wall * 1e6))
        tally = self._tally
        return Report(
            streamer=self._config.name,
            generation=self._config.generation,
            sequence=self._sequence,
            pid=os.getpid(),
            time=wall,
            uptime_seconds=now - self._started_at,
            state=state,
            streams=tuple(self._counts(route, now) for route in self._routes),
            slots=tuple(self._slot(slot, now) for slot in self._links.slots),
            sink=self._sink.counts(),
            message_errors=dict.fromkeys(ALERTED_FRAMES, 0) | dict(tally.message_errors),
            connection_errors=dict(tally.connection_errors),
            reconnects=dict(tally.reconnects),
            rotations=dict(tally.rotations),
            rotations_failed_total=tally.rotations_failed_total,
            pong_timeouts_total=tally.pong_timeouts_total,
            reconnect_delay_seconds=tally.reconnect_delay_seconds,
            unsupported=dict(tally.unsupported),
            dead_letters_total=tally.dead_letters_total,
            dead_letters_dropped_total=tally.dead_letters_dropped_total,
            receive_latency=tally.receive_latency.histogram(),
            rest_errors=dict.fromkeys(ALERTED_ANSWERS, 0) | dict(tally.rest_errors),
            clock_offset_seconds=tally.clock_offset_seconds,
            let_go_total=tally.let_go_total,
            notices=tuple(
                notice for notice in tally.notices if wall - notice.time <= NOTICE_REPEATED_SECONDS
            ),
            final=final,
            exit_reason=exit_reason,
        )

    def _counts(self, route: Route, now: float) -> StreamCounts:
        sequence = route.sequence
        seconds = self.silent_seconds(route, now)
        slot = self._links.slots.find(route.name)
        return StreamCounts(
            stream=route.stream,
            symbol=route.symbol,
            events_total=sequence.events_total,
            duplicates_total=sequence.duplicates_total,
            gaps_total=sequence.gaps_total,
            missing_total=sequence.missing_total,
            last_id=sequence.last_id,
            silent_seconds=seconds,
            last_event_time=None if route.received_us is None else route.received_us / 1e6,
            slot=slot.name if slot is not None else None,
            repaired_total=route.repaired_total,
            repaired_gaps_total=route.repaired_gaps_total,
            empty_total=route.repaired.empty_total if route.repaired is not None else 0,
            epochs_total=route.epochs_total,
            held=sequence.held,
            silence=None
            if self._silences is None
            else self._silences.finding(route.name, seconds, now),
            leaving=route.leaving,
        )

    def silent_seconds(self, route: Route, now: float) -> float:
        """Return the silence of a stream that could have spoken: since its subscription at most."""
        seconds = self._silence.seconds(route, now)
        slot = self._links.slots.find(route.name)
        active = slot.active if slot is not None else None
        if active is None or active.subscribed_at is None:
            return seconds
        return min(seconds, now - active.subscribed_at)

    def _slot(self, slot: Slot, now: float) -> SlotState:
        active = slot.active
        connection = self._links.connections.get(active.connection_id) if active else None
        return SlotState(
            slot=slot.name,
            live=slot.live,
            connection_id=active.connection_id if active else None,
            age_seconds=now - active.opened_at if active else None,
            drops_total=slot.drops_total,
            last_pong_time=connection.last_pong_time if connection else None,
            rotating=slot.rotation is not None,
        )
