"""The way of an event: payload → route → typed event → order → sink. The hot path."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

from streamer.classify import ServerShutdown, Unsupported, classify
from streamer.data.events import Event
from streamer.data.rejected import RejectedFrames
from streamer.data.same import differs
from streamer.errors import FrameRejected
from streamer.feed_counters import FeedCounters
from streamer.ingest.coverage_keeper import CoverageKeeper
from streamer.ingest.epoch_changes import EpochChanges
from streamer.ingest.gap_records import GapRecords
from streamer.network.boundary import INTERNAL, explain_unexpected
from streamer.network.connection import Connection
from streamer.network.slot import SlotConnection
from streamer.order import coverage
from streamer.order.handover import Handover
from streamer.order.positions import Position
from streamer.order.recent import Recent
from streamer.order.sequence import ContiguousSequence, Gap, IncreasingSequence
from streamer.order.sequences import Arrival
from streamer.routes import Route, Routes
from streamer.sinks import Sink

HELD_BACK_MAX = 50_000
"""Payloads of a stream until it is known after which record to go on: 10 MB, and a minute of the
busiest; a look into Kafka takes seconds."""
_Held = tuple[Connection, Route, Event, bytes, int]
"""What came on a successor: connection, route, event, payload, and when in Unix µs."""


class Ingest:
    """Takes payloads from any connection and hands events to the sink, in order, each once."""

    def __init__(
        self,
        routes: Routes,
        sink: Sink,
        rejected: RejectedFrames,
        counters: FeedCounters,
        *,
        overlap_seconds: float,
    ) -> None:
        self.routes = routes
        self._sink = sink
        self._rejected = rejected
        self._counters = counters
        self._overlap_seconds = overlap_seconds
        self._recent: Recent[Event] = Recent()  # while connections overlap
        self._handover: Handover[Route, _Held] = Handover()
        self.gap_records = GapRecords(routes, sink, counters)
        self.coverage = CoverageKeeper(routes, self.gap_records)
        self.epochs = EpochChanges(routes, sink, counters, self.gap_records, self.forward)

    def take(
        self,
        connection: Connection,
        payloads: list[bytes],
        first_ids: dict[str, int] | None,
        *,
        overlapping: bool = False,
    ) -> None:
        """Take what a connection has received, oldest first.

        `first_ids` notes the first id of each stream on a connection that is to succeed another;
        None otherwise. While connections are `overlapping`, copies are compared with what came
        first; else only with the latest event of their stream.
        """
        now = time.monotonic()
        received_us = time.time_ns() // 1000
        find, put = self.routes.find, self._sink.put
        if (
            first_ids is None and connection.connection_id in self._handover.successors
        ):  # it has succeeded
            self._take_held(self._handover.take_all(connection.connection_id), now)
        recent = self._recent.add if overlapping else None
        if recent is None:
            self._recent.clear()
        event: Event | None = None
        for payload in payloads:
            route = find(payload)
            try:
                if route is None:
                    route = self._classify(connection, payload)
                    if route is None:
                        continue
                    if route.held is not None:
                        self._hold_back(route, connection, payload, received_us)
                        continue
                heard_us = route.received_us
                event = route.decode(payload, received_us)
            except FrameRejected as error:
                self._reject(connection, payload, error, now)
                continue
            except Exception as error:  # noqa: BLE001 - a frame ends no streamer
                self._reject(connection, payload, _unexpected(error), now)
                continue
            if first_ids is not None:
                first_id = first_ids.setdefault(route.name, event.id)
                if self._is_ahead(connection, route, first_id, now):
                    held = connection, route, event, payload, received_us
                    self._handover.hold(connection.connection_id, route, first_id, held, now)
                    route.received_us = heard_us  # of what is taken: see `_take_held`
                    continue
            if route.sequence.advance(event.id):
                put(route, event, received_us)
                route.latest = event
                if recent is not None:
                    recent((route, event.id), event)
            else:
                first = self._arrive(route, event, received_us, now)
                if first is not None and differs(first, event):
                    differing = FrameRejected("differing_copy", f"{event} came after {first}")
                    self._reject(connection, payload, differing, now)
                elif recent is not None and event is route.latest:
                    recent((route, event.id), event)
        sent_us = getattr(event, "event_time", None)  # a bookTicker carries no time
        if sent_us is not None:
            # One latency per read, that of its last event: the others differ by microseconds.
            seconds = (received_us - sent_us) / 1e6 + (self._counters.clock_offset_seconds or 0.0)
            self._counters.receive_latency.observe(seconds)
        for binary in connection.take_binary():
            self._reject(connection, binary, FrameRejected("binary", "a binary message"), now)

    def _is_ahead(self, connection: Connection, route: Route, first_id: int, now: float) -> bool:
        """Return whether a successor has to wait with a stream for its predecessor.

        If no longer, what was held is taken.
        """
        if not isinstance(route.sequence, IncreasingSequence):
            return False  # its ids tell what is missing
        if not _reached(route, first_id):
            return True
        if connection.connection_id in self._handover.successors:
            self._take_held(self._handover.take(connection.connection_id, route), now)
        return False

    def _take_held(self, held: list[_Held], now: float) -> None:
        """Take what a successor has brought.

        Where its predecessor has not brought as much, that one was dead without a word, and what
        it missed before the successor listened is missing.
        """
        begun: set[Route] = set()
        for connection, route, event, payload, received_us in held:
            if self.routes.by_name.get(route.name) is not route:
                continue  # it has left meanwhile
            if route not in begun:
                begun.add(route)
                if not _reached(route, event.id):
                    self.coverage.begin_gap(route)
            route.received_us = max(route.received_us or 0, received_us)
            first = self._arrive(route, event, received_us, now)
            if first is not None and differs(first, event):
                differing = FrameRejected("differing_copy", f"{event} came after {first}")
                self._reject(connection, payload, differing, now)

    def rejoin(self, route: Route, left: Position) -> None:
        """Go on with a stream that had left: what came meanwhile was not wanted."""
        route.left = left
        if left.epoch:
            route.epoch = left.epoch
            self._sink.renew(route)

    def resume(self, positions: Mapping[str, Position], heard: Collection[str] = ()) -> None:
        """Go on after the last records in the sink, given by route name.

        Nothing was heard since but of the streams in `heard`. Where an earlier run saw the ids
        begin anew after those, that is where to go on.
        """
        next_epochs = self._sink.next_epochs()
        for name, position in positions.items():
            if (route := self.routes.by_name.get(name)) is not None:
                start = next_epochs.get(name)
                if start is not None:
                    self.gap_records.declare_epoch(route, start, position.received_us)
                    position = Position(start.first_id - 1, position.received_us, start.epoch)
                route.resume(position)
                if route.epoch:
                    self._sink.renew(route)
                if name not in heard:
                    self.coverage.begin_gap(route)

    def open(self, route: Route, now: float, *, is_seamless: bool = False) -> None:
        """Take what was held of a route, and what comes from now on: it has been resumed.

        With `is_seamless`, somebody else has dealt with all that was held up to where that was:
        those are copies, whatever the clocks of two machines say of their times.
        """
        last_id = route.sequence.last_id if is_seamless else None
        held, route.held = route.held.frames if route.held is not None else (), None
        self.routes.show(route)
        for connection, payload, received_us in held:
            try:
                event = route.decode(payload, received_us)
            except FrameRejected as error:
                self._reject(connection, payload, error, now)
                continue
            except Exception as error:  # noqa: BLE001 - as in `take`
                self._reject(connection, payload, _unexpected(error), now)
                continue
            if last_id is not None and route.stream_kind.last_id(event) <= last_id:
                route.sequence.duplicates_total += 1
            elif route.sequence.advance(event.id):
                self._sink.put(route, event, received_us)
                route.latest = event
            else:
                self._arrive(route, event, received_us, now)

    def _hold_back(
        self, route: Route, connection: Connection, payload: bytes, received_us: int
    ) -> None:
        """Hold what cannot be judged yet. Beyond a bound nothing is: the rest is a gap like others.

        Where ids tell of no gaps, the time since the last record is put on record.
        """
        assert route.held is not None  # noqa: S101 - for the type checker
        if len(route.held.frames) >= HELD_BACK_MAX:
            self._counters.shed_total += len(route.held.frames)
            route.held.lose()
        route.held.frames.append((connection, payload, received_us))

    def shed(self, connection: Connection, payloads: list[bytes], names: set[str]) -> int:
        """Keep nothing of what came but the answers in it; return how many events went.

        The names of their streams are added to `names`.
        """
        events = 0
        now = time.monotonic()
        for payload in payloads:
            route = self.routes.find(payload)
            if route is None:
                try:
                    route = self._classify(connection, payload)
                except FrameRejected as error:
                    self._reject(connection, payload, error, now)
                except Exception as error:  # noqa: BLE001 - as in `take`
                    self._reject(connection, payload, _unexpected(error), now)
            if route is not None:
                names.add(route.name)
                events += 1
        return events

    def expire(self, now: float, *, reading: bool = True) -> None:
        """Give up waiting for what is missing, where it took too long and nobody repairs it.

        `reading` tells whether connections are read at the moment.
        """
        self._take_held(self._handover.due(now, _reached, reading=reading), now)
        for route in self.routes.unrepaired():
            self.forward(route, route.sequence.expire(now))

    def give_up_leaving(self) -> None:
        """At a stop: declare what is missing of streams that leave, since no start asks for it."""
        for route in self.routes.holding():
            while route.leaving and route.sequence.pending:
                self.forward(route, route.sequence.expire(float("inf")))

    def covered(self, slot_connection: SlotConnection, names: Iterable[str], now: float) -> bool:
        """Return whether nothing can be missed when only this connection is heard from now on.

        A stream that has spoken on it must be continuous up to its first event there; one that has
        not must have been given the overlap to do so.
        """
        if (
            slot_connection.settled_at is None
            or slot_connection.connection_id in self._handover.successors
        ):
            return False
        overlapped = now - slot_connection.settled_at >= self._overlap_seconds
        for name in names:
            first_id = slot_connection.first_ids.get(name)
            if first_id is None:
                if not overlapped:
                    return False
            elif not self.routes.by_name[name].sequence.reaches(first_id - 1):
                return False
        return True

    def _arrive(self, route: Route, event: Event, received_us: int, now: float) -> Event | None:
        """Take an event that is not simply the next one: holes go on record before it.

        Returns the first one where this is a copy, if it is known still.
        """
        if self.epochs.may_begin(route, event, received_us, now):
            first = route.anew.waiting(route.stream_kind.last_id(event))
            return first[0] if first is not None else None
        sequence = route.sequence
        copies = sequence.duplicates_total
        released = sequence.take(event.id, (event, received_us), now)
        if sequence.pending:
            self.routes.hold(route)
        is_copy = sequence.duplicates_total != copies
        if is_copy and coverage.is_of_before(route.coverage, received_us):
            self.coverage.begin_gap(route)  # still
        else:
            self.coverage.cover(route, *coverage.covered(route.coverage, received_us))
        if route.left is not None:
            self.gap_records.declare_unwanted(route, route.left, received_us)
            route.left = None
        self.forward(route, released)
        if not is_copy:
            return None
        if route.latest is not None and route.latest.id == event.id:
            return route.latest
        if isinstance(sequence, ContiguousSequence):
            waits: Arrival | None = sequence.waiting(event.id)
            return waits[0] if waits is not None else self._recent.find((route, event.id))
        return self._recent.find((route, event.id))

    def _classify(self, connection: Connection, payload: bytes) -> Route | None:
        """Deal with a frame that no route claims at sight; return the route if there is one."""
        if connection.answer(payload):
            return None
        found = classify(payload, self.routes)
        if isinstance(found, Route):
            return found
        if isinstance(found, ServerShutdown):
            if not connection.shutdown_announced:  # repeats would push the others out
                connection.shutdown_announced = True
                self._counters.notice("server_shutdown", connection_id=connection.connection_id)
        elif isinstance(found, Unsupported):
            if found.kind not in self._counters.unsupported:  # once; the count tells the rest
                self._counters.notice(
                    "frame_unsupported",
                    frame_kind=found.kind,
                    connection_id=connection.connection_id,
                )
            self._counters.unsupported[found.kind] += 1
        return None

    def _reject(
        self, connection: Connection, payload: bytes, error: FrameRejected, now: float
    ) -> None:
        self._counters.message_errors[error.error_type] += 1
        if self._rejected.keep(payload, error, connection.connection_id, now):
            self._counters.notice(
                "frame_rejected",
                error_type=error.error_type,
                connection_id=connection.connection_id,
                error=str(error),
            )

    def refuse(self, route: Route, content: bytes, error_type: str, error: str, now: float) -> None:
        """Keep what REST told of a stream and what is not taken, for inspection."""
        self._rejected.keep_answer(content, route.name, error_type, error, now)

    def forward(self, route: Route, released: list[Arrival | Gap]) -> None:
        """Hand what a sequence has released to the sink, and declare gaps."""
        for item in released:
            if isinstance(item, Gap):
                self.gap_records.declare(route, item)
            else:
                self._sink.put(route, item[0], item[1])
                route.latest = item[0]


def _reached(route: Route, event_id: int) -> bool:
    """Return whether an event as late as this one has been taken, or none at all so far."""
    last_id = route.sequence.last_id
    return last_id is None or last_id >= event_id


def _unexpected(error: Exception) -> FrameRejected:
    return FrameRejected(INTERNAL, explain_unexpected(error, "a frame was decoded"))
