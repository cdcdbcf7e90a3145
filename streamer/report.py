"""The cumulative report that a watcher gets each second."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable

from streamer.avro.accelerator import ENCODER
from streamer.config import StreamerConfig
from streamer.feed_counters import FeedCounters
from streamer.memory.parts import MemoryAccount
from streamer.messages import Backfill, GroupShards, Report, SlotState, State, StreamCounts
from streamer.network.connection_manager import ConnectionManager
from streamer.network.slot import Slot
from streamer.repair.staleness import StalenessProbe
from streamer.routes import Route
from streamer.sinks import Sink
from streamer.unavailable import UnavailableStreams

NOTICE_REPEATED_SECONDS = 30.0
"""A notice is in every report of this long: a lost report then loses none."""

NO_BACKFILL = Backfill()

ALERTED_FRAMES, ALERTED_ANSWERS = ("differing_copy",), ("misfit", "unusable")
"""Counted from 0 on: an alert sees a counter grow, not one that appears."""


class IdleClock:
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

    def since(self, route: Route, now: float) -> float:
        """Return when the route brought something last; now for one that is not known."""
        return self._seen.get(route, (None, now))[1]

    def seconds(self, route: Route, now: float) -> float:
        """Return how long the route has been silent; 0 for one that is not known."""
        return now - self.since(route, now)


class Reporter:
    """Makes reports of what the parts have counted."""

    def __init__(
        self,
        config: StreamerConfig,
        routes: Iterable[Route],
        connection_manager: ConnectionManager,
        sink: Sink,
        counters: FeedCounters,
        silence: IdleClock,
        now: float,
        *,
        silences: StalenessProbe | None = None,
        unavailable: UnavailableStreams,
        memory: MemoryAccount,
    ) -> None:
        self._config = config
        self._routes = routes
        self._connection_manager = connection_manager
        self._sink = sink
        self._counters = counters
        self._idle_clock = silence
        self._staleness = silences  # what REST says about them
        self._unavailable = unavailable
        self._memory = memory
        self._started_at = now
        self._sequence = 0

    def report(
        self,
        now: float,
        state: State,
        *,
        final: bool = False,
        exit_reason: str | None = None,
        backfill: Backfill = NO_BACKFILL,
        shards: GroupShards | None = None,
    ) -> Report:
        """Return the state of everything."""
        self._sequence += 1
        wall = time.time()
        self._idle_clock.update(now, round(wall * 1e6))
        counters = self._counters
        streams, sink = self._streams(now), self._sink.counts()
        in_memory = self._config.repair.held_in_memory
        held = sum(min(one.pending, in_memory) for one in streams if one.pending)
        return Report(
            streamer=self._config.name,
            generation=self._config.generation,
            sequence=self._sequence,
            pid=os.getpid(),
            time=wall,
            uptime_seconds=now - self._started_at,
            state=state,
            streams=streams,
            slots=tuple(self._slot(slot, now) for slot in self._connection_manager.slots),
            sink=sink,
            message_errors=dict.fromkeys(ALERTED_FRAMES, 0) | dict(counters.message_errors),
            connection_errors=dict(counters.connection_errors),
            reconnects=dict(counters.reconnects),
            rotations=dict(counters.rotations),
            rotations_failed_total=counters.rotations_failed_total,
            pong_timeouts_total=counters.pong_timeouts_total,
            reconnect_delay_seconds=counters.reconnect_delay_seconds,
            unsupported=dict(counters.unsupported),
            dead_letters_total=counters.dead_letters_total,
            dead_letters_dropped_total=counters.dead_letters_dropped_total,
            receive_latency=counters.receive_latency.histogram(),
            rest_errors=dict.fromkeys(ALERTED_ANSWERS, 0) | dict(counters.rest_errors),
            clock_offset_seconds=counters.clock_offset_seconds,
            shed_total=counters.shed_total,
            notices=tuple(
                notice
                for notice in counters.notices
                if wall - notice.time <= NOTICE_REPEATED_SECONDS
            ),
            final=final,
            exit_reason=exit_reason,
            backfill=backfill,
            memory=self._memory.parts(sink, held),
            encoder=ENCODER,
            shards=shards,
        )

    def _streams(self, now: float) -> tuple[StreamCounts, ...]:
        """Return the counts of all streams: each second of thousands, so one loop over locals.

        One to which nothing has happened has the same counts as before, so that they are not told
        again (`streamer.report_parts`).
        """
        find_slot, since_of = self._connection_manager.slots.find, self._idle_clock.since
        staleness, unavailable = self._staleness, self._unavailable
        asked_from = now - staleness.after_seconds if staleness is not None else -math.inf
        started_at = self._started_at
        subscribed_at = {slot: _subscribed_at(slot) for slot in self._connection_manager.slots}
        told = []
        for route in self._routes:
            sequence, repaired, name = route.sequence, route.repaired, route.name
            received_us = route.received_us
            slot = find_slot(name)
            since = since_of(route, now)
            if slot is not None:
                since = max(since, subscribed_at.get(slot, since))
            told.append(
                StreamCounts(
                    route.stream,
                    route.symbol,
                    sequence.events_total,
                    sequence.duplicates_total,
                    sequence.gaps_total,
                    sequence.missing_total,
                    sequence.last_id,
                    since - started_at,
                    None if received_us is None else received_us / 1e6,
                    None if slot is None else slot.name,
                    route.repaired_total,
                    route.repaired_gaps_total,
                    0 if repaired is None else repaired.empty_total,
                    sequence.pending,
                    staleness.finding(name, now - since, now)
                    if staleness is not None and since <= asked_from
                    else None,
                    route.epochs_total,
                    route.leaving,
                    unavailable.reason(name) if unavailable else None,
                    route.book_lost,
                    route.book_awaited,
                )
            )
        return tuple(told)

    def silent_seconds(self, route: Route, now: float) -> float:
        """Return the silence of a stream that could have spoken: since its subscription at most."""
        slot = self._connection_manager.slots.find(route.name)
        since = self._idle_clock.since(route, now)
        return now - (since if slot is None else max(since, _subscribed_at(slot)))

    def _slot(self, slot: Slot, now: float) -> SlotState:
        active = slot.active
        connection = (
            self._connection_manager.connections.get(active.connection_id) if active else None
        )
        return SlotState(
            slot=slot.name,
            live=slot.live,
            connection_id=active.connection_id if active else None,
            age_seconds=now - active.opened_at if active else None,
            drops_total=slot.drops_total,
            last_pong_time=connection.last_pong_time if connection else None,
            rotating=slot.rotation is not None,
        )


def _subscribed_at(slot: Slot) -> float:
    """Return when the streams of a slot could speak; of one that is down, long ago."""
    active = slot.active
    at = active.subscribed_at if active is not None else None
    return -math.inf if at is None else at
