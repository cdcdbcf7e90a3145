"""The sink `kafka`: one idempotent producer, one topic per stream kind, the symbol as key.

A record is acknowledged when all in-sync replicas have it. Delivery reports without an error never
reach Python, since a callback per record costs half a microsecond: acknowledged is what was
accepted and is neither queued nor refused.

A producer that fails hands back all that it had not delivered; after a pause that grows, another
one goes on with it, in the same order (docs/decisions/0007-another-producer.md).
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streamer.config import KafkaConfig
from streamer.errors import SettingsError, SinkUnavailable
from streamer.events import Event
from streamer.messages import SinkCounts
from streamer.positions import Position
from streamer.records import record_number
from streamer.routes import Route
from streamer.sinks import RefusedRecord, SinkError
from streamer.sinks.delivery import AcknowledgeClock, Errors
from streamer.sinks.kafka.client import make_producer
from streamer.sinks.kafka.position_topic import PositionTopic
from streamer.sinks.kafka.serializers import Serializers
from streamer.sinks.kafka.statistics import Statistics, parse
from streamer.sinks.kafka.topics import topic_of

BATCH_BYTES = 1_000_000  # librdkafka's default, of which a broker with another limit may think less
PAUSE_LIMIT_SECONDS = 30.0  # between producers while the cause lasts; doubles from PAUSE_SECONDS
PAUSE_SECONDS = 1.0
HEALTHY_SECONDS = 60.0  # of a producer, after which the next failure begins with no pause
PURGE_SECONDS = 2.0  # purging is local and takes a microsecond for each record
OTHER_EVENTS = 10  # errors and statistics, which `len` of a producer counts as well
STALL_SECONDS = 10.0  # without any acknowledgement: a broker that restarts takes as long
REFUSED_LIMIT = 1_000  # kept between two calls of take_refused; the others are counted only

_Record = tuple[str, bytes, bytes]
"""Topic, value and key: the arguments of `produce`."""

_AFTER_A_FAILURE = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._FATAL}
_ITS_OWN_FAULT = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG}
_UNENCODABLE = (ArithmeticError, LookupError, TypeError, ValueError)

_log = logging.getLogger(__name__)


class _Target:
    """Where the events of a route go, and how many did."""

    __slots__ = ("accepted", "key", "topic")

    def __init__(self, topic: str, key: bytes) -> None:
        self.topic = topic
        self.key = key
        self.accepted = 0


class KafkaSink:
    """Produces without blocking; librdkafka's threads send, retry and reconnect."""

    def __init__(
        self,
        config: KafkaConfig,
        topics: Mapping[Route, str],
        headers: Mapping[str, bytes],
        positions: dict[str, Position] | None = None,
    ) -> None:
        """Begin to connect, and go on trying. Raises SettingsError for what cannot work.

        `headers` hold what goes before each record, by topic; `positions` say where the routes end.
        """
        self._config = config
        self._headers = headers
        self._serializers = Serializers(config.serializer_cache_size, headers)
        self._serializer_of = self._serializers.of
        self._targets = {
            route: _Target(topic, route.symbol.encode()) for route, topic in topics.items()
        }
        self._kinds = {topic: route.kind for route, topic in topics.items()}
        self._errors = Errors()
        self._clock = AcknowledgeClock()
        self._accepted = 0
        self._accepted_before: Counter[str] = Counter()  # by kind, of routes that are removed
        self._bytes = 0
        self._polled_accepted = 0
        self._failures_total = 0
        self._refused_total = 0
        self._refused_of: Counter[str] = Counter()  # by topic
        self._refused: list[RefusedRecord] = []
        self._waiting: deque[_Record] = deque()  # what comes before anything else
        self._room_below: int | None = None  # records queued; None unless the queue was full
        self._returned: list[_Record] = []  # what a producer did not deliver
        self._trouble: str | None = None  # why the producer is done with
        self._vague = False  # the trouble is some fatal error; which one is told a moment later
        self._renew_at = 0.0  # monotonic; while there is trouble
        self._pause_seconds = 0.0
        self._renewed_at = float("-inf")
        self._renewals_total = 0
        self._progress_at = time.monotonic()  # when something was acknowledged, or nothing queued
        self._progress_total = 0
        self._batch_bytes = int(config.client.get("batch.size", BATCH_BYTES))
        self._batch_too_large = False
        self._statistics = Statistics()
        self._statistics_before = Statistics()  # totals of the producers that are gone
        self._acknowledged_of: dict[str, int] = dict.fromkeys(self._kinds.values(), 0)
        self._closing = False
        self._position_topic = PositionTopic(config, positions or {})
        self._producer = self._make_producer()
        self._produce = self._producer.produce

    @property
    def accepting(self) -> bool:
        return not self._waiting and self._room_below is None and self._trouble is None

    def put(self, route: Route, event: Event, received_us: int) -> None:
        target = self._targets[route]
        target.accepted += 1
        self._accepted += 1
        topic = target.topic
        try:
            value = self._serializer_of(topic)[route](event, received_us)
        except _UNENCODABLE as error:
            self._refuse(topic, msgspec.json.encode(event), "encoding", repr(error))
            return
        self._bytes += len(value)
        if self._waiting or self._trouble is not None:  # nothing overtakes
            self._waiting.append((topic, value, target.key))
            return
        try:
            self._produce(topic, value, target.key)
        except BufferError:
            self._waiting.append((topic, value, target.key))
            self._note_full()
        except KafkaException as error:
            self._not_produced((topic, value, target.key), error.args[0])

    def poll(self, now: float) -> None:
        self._serve(lambda: self._producer.poll(0))
        if self._trouble is not None and now >= self._renew_at:
            self._renew(now)
        self._produce_waiting()
        self._observe(now)
        direct = not self._waiting and not self._returned and self._trouble is None
        self._position_topic.turn(now, self._targets, direct=direct, queued=self._queued())

    def flush(self, within_seconds: float) -> int:
        deadline = time.monotonic() + within_seconds
        while True:
            self.poll(time.monotonic())
            remaining = max(min(deadline - time.monotonic(), 0.1), 0.0)
            if self._trouble is None:
                self._serve(lambda: self._producer.flush(remaining))  # noqa: B023 - called at once
            else:
                time.sleep(min(remaining, PAUSE_SECONDS / 20))
            now = time.monotonic()
            if not self._queued() or now >= deadline:
                self._observe(now)
                return self._queued()

    def keep(self) -> str | None:
        return None

    def close(self) -> None:
        self._closing = True
        self._position_topic.close(self._targets, acknowledged=not self._queued())
        self._waiting.clear()
        self._producer.purge()
        self._serve(lambda: self._producer.flush(1.0))  # only the reports of what was purged

    def counts(self) -> SinkCounts:
        queued = self._queued()
        before, now = self._statistics_before, self._statistics
        return SinkCounts(
            kind="kafka",
            accepted_total=self._accepted,
            acknowledged_total=self._acknowledged(),
            errors_total=self._failures_total + self._refused_total,
            queued=queued,
            bytes_total=self._bytes,
            serializer_cache_size=self._serializers.size,
            serializer_cache_evictions_total=self._serializers.evictions_total,
            acknowledge_seconds=self._clock.histogram(),
            refused_total=self._refused_total,
            queued_bytes=now.queued_bytes if queued else 0,
            retries_total=before.retries_total + now.retries_total,
            timeouts_total=before.timeouts_total + now.timeouts_total,
            producers_replaced_total=self._renewals_total,
            broker_latency_seconds=now.latency_seconds,
            acknowledged_by_stream=self._acknowledged_by_stream(queued),
        )

    def take_errors(self) -> list[SinkError]:
        return self._errors.take()

    def take_refused(self) -> list[RefusedRecord]:
        refused, self._refused = self._refused, []
        return refused

    def positions(self) -> dict[str, Position]:
        return self._position_topic.known

    def add(self, route: Route) -> None:
        topic = topic_of(self._config, route)
        if topic not in self._kinds:
            raise SinkUnavailable(
                f"the topic {topic} was not prepared at the start of this streamer, which would "
                "have to wait for brokers now; a new start prepares it"
            )
        self._targets[route] = _Target(topic, route.symbol.encode())

    def remove(self, route: Route) -> None:
        target = self._targets.pop(route)
        self._accepted_before[route.kind] += target.accepted
        self._serializer_of(target.topic).pop(route, None)
        self._position_topic.note(route)

    def _queued(self) -> int:
        return len(self._producer) + len(self._waiting) + len(self._returned)

    def _acknowledged(self) -> int:
        return max(self._accepted - self._refused_total - self._queued(), 0)

    def _observe(self, now: float) -> None:
        self._polled_accepted = self._accepted
        acknowledged = self._acknowledged()
        self._clock.observe(self._accepted, acknowledged, now)
        self._tell_stall(acknowledged, now)

    def _tell_stall(self, acknowledged: int, now: float) -> None:
        """Say that Kafka is slow to take anything: librdkafka retries much without a word."""
        seconds = now - self._progress_at
        queued = self._queued()
        if queued and acknowledged <= self._progress_total:
            if seconds >= STALL_SECONDS:
                text = f"Kafka has acknowledged nothing for {seconds:.0f} s; {queued} records wait"
                self._errors.note("stalled", text, now)
            return
        if seconds >= STALL_SECONDS:
            _log.warning("Kafka acknowledges records again, after %.0f s", seconds)
        self._progress_at, self._progress_total = now, acknowledged

    def _make_producer(self) -> Producer:
        return make_producer(
            self._config,
            on_delivery=self._undelivered,
            error_cb=self._client_error,
            stats_cb=self._take_statistics,
            **{
                "statistics.interval.ms": max(round(self._config.statistics_every * 1000), 1),
                "batch.size": self._batch_bytes,
            },
        )

    # What can go wrong.

    def _serve(self, call: Callable[[], Any]) -> None:
        """Let librdkafka call back; a fatal error comes as an exception, at any such call."""
        try:
            call()
        except KafkaException as error:
            self._fail(error.args[0])

    def _not_produced(self, record: _Record, error: KafkaError) -> None:
        """Hear that librdkafka itself did not take a record."""
        if error.code() in _ITS_OWN_FAULT:
            self._refuse(record[0], record[1], "refused", f"{error.str()} ({error.name()})")
        else:
            self._returned.append(record)
            self._fail(error, record[0])

    def _undelivered(self, error: KafkaError, message: Message) -> None:
        """Hear that a record was not delivered, or came back from a producer that is done with."""
        if self._closing:
            return
        record: _Record = (message.topic(), message.value(), message.key())  # type: ignore[assignment]
        code = error.code()
        if code not in _ITS_OWN_FAULT:
            self._returned.append(record)
            if code not in _AFTER_A_FAILURE:
                self._fail(error, record[0])
            return
        self._fail(error, record[0])
        self._renew_at = 0.0  # no pause: the next attempt is another one
        if len(record[1]) >= self._batch_bytes:
            # It was alone in its batch: no other attempt can end better.
            self._refuse(record[0], record[1], "refused", f"{error.str()} ({error.name()})")
        else:
            self._returned.append(record)
            self._batch_too_large = True

    def _refuse(self, topic: str, content: bytes, error_type: str, reason: str) -> None:
        self._refused_total += 1
        self._refused_of[topic] += 1
        self._errors.note(error_type, f"{topic}: {reason}", time.monotonic())
        if len(self._refused) < REFUSED_LIMIT:
            self._refused.append(RefusedRecord(topic, content, error_type, reason))

    def _client_error(self, error: KafkaError) -> None:
        """Hear of troubles that librdkafka goes on to work at, such as brokers out of reach."""
        label = error.name().strip("_").lower()
        self._errors.note(label, f"{error.str()}; connecting goes on", time.monotonic())

    def _fail(self, error: KafkaError, topic: str = "") -> None:
        """Be done with the producer: plan another one."""
        now = time.monotonic()
        if self._closing or (self._trouble is not None and not self._vague):
            return
        if self._trouble is None:
            self._failures_total += 1
            if now - self._renewed_at > HEALTHY_SECONDS:
                self._pause_seconds = 0.0
            self._renew_at = now + self._pause_seconds
            self._pause_seconds = min(
                max(self._pause_seconds * 2, PAUSE_SECONDS), PAUSE_LIMIT_SECONDS
            )
        elif error.code() in _AFTER_A_FAILURE:
            return
        self._trouble = f"{topic + ': ' if topic else ''}{error.str()} ({error.name()})"
        self._vague = error.code() == KafkaError._FATAL
        if not self._vague:
            self._tell_trouble(now)

    def _tell_trouble(self, now: float) -> None:
        text = f"Kafka did not take records: {self._trouble}; they are kept, and tried again"
        self._errors.note("delivery", text, now)

    def _renew(self, now: float) -> None:
        """Take back what the producer has not delivered, and go on with another one."""
        deadline = time.monotonic() + PURGE_SECONDS
        self._producer.purge()
        while len(self._producer) and time.monotonic() < deadline:
            self._serve(lambda: self._producer.poll(0.05))
        if self._vague:
            self._vague = False
            self._tell_trouble(now)
        count = len(self._returned)
        # What was under way may come back after what was not: each stream's records ascend again.
        self._returned.sort(key=lambda it: record_number(it[1], len(self._headers[it[0]])))
        self._waiting.extendleft(reversed(self._returned))
        self._returned.clear()
        gone = self._statistics
        self._statistics_before = msgspec.structs.replace(
            self._statistics_before,
            retries_total=self._statistics_before.retries_total + gone.retries_total,
            timeouts_total=self._statistics_before.timeouts_total + gone.timeouts_total,
        )
        self._statistics = Statistics()
        if self._batch_too_large:
            self._batch_too_large = False
            self._batch_bytes = max(self._batch_bytes // 10, 1)
            _log.warning("a batch was too large: now at most %d bytes in one", self._batch_bytes)
        try:
            self._producer = self._make_producer()
        except SettingsError as error:  # no memory, no threads: the settings were right before
            self._renew_at = now + PAUSE_LIMIT_SECONDS
            self._errors.note("delivery", str(error), now)
            return
        self._produce = self._producer.produce
        self._renewals_total += 1
        self._renewed_at = now
        _log.warning("another producer goes on with %d records after: %s", count, self._trouble)
        self._trouble = None

    def _produce_waiting(self) -> None:
        while self._waiting and self._trouble is None:
            try:
                self._produce(*self._waiting[0])
            except BufferError:
                self._note_full()
                return
            except KafkaException as error:
                self._not_produced(self._waiting[0], error.args[0])
            self._waiting.popleft()
        if self._room_below is not None and len(self._producer) < self._room_below:
            self._room_below = None

    def _note_full(self) -> None:
        """Want half of the queue empty again: else the feed would stop many times a second."""
        self._room_below = len(self._producer) // 2 + OTHER_EVENTS

    # What librdkafka tells.

    def _take_statistics(self, text: str) -> None:
        statistics = parse(text)
        self._statistics = statistics
        self._position_topic.look(statistics.look, time.monotonic())
        # Accepted by a stream at the time of the look: without what came since the poll before.
        since = self._accepted - self._polled_accepted
        waiting = Counter(topic for topic, _, _ in self._waiting)
        waiting.update(topic for topic, _, _ in self._returned)
        open_of: Counter[str] = Counter()
        for topic, kind in self._kinds.items():
            queued = statistics.queued_by_topic.get(topic, 0)
            open_of[kind] += queued + waiting[topic] + self._refused_of[topic]
        for kind, accepted in self._accepted_by_stream().items():
            known = self._acknowledged_of[kind]
            self._acknowledged_of[kind] = max(known, accepted - since - open_of[kind])

    def _accepted_by_stream(self) -> Counter[str]:
        accepted = Counter(self._accepted_before)
        for route, target in self._targets.items():
            accepted[route.kind] += target.accepted
        return accepted

    def _acknowledged_by_stream(self, queued: int) -> dict[str, int]:
        if not queued:  # exact; else as of the last look, and never too many
            refused: Counter[str] = Counter()
            for topic, count in self._refused_of.items():
                refused[self._kinds[topic]] += count
            for kind, accepted in self._accepted_by_stream().items():
                self._acknowledged_of[kind] = accepted - refused[kind]
        return dict(self._acknowledged_of)
