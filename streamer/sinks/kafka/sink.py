"""The sink `kafka`: one idempotent producer, one topic per stream kind, the symbol as key.

A record is acknowledged when all in-sync replicas have it. Delivery reports without an error never
reach Python, since a callback per record costs half a microsecond: acknowledged is what was
accepted and is neither queued nor refused.

Records go straight to the producer until it fails, has acknowledged nothing for STALL_SECONDS, or
has had no room for PRESS_SECONDS. Then what it had not delivered is taken back, and everything goes
through the overflow on disk until that is empty (docs/decisions/0013-the-overflow.md).

A gap record is acknowledged before anything that came after it is sent: they lie in different
topics, and a kill between the two must not leave a hole that nothing explains.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol, TypeAlias

import msgspec
from confluent_kafka import KafkaException

from streamer.config import KafkaConfig
from streamer.data.events import Event
from streamer.errors import SinkNotReady, SinkUnavailable
from streamer.messages import SinkCounts
from streamer.order.positions import EpochStart, Position
from streamer.routes import RECORD_KINDS, Route
from streamer.sinks import RefusedRecord, SinkError
from streamer.sinks.delivery import AcknowledgeClock, Errors
from streamer.sinks.kafka import flow
from streamer.sinks.kafka.account import Progress, Refusals, StreamAccount
from streamer.sinks.kafka.flow import Failed, Full, GapSent, State
from streamer.sinks.kafka.late_opening import LateOpening
from streamer.sinks.kafka.late_topics import LateTopics
from streamer.sinks.kafka.local_notes import NoteKeeper
from streamer.sinks.kafka.other_writers import OtherWriters
from streamer.sinks.kafka.overflow import Overflow
from streamer.sinks.kafka.position_topic import PositionTopic, key_of
from streamer.sinks.kafka.producer import PAUSE_SECONDS, Refuse, RestartableProducer
from streamer.sinks.kafka.sending import DrainBounds, Sending
from streamer.sinks.kafka.serializers import Serializers
from streamer.sinks.kafka.topics import topic_of

PAUSED_SECONDS = (
    0.1  # for an empty queue, at most every ten seconds; brokers take some milliseconds
)
_ON_DISK = (State.OVERFLOWING, State.AWAITING_BROKERS, State.HELD)
_UNENCODABLE = (ArithmeticError, LookupError, TypeError, ValueError)

_log = logging.getLogger(__name__)


class _Target:
    """Where the events of a route go, and how many did."""

    __slots__ = ("accepted", "is_of_gaps", "key", "topic")

    def __init__(self, topic: str, route: Route) -> None:
        self.topic = topic
        self.key = route.symbol.encode()
        self.is_of_gaps = route.kind == "gap"
        self.accepted = 0


class Clock(Protocol):
    """Monotonic time; the module `time` is one."""

    def monotonic(self) -> float:
        """Return the time in seconds."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


MakeProducer: TypeAlias = Callable[
    [KafkaConfig, Errors, Refuse, Callable[[], None]], RestartableProducer
]


class KafkaSink:
    """Produces without blocking, or puts on disk what Kafka does not take."""

    def __init__(
        self,
        config: KafkaConfig,
        topics: Mapping[Route, str],
        headers: Mapping[str, bytes],
        overflow: Overflow,
        positions: dict[str, Position] | None = None,
        *,
        kinds: Mapping[str, str] | None = None,
        make_producer: MakeProducer = RestartableProducer,
        clock: Clock = time,
        bounds: DrainBounds | None = None,
        notes: NoteKeeper | None = None,
        opening: LateOpening | None = None,
        late_topics: LateTopics | None = None,
        watches_writers: bool = False,
    ) -> None:
        """Begin to connect, and go on trying.

        `headers` hold what goes before each record, by topic, and `kinds` the kind of each topic
        that was prepared; None: those of the routes. `overflow` is what a predecessor left, and
        `positions` say where the routes end with that. With an `opening`, nothing is produced
        before that is done. Without `late_topics`, a stream that needs a topic that was not
        prepared cannot be added. With `watches_writers` others that record the same are told of.
        Raises SettingsError for what cannot work.
        """
        self._config = config
        self._clock = clock
        self._headers = dict(headers)
        self._serializers = Serializers(config.serializer_cache_size, self._headers)
        self._serializer_of = self._serializers.of
        self._targets = {route: _Target(topic, route) for route, topic in topics.items()}
        self._kinds = dict(kinds or {topic: route.kind for route, topic in topics.items()})
        self._errors = Errors()
        self._acknowledge_clock = AcknowledgeClock()
        self._progress = Progress(self._errors, clock.monotonic())
        self._refusals = Refusals(self._errors)
        self._streams = StreamAccount(self._kinds)
        self._accepted = 0
        self._accepted_before: Counter[str] = Counter()  # by kind, of routes that are removed
        self._bytes = 0
        self._polled_accepted = 0
        self._overflow = overflow
        self._producer = make_producer(
            config, self._errors, self._refusals.add, self._look_at_streams
        )
        self._sending = Sending(
            self._producer, overflow, self._progress, self._kinds, bounds or DrainBounds()
        )
        self._position_topic = PositionTopic(config, positions or {})
        self._other_writers = (
            OtherWriters(config, self._position_topic.writer) if watches_writers else None
        )
        self._notes = notes
        self._opening = opening
        self._late_topics = late_topics
        self._held = False
        if self._overflow:
            self._accepted = len(self._overflow)
            self._sending.enter(flow.OVERFLOWING)
            _log.warning(
                "%d records wait in %s: they are delivered first",
                len(self._overflow),
                overflow.directory,
            )
        if opening is not None:
            self._sending.enter(flow.AWAITING_BROKERS)
            _log.warning("records wait in %s until Kafka answers", overflow.directory)

    @property
    def accepting(self) -> bool:
        return self._sending.accepting

    def put(self, route: Route, event: Event, received_us: int) -> None:
        target = self._targets[route]
        target.accepted += 1
        self._accepted += 1
        topic = target.topic
        if target.accepted == 1:
            self._note_first(route, topic, event, received_us)
        try:
            value = self._serializer_of(topic)[route](event, received_us)
        except _UNENCODABLE as error:
            self._refusals.add(topic, msgspec.json.encode(event), "encoding", repr(error))
            return
        self._bytes += len(value)
        sending = self._sending
        if not sending.is_direct:
            self._overflow.append((topic, value, target.key))
            return
        try:
            sending.produce(topic, value, target.key)
            if target.is_of_gaps:
                sending.note(GapSent(self._clock.monotonic()))
        except BufferError:
            self._overflow.append((topic, value, target.key))
            sending.note(Full(self._clock.monotonic(), len(self._producer)))
        except KafkaException as error:
            self._producer.not_taken((topic, value, target.key), error.args[0])
            if self._producer.trouble is not None:
                sending.note(Failed())

    def poll(self, now: float) -> None:
        self._producer.poll()
        self._producer.expire(self._acknowledged(), now)
        if self._opening is not None:
            self._look_at_opening(self._opening, now)
        if self._late_topics is not None and self._late_topics.is_busy:
            self._look_at_topics(self._late_topics, now)
        self._sending.turn(now)
        if self._notes is not None:
            self._notes.write_news()
        if self._sending.writes_to_disk:
            self._overflow.poll(now)
            if self._notes is not None and self._notes.due(now) and self._is_kept():
                self._write_notes(self._notes, now)
        self._observe(now)
        self._position_topic.poll()
        if self._other_writers is not None:
            self._look_at_writers(self._other_writers, now)
        if self._sending.is_direct and self._position_topic.due(now):
            self._write_positions(now)

    def flush(self, within_seconds: float) -> int:
        clock = self._clock
        deadline = clock.monotonic() + within_seconds
        while True:
            self.poll(clock.monotonic())
            remaining = max(min(deadline - clock.monotonic(), 0.1), 0.0)
            if self._producer.trouble is None and len(self._producer):
                self._producer.flush(remaining)
            elif self._queued():
                clock.sleep(min(remaining, PAUSE_SECONDS / 20))
            now = clock.monotonic()
            if not self._queued() or now >= deadline:
                self._observe(now)
                return self._queued()

    def is_in_place(self) -> bool:
        return True  # as long as the lock is: what lies there are queues, opened when there is one

    def abandon(self, *, is_ours: bool) -> str:
        return "the next start goes on after the last record that Kafka has acknowledged"

    def keep(self) -> str | None:
        self._producer.poll()
        if not self._queued():
            return None
        self._sending.take_back()
        self._overflow.save(self._clock.monotonic())
        return str(self._overflow.directory) if self._overflow.stored else None

    def close(self) -> None:
        if self._opening is not None:
            self._opening.close()
        if self._late_topics is not None:
            self._late_topics.close()
        acknowledged = not self._queued() and self._opening is None
        self._position_topic.close(self._targets, acknowledged=acknowledged)
        if self._notes is not None and not len(self._producer) and self._is_kept():
            self._notes.write(self._position_topic.ends(self._targets), durable=True)
        self._producer.close()
        self._overflow.close()

    def counts(self) -> SinkCounts:
        queued = self._queued()
        statistics = self._producer.statistics
        if not queued:
            self._look_at_streams()  # exact, now
        return SinkCounts(
            kind="kafka",
            accepted_total=self._accepted,
            acknowledged_total=self._acknowledged(),
            errors_total=self._producer.failures_total
            + self._refused_total
            + self._overflow.errors_total,
            queued=queued,
            bytes_total=self._bytes,
            serializer_cache_size=self._serializers.size,
            serializer_cache_evictions_total=self._serializers.evictions_total,
            acknowledge_seconds=self._acknowledge_clock.histogram(),
            refused_total=self._refused_total,
            queued_bytes=statistics.now.queued_bytes if queued else 0,
            retries_total=statistics.retries_total,
            timeouts_total=statistics.timeouts_total,
            producers_replaced_total=self._producer.renewals_total,
            broker_latency_seconds=statistics.now.latency_seconds,
            acknowledged_by_stream=self._streams.acknowledged_of(),
            overflow_records=self._overflow.stored,
            overflow_bytes=self._overflow.size_bytes,
            opened=self._opening is None,
            other_writers=len(self._other_writers.found) if self._other_writers else 0,
        )

    def diagnostics(self) -> dict[str, str]:
        return {"librdkafka.json": self._producer.statistics.text}

    def take_errors(self) -> list[SinkError]:
        return self._errors.take() + self._overflow.errors.take()

    def take_refused(self) -> list[RefusedRecord]:
        return self._refusals.take()

    def positions(self) -> dict[str, Position]:
        return self._position_topic.known

    def next_epochs(self) -> dict[str, EpochStart]:
        if self._notes is None:
            return {}
        epochs, known = self._notes.epochs, self._position_topic.known
        return {
            route.name: start
            for route, target in self._targets.items()
            if (start := epochs.get(key_of(target.topic, route).decode())) is not None
            and (position := known.get(route.name)) is not None
            and position.epoch < start.epoch
        }

    def renew(self, route: Route, start: EpochStart | None = None) -> None:
        topic = self._targets[route].topic
        self._serializer_of(topic).pop(route, None)
        if start is not None and self._notes is not None:
            self._notes.note_epoch(key_of(topic, route).decode(), start)

    def add(self, route: Route) -> None:
        topic = topic_of(self._config, route)
        if topic not in self._kinds:
            self._prepare(topic, route.kind)
        self._targets[route] = _Target(topic, route)

    def remove(self, route: Route) -> None:
        target = self._targets.pop(route)
        self._accepted_before[route.kind] += target.accepted
        self._serializer_of(target.topic).pop(route, None)
        self._position_topic.note(route)

    def hand_over(self, route: Route) -> None:
        """Forget a route that goes on elsewhere: its position is written there from now on."""
        target = self._targets.pop(route)
        self._accepted_before[route.kind] += target.accepted
        self._serializer_of(target.topic).pop(route, None)
        self._position_topic.forget(route)

    def take_over(self, positions: Mapping[str, Position]) -> None:
        """Know where routes end that were added, and were written elsewhere before."""
        self._position_topic.known.update(positions)
        self._overflow.keep(
            (target.topic, route.name, position.place)
            for route, target in self._targets.items()
            if (position := positions.get(route.name)) is not None
        )

    def discard(self, routes: Iterable[Route]) -> None:
        """Deliver nothing more of what waits of routes that were handed over.

        Somebody else stores it: it is counted as acknowledged.
        """
        if self._queued() or not self._sending.is_direct:  # the producer may give it back
            self._overflow.discard((topic_of(self._config, route), route.name) for route in routes)

    @property
    def has_waiting(self) -> bool:
        """Whether something waits on disk; at the start, what a predecessor left."""
        return len(self._overflow) > 0

    def discard_inherited(self, is_elsewhere: Callable[[str], bool]) -> None:
        """Deliver nothing that a predecessor left of symbols that somebody else records by now.

        To be called while nothing is delivered, before anything of it was.
        """
        self._overflow.discard_inherited(is_elsewhere)

    def hold(self) -> None:
        """Deliver nothing from now on: what is put waits on disk. To be called again is harmless.

        What the producer has not delivered waits there as well. A request that is under way may
        still arrive; then its records come again after `release`.
        """
        self._held = True
        self._sending.hold(self._clock.monotonic())

    def release(self, now: float) -> None:
        """Deliver again."""
        self._held = False
        if self._opening is None and self._sending.state is State.AWAITING_BROKERS:
            self._sending.opened(now)
        self._sending.release(now)

    def _prepare(self, topic: str, kind: str) -> None:
        """Have a topic be prepared. Raises SinkNotReady, or SinkUnavailable where none is."""
        late_topics = self._late_topics
        if late_topics is None:
            raise SinkUnavailable(
                f"the topic {topic} was not prepared at the start of this streamer; with "
                "kafka.create_topics = true it would be created now, else create it: a new start "
                "finds it"
            )
        if self._opening is None:  # which prepares topics, too
            late_topics.want(topic, kind)
        raise SinkNotReady(
            f"the topic {topic} is being prepared, which takes some seconds",
            lambda: self._opening is None and not late_topics.is_busy,
        )

    def _write_positions(self, now: float) -> None:
        """Write where the routes end, when all of it is acknowledged: at an empty queue.

        A busy feed's queue is hardly ever seen empty; the feed then pauses for a moment.
        """
        if self._queued() and self._position_topic.overdue(now):
            self._producer.flush(PAUSED_SECONDS)
        if not self._queued():
            self._position_topic.write(self._targets, now)
            if self._notes is not None:
                self._write_notes(self._notes, now)

    def _write_notes(self, notes: NoteKeeper, now: float) -> None:
        """Note where the routes end, once what is on disk is there for good."""
        number, ends = notes.begin(now), self._position_topic.ends(self._targets)
        self._overflow.when_safe(partial(notes.write, ends, number=number))

    def _note_first(self, route: Route, topic: str, event: Event, received_us: int) -> None:
        """Note where a route begins of which nothing was known, or that comes back."""
        self._overflow.begin(topic, route.name, (route.epoch, event.id - 1))
        is_known = route.kind in RECORD_KINDS or route.name in self._position_topic.known
        if self._notes is not None and not is_known:
            below = Position(event.id - 1, received_us, route.epoch)
            self._notes.note_first(key_of(topic, route).decode(), below)

    def _is_kept(self) -> bool:
        """Return whether everything that was put is acknowledged, or in the overflow's files."""
        if not self._queued():
            return True
        return self._sending.state in _ON_DISK and self._overflow.stored == len(self._overflow)

    def _look_at_writers(self, other_writers: OtherWriters, now: float) -> None:
        other_writers.turn(now)
        for writer, streams in other_writers.found.items():
            self._errors.note(
                "other_writer",
                f"{writer} (host/process) records {streams} of the same streams into the same "
                "topics: every record comes twice; stop one of the two, or give it other topics",
                now,
            )

    def _look_at_opening(self, opening: LateOpening, now: float) -> None:
        if (error := opening.take_error()) is not None:
            self._errors.note("not_opened", f"{error}; tried again, records wait on disk", now)
        if opening.is_done:
            self._opening = None
            waiting = len(self._overflow)
            _log.warning("Kafka has answered: %d records that wait are delivered", waiting)
            if not self._held:
                self._sending.opened(now)

    def _look_at_topics(self, late_topics: LateTopics, now: float) -> None:
        if (error := late_topics.take_error()) is not None:
            what = "streams that need new topics are not recorded"
            self._errors.note("not_opened", f"{error}; tried again, {what} until then", now)
        for ready in late_topics.take():
            self._headers[ready.topic] = ready.header
            self._kinds[ready.topic] = ready.kind

    # What is counted.

    def _queued(self) -> int:
        return len(self._producer) + len(self._overflow)

    @property
    def _refused_total(self) -> int:
        return self._refusals.total + self._overflow.damaged_total

    def _acknowledged(self) -> int:
        return max(self._accepted - self._refused_total - self._queued(), 0)

    def _observe(self, now: float) -> None:
        self._polled_accepted = self._accepted
        acknowledged, queued = self._acknowledged(), self._queued()
        self._acknowledge_clock.observe(self._accepted, acknowledged, now)
        self._progress.observe(acknowledged, queued, now)

    def _look_at_streams(self) -> None:
        """Account for each stream, with librdkafka's own numbers, as of the latest poll."""
        accepted = Counter(self._accepted_before)
        for route, target in self._targets.items():
            accepted[route.kind] += target.accepted
        for topic, count in self._overflow.inherited_of.items():
            if topic in self._kinds:  # as the topics are called now
                accepted[self._kinds[topic]] += count
        queued_of = self._producer.statistics.now.queued_by_topic if self._queued() else {}
        late = self._accepted - self._polled_accepted if self._queued() else 0
        open_of = (queued_of, self._overflow.waiting_of, self._refusals.of)
        self._streams.look(accepted, open_of, late)
