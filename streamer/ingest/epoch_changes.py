"""Ids that begin anew, as after a wipe of a testnet: what ended and what began goes on record."""

from __future__ import annotations

import logging
from collections.abc import Callable

from streamer.data.events import Event
from streamer.feed_counters import FeedCounters
from streamer.ingest.gap_records import GapRecords
from streamer.order.epochs import LATER_US, NEW_EPOCH
from streamer.order.positions import EpochStart
from streamer.order.sequence import Gap
from streamer.order.sequences import Arrival
from streamer.routes import Route, Routes
from streamer.sinks import Sink

OUR_CLOCK_US = 800_000
"""How much later than our clock says an event must be made: what is known of the exchange's clock
is off by half of a trip there, of a second at most (`repair.clock`), and the last event may have
come a little before the one that was noted."""

log = logging.getLogger(__name__)


class EpochChanges:
    """Finds where the ids of a stream begin anew, and goes on there.

    `forward` hands on what a sequence has released.
    """

    def __init__(
        self,
        routes: Routes,
        sink: Sink,
        counters: FeedCounters,
        gap_records: GapRecords,
        forward: Callable[[Route, list[Arrival | Gap]], None],
    ) -> None:
        self._routes = routes
        self._sink = sink
        self._counters = counters
        self._gap_records = gap_records
        self._forward = forward
        self.on_begin: Callable[[Route], None] = lambda _: None  # when the ids of one began anew

    def may_begin(self, route: Route, event: Event, received_us: int, now: float) -> bool:
        """Return whether an event is of a new epoch, and is dealt with: it waits, or begins it."""
        last_id, latest = route.sequence.last_id, route.latest
        kind = route.stream_kind
        if kind.ids_are_times:
            return False
        number = kind.last_id(event)
        left = route.left
        if last_id is None and left is not None and number <= left.last_id:
            # It was out of the settings meanwhile: what comes first is later than what it had.
            route.left = None
            since_us = left.received_us
            begun: list[Arrival] = [(event, received_us)]
            self._begin(route, begun, left.last_id, (since_us, received_us), now)
            return True
        if last_id is None or number >= last_id:
            return False
        # A trade's time is that of the matching: the same, and in order, whoever tells it.
        time, later_us = kind.clock or "", LATER_US if kind.clock == "event_time" else 0
        last_us: int | None = getattr(latest, time, None)
        if latest is None and route.resumed_us is not None:  # by an earlier run, by our clock
            last_us = route.resumed_us + round((self._counters.clock_offset_seconds or 0.0) * 1e6)
            later_us = OUR_CLOCK_US
        found = route.anew.take(
            number,
            getattr(event, time, None),
            (event, received_us),
            last_id=last_id,
            last_us=last_us,
            later_us=later_us,
            forwarded=route.sequence.events_total,
        )
        if found:
            first_us = getattr(found[0][0], time, found[0][1])  # by the same clock
            self._begin(route, found, last_id, (last_us or first_us, first_us), now)
        return found is not None

    def _begin(
        self,
        route: Route,
        begun: list[Arrival],
        last_id: int,
        between_us: tuple[int, int],
        now: float,
    ) -> None:
        """Go on with ids that began anew; what ended and what began goes on record first."""
        first, received_us = begun[0]
        from_us, to_us = between_us
        self._forward(route, route.sequence.start_anew(NEW_EPOCH))
        self.on_begin(route)
        start = EpochStart(max(route.epoch + 1, received_us // 1_000_000), first.id, to_us)
        route.begin_anew(start.epoch, start.first_id, last_id, received_us)
        self._sink.renew(route, start)
        log.warning(
            "the ids of %s began anew: %d after %d; records have the epoch %d in their ids",
            route.name,
            start.first_id,
            last_id,
            route.epoch,
        )
        self._counters.notice(
            NEW_EPOCH,
            stream=route.stream, symbol=route.symbol,
            first_id=start.first_id, after_id=last_id, epoch=route.epoch,
        )  # fmt: skip
        self._gap_records.declare_epoch(route, start, from_us)
        for event, received in begun:
            self._forward(route, route.sequence.take(event.id, (event, received), now))
        self._routes.hold(route)
