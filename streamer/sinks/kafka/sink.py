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
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from confluent_kafka import KafkaException

from streamer.config import KafkaConfig
from streamer.data.events import Event
from streamer.errors import SinkUnavailable
from streamer.messages import SinkCounts
from streamer.order.positions import Position
from streamer.routes import Route
from streamer.sinks import RefusedRecord, SinkError
from streamer.sinks.delivery import AcknowledgeClock, Errors
from streamer.sinks.kafka.account import Progress, Refusals, StreamAccount
from streamer.sinks.kafka.overflow import Overflow
from streamer.sinks.kafka.overflow_files import Record
from streamer.sinks.kafka.position_topic import PositionTopic
from streamer.sinks.kafka.producer import PAUSE_SECONDS, LastingProducer
from streamer.sinks.kafka.serializers import Serializers
from streamer.sinks.kafka.topics import topic_of

OTHER_EVENTS = 10  # errors and statistics, which `len` of a producer counts as well
PRESS_SECONDS = 3.0  # a burst is over by then; the feed does not read meanwhile
SLICE_RECORDS = 2_000  # drained at once: 5 ms, so that pongs and reports never wait
SLICE_EVERY_SECONDS = 0.02  # a quarter of the time at most is for the past: the present comes too
PAUSED_SECONDS = (
    0.1  # for an empty queue, at most every ten seconds; brokers take some milliseconds
)
AHEAD_RECORDS = 10_000  # drained and not acknowledged: 3 MiB, and many batches under way
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


@dataclass(frozen=True, slots=True)
class _Press:
    """Why records wait in memory for a moment: until fewer than `below` are in the producer."""

    since: float  # monotonic
    below: int
    accepts: bool  # more, as long as there is room in memory


class KafkaSink:
    """Produces without blocking, or puts on disk what Kafka does not take."""

    def __init__(
        self,
        config: KafkaConfig,
        topics: Mapping[Route, str],
        headers: Mapping[str, bytes],
        overflow: Overflow,
        positions: dict[str, Position] | None = None,
    ) -> None:
        """Begin to connect, and go on trying.

        `headers` hold what goes before each record, by topic; `overflow` what a predecessor left,
        and `positions` say where the routes end with that. Raises SettingsError for what cannot
        work.
        """
        self._config = config
        self._serializers = Serializers(config.serializer_cache_size, headers)
        self._serializer_of = self._serializers.of
        self._targets = {route: _Target(topic, route) for route, topic in topics.items()}
        self._kinds = {topic: route.kind for route, topic in topics.items()}
        self._errors = Errors()
        self._clock = AcknowledgeClock()
        self._progress = Progress(self._errors, time.monotonic())
        self._refusals = Refusals(self._errors)
        self._streams = StreamAccount(self._kinds)
        self._accepted = 0
        self._accepted_before: Counter[str] = Counter()  # by kind, of routes that are removed
        self._bytes = 0
        self._polled_accepted = 0
        self._overflow = overflow
        self._detour = False  # records go into the overflow: nothing overtakes
        self._on_disk = False  # and from there on disk: all that is not acknowledged lies there
        self._press: _Press | None = None
        self._taking_back = False  # librdkafka has not given back all of it yet
        self._slice_at = 0.0
        self._producer = LastingProducer(
            config, self._errors, self._refusals.add, self._look_at_streams
        )
        self._produce = self._producer.produce
        self._position_topic = PositionTopic(config, positions or {})
        if self._overflow:
            self._accepted = len(self._overflow)
            self._detour = self._on_disk = True
            _log.warning(
                "%d records wait in %s: they are delivered first",
                *(len(self._overflow), overflow.directory),
            )

    @property
    def accepting(self) -> bool:
        if not self._detour:
            return True
        may_wait = self._on_disk or (self._press is not None and self._press.accepts)
        return may_wait and self._overflow.accepting

    def put(self, route: Route, event: Event, received_us: int) -> None:
        target = self._targets[route]
        target.accepted += 1
        self._accepted += 1
        topic = target.topic
        try:
            value = self._serializer_of(topic)[route](event, received_us)
        except _UNENCODABLE as error:
            self._refusals.add(topic, msgspec.json.encode(event), "encoding", repr(error))
            return
        self._bytes += len(value)
        if self._detour:
            self._overflow.append((topic, value, target.key))
            return
        try:
            self._produce(topic, value, target.key)
            if target.is_of_gaps:
                self._await_gaps()
        except BufferError:
            self._overflow.append((topic, value, target.key))
            self._await_room()
        except KafkaException as error:
            self._producer.not_taken((topic, value, target.key), error.args[0])
            self._detour = self._producer.trouble is not None

    def poll(self, now: float) -> None:
        self._producer.poll()
        if self._producer.trouble is not None or self._taking_back:
            self._replace_producer(now)
        elif self._on_disk:
            self._drain(now)
        elif self._press is not None:
            self._go_on_when_due(self._press, now)
        elif self._progress.stalled or self._producer.wants_larger_batches(now):
            self._replace_when_due(now)
        if self._on_disk:
            self._overflow.poll(now)
        self._observe(now)
        self._position_topic.poll()
        if not self._detour and self._position_topic.due(now):
            self._write_positions(now)

    def flush(self, within_seconds: float) -> int:
        deadline = time.monotonic() + within_seconds
        while True:
            self.poll(time.monotonic())
            remaining = max(min(deadline - time.monotonic(), 0.1), 0.0)
            if self._producer.trouble is None and len(self._producer):
                self._producer.flush(remaining)
            elif self._queued():
                time.sleep(min(remaining, PAUSE_SECONDS / 20))
            now = time.monotonic()
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
        self._detour = True
        returned = self._producer.take_back()
        if returned is None:
            _log.error("librdkafka holds records back: they are given up")
            returned = []
        self._overflow.give_back(returned)
        self._on_disk = True
        self._overflow.save(time.monotonic())
        return str(self._overflow.directory) if self._overflow.stored else None

    def close(self) -> None:
        self._position_topic.close(self._targets, acknowledged=not self._queued())
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
            acknowledge_seconds=self._clock.histogram(),
            refused_total=self._refused_total,
            queued_bytes=statistics.now.queued_bytes if queued else 0,
            retries_total=statistics.retries_total,
            timeouts_total=statistics.timeouts_total,
            producers_replaced_total=self._producer.renewals_total,
            broker_latency_seconds=statistics.now.latency_seconds,
            acknowledged_by_stream=self._streams.acknowledged_of(),
            overflow_records=self._overflow.stored,
            overflow_bytes=self._overflow.size_bytes,
        )

    def take_errors(self) -> list[SinkError]:
        return self._errors.take() + self._overflow.errors.take()

    def take_refused(self) -> list[RefusedRecord]:
        return self._refusals.take()

    def positions(self) -> dict[str, Position]:
        return self._position_topic.known

    def add(self, route: Route) -> None:
        topic = topic_of(self._config, route)
        if topic not in self._kinds:
            raise SinkUnavailable(
                f"the topic {topic} was not prepared at the start of this streamer, which would "
                "have to wait for brokers now; a new start prepares it"
            )
        self._targets[route] = _Target(topic, route)

    def remove(self, route: Route) -> None:
        target = self._targets.pop(route)
        self._accepted_before[route.kind] += target.accepted
        self._serializer_of(target.topic).pop(route, None)
        self._position_topic.note(route)

    # What waits, and where.

    def _await_room(self) -> None:
        """Want half of the queue empty again: else the feed would stop many times a second."""
        below = len(self._producer) // 2 + OTHER_EVENTS
        self._detour, self._press = True, _Press(time.monotonic(), below, accepts=False)

    def _await_gaps(self) -> None:
        """Have what comes now wait until gap records are acknowledged: some milliseconds."""
        self._detour, self._press = True, _Press(time.monotonic(), 1, accepts=True)

    def _go_on_when_due(self, press: _Press, now: float) -> None:
        """Go on when the producer has so few records; give it up when it does not deliver any.

        As long as there is room it has the time of one for which nothing waits: giving it up makes
        copies of what is under way.
        """
        if len(self._producer) < press.below:
            self._press = None
            self._produce_tail()
        elif self._progress.stalled or (not self.accepting and now - press.since >= PRESS_SECONDS):
            self._replace_producer(now)

    def _replace_when_due(self, now: float) -> None:
        """Do not wait for a stalled Kafka; for larger batches, wait until nothing is under way."""
        if self._progress.stalled or not len(self._producer):
            self._replace_producer(now)

    def _replace_producer(self, now: float) -> None:
        """Take back what the producer has not delivered, and go on with another one when due."""
        self._detour = True
        returned = self._producer.take_back()
        self._taking_back = returned is None
        if returned is None:
            return  # until the next poll
        self._producer.tell_trouble()
        self._overflow.give_back(returned)
        at_once = self._producer.trouble is not None and now >= self._producer.renew_at
        if not self._on_disk and len(self._overflow) and not at_once:
            self._begin_overflow(now)
        if self._producer.trouble is None or now >= self._producer.renew_at:
            if not self._producer.renew(now):
                return
            self._produce = self._producer.produce
            if not self._on_disk:
                self._press = None
                self._produce_tail()

    def _begin_overflow(self, now: float) -> None:
        self._on_disk = True
        self._press = None
        self._overflow.write(now)
        _log.warning(
            "Kafka takes nothing: records wait in %s from now on", self._overflow.directory
        )

    def _drain(self, now: float) -> None:
        """Give the producer a slice of what waits; end the overflow when nothing does any more."""
        if not len(self._producer):
            self._overflow.settle()
            if self._overflow.all_taken and self._end_overflow():
                return
        if now < self._slice_at:
            return
        self._slice_at = now + SLICE_EVERY_SECONDS
        room = AHEAD_RECORDS - len(self._producer)
        if room > 0:
            records = self._overflow.take(min(room, SLICE_RECORDS), now)
            self._overflow.give_back(self._produce_all(records))

    def _end_overflow(self) -> bool:
        if not self._produce_tail():
            return False
        _log.warning("nothing waits on disk any more: records go to Kafka at once")
        return True

    def _produce_tail(self) -> bool:
        """Produce what waits in memory, unless something waits on disk.

        Gap records go at once. What comes after the first of them goes on waiting until they are
        acknowledged, as does what there was no room for.
        """
        tail = self._overflow.end()
        if tail is None:
            return False
        self._on_disk = self._detour = False
        due: list[Record] = []
        after_gaps: list[Record] = []
        has_gaps = False
        for record in tail:
            is_gap = self._kinds.get(record[0]) == "gap"
            has_gaps = has_gaps or is_gap
            (due if is_gap or not has_gaps else after_gaps).append(record)
        left = self._produce_all(due)
        if left:
            self._await_room()
        elif has_gaps:
            self._await_gaps()
        self._overflow.give_back(left + after_gaps)
        self._detour = self._detour or self._producer.trouble is not None
        return True

    def _produce_all(self, records: list[Record]) -> list[Record]:
        """Produce records; return those that have to wait, from the first one on."""
        produce = self._produce
        for number, record in enumerate(records):
            try:
                produce(*record)
            except BufferError:
                return records[number:]
            except KafkaException as error:
                self._producer.not_taken(record, error.args[0])
                if self._producer.trouble is not None:
                    return records[number + 1 :]
        return []

    def _write_positions(self, now: float) -> None:
        """Write where the routes end, when all of it is acknowledged: at an empty queue.

        A busy feed's queue is hardly ever seen empty; the feed then pauses for a moment.
        """
        if self._queued() and self._position_topic.overdue(now):
            self._producer.flush(PAUSED_SECONDS)
        if not self._queued():
            self._position_topic.write(self._targets, now)

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
        self._clock.observe(self._accepted, acknowledged, now)
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
