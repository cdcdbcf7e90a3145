"""The sink `kafka`: one idempotent producer, one topic per stream kind, the symbol as key.

Values are in Avro's single-object encoding. A record is acknowledged when all in-sync replicas
have it. Delivery reports without an error never reach Python, since a callback per record costs
half a microsecond: acknowledged is what was accepted and is neither queued nor failed.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from streamer.config import KafkaConfig
from streamer.errors import SettingsError, SinkFailed
from streamer.events import Event
from streamer.messages import SinkCounts
from streamer.records import encoder, single_object_header
from streamer.routes import Route
from streamer.sinks import SinkError
from streamer.sinks.delivery import AcknowledgeClock, Errors

PROTECTED = {
    "bootstrap.servers": "set kafka.bootstrap_servers",
    "metadata.broker.list": "set kafka.bootstrap_servers",
    "compression.type": "set kafka.compression",
    "compression.codec": "set kafka.compression",
    "queue.buffering.max.kbytes": "set kafka.queue_bytes",
    "queue.buffering.max.messages": "set kafka.queue_bytes, the one bound of the queue",
    "acks": "all replicas must have a record before it counts as delivered",
    "request.required.acks": "all replicas must have a record before it counts as delivered",
    "enable.idempotence": "without it a retry may copy or reorder records",
    "transactional.id": "records are delivered one by one, not in transactions",
    "message.timeout.ms": "a timeout would drop queued records and break their order",
    "delivery.timeout.ms": "a timeout would drop queued records and break their order",
    "retries": "giving up a retry would drop records",
    "message.send.max.retries": "giving up a retry would drop records",
    "partitioner": "records of a symbol stay where Java's clients would look for them",
    "delivery.report.only.error": "acknowledgements are counted by it",
}
"""Client settings that are refused under `kafka.client`, and the cure or the reason."""

LINGER_MS = 5  # full batches at thousands of records a second, for 5 ms of latency
LOG_REPEAT_SECONDS = 30.0

_log = logging.getLogger(__name__)


class KafkaSink:
    """Produces without blocking; librdkafka's threads send, retry and reconnect."""

    def __init__(self, config: KafkaConfig, routes: Iterable[Route]) -> None:
        """Begin to connect, and go on trying. Raises SettingsError for what cannot work."""
        routes = tuple(routes)
        self._errors = Errors()
        self._clock = AcknowledgeClock()
        self._accepted = 0
        self._failed = 0
        self._bytes = 0
        self._failure: str | None = None
        self._waiting: deque[tuple[str, bytes, bytes]] = deque()  # what the full queue refused
        self._targets = {
            route: (
                encoder(route.kind, route.symbol, prefix=single_object_header(route.kind)),
                _topic(config, route.kind),
                route.symbol.encode(),
            )
            for route in routes
        }
        self._producer = _producer(config, self._delivery_failed, self._client_error)
        self._produce = self._producer.produce

    @property
    def accepting(self) -> bool:
        return not self._waiting and self._failure is None

    def put(self, route: Route, event: Event, received_us: int) -> None:
        encode, topic, key = self._targets[route]
        value = encode(event, received_us)
        self._accepted += 1
        self._bytes += len(value)
        if self._waiting:  # nothing overtakes
            self._waiting.append((topic, value, key))
            return
        try:
            self._produce(topic, value, key)
        except BufferError:
            self._waiting.append((topic, value, key))
        except KafkaException as error:
            self._refused(error)

    def poll(self, now: float) -> None:
        """As in Sink. Raises SinkFailed when records were given up: order and count are broken."""
        self._producer.poll(0)
        self._produce_waiting()
        self._clock.observe(self._accepted, self._acknowledged(), now)
        if self._failure is not None:
            raise SinkFailed(self._failure)

    def flush(self, within_seconds: float) -> int:
        deadline = time.monotonic() + within_seconds
        while True:
            self._produce_waiting()
            left = self._producer.flush(max(min(deadline - time.monotonic(), 0.1), 0.0))
            now = time.monotonic()
            if not (left or self._waiting) or now >= deadline:
                self._clock.observe(self._accepted, self._acknowledged(), now)
                return self._queued()

    def close(self) -> None:
        self._waiting.clear()
        self._producer.purge()
        self._producer.flush(1.0)  # only the reports of what was purged

    def counts(self) -> SinkCounts:
        return SinkCounts(
            kind="kafka",
            accepted_total=self._accepted,
            acknowledged_total=self._acknowledged(),
            errors_total=self._failed,
            queued=self._queued(),
            bytes_total=self._bytes,
            acknowledge_seconds=self._clock.histogram(),
        )

    def take_errors(self) -> list[SinkError]:
        return self._errors.take()

    def _queued(self) -> int:
        return len(self._producer) + len(self._waiting)

    def _acknowledged(self) -> int:
        return max(self._accepted - self._failed - self._queued(), 0)

    def _produce_waiting(self) -> None:
        while self._waiting:
            try:
                self._produce(*self._waiting[0])
            except BufferError:
                return
            except KafkaException as error:
                self._refused(error)
            self._waiting.popleft()

    def _refused(self, error: KafkaException) -> None:
        self._give_up(error.args[0])

    def _delivery_failed(self, error: KafkaError, message: object) -> None:
        del message  # its bytes are a record that may not overtake others by another attempt
        self._give_up(error)

    def _give_up(self, error: KafkaError) -> None:
        self._failed += 1
        text = f"{error.str()} ({error.name()})"
        self._errors.note("delivery", text, time.monotonic())
        if self._failure is None:
            self._failure = f"Kafka did not take a record: {text}"

    def _client_error(self, error: KafkaError) -> None:
        """Hear of troubles that librdkafka goes on to work at, such as brokers out of reach."""
        label = error.name().strip("_").lower()
        self._errors.note(label, f"{error.str()}; connecting goes on", time.monotonic())
        if error.fatal():
            self._failure = f"Kafka's producer cannot go on: {error.str()} ({error.name()})"


def _topic(config: KafkaConfig, kind: str) -> str:
    try:
        return config.topics[kind]
    except KeyError:
        raise SettingsError(
            f"kafka.topics: no topic for the stream {kind}; add kafka.topics.{kind}"
        ) from None


def _producer(
    config: KafkaConfig,
    on_failure: Callable[[KafkaError, object], None],
    on_error: Callable[[KafkaError], None],
) -> Producer:
    for key in config.client:
        if key in PROTECTED or key.endswith("_cb") or key == "on_delivery":
            reason = PROTECTED.get(key, "callbacks are the sink's own")
            raise SettingsError(f"kafka.client.{key} cannot be set: {reason}")
    settings: dict[str, Any] = {
        "linger.ms": LINGER_MS,
        **config.client,
        "bootstrap.servers": config.bootstrap_servers,
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": config.compression,
        "message.timeout.ms": 0,  # never: whatever is accepted is kept until it is delivered
        "queue.buffering.max.kbytes": max(config.queue_bytes >> 10, 1),
        "queue.buffering.max.messages": 0,  # bounded by bytes alone
        "partitioner": "murmur2_random",  # as Java's default: one symbol, one partition for all
        "delivery.report.only.error": True,
        "on_delivery": on_failure,
        "error_cb": on_error,
    }
    logger = logging.getLogger("streamer.librdkafka")
    if not logger.filters:
        logger.addFilter(RepeatFilter())
    try:
        return Producer(settings, logger=logger)
    except KafkaException as error:
        problem = error.args[0]
        raise SettingsError(f"kafka.client: {problem.str()}") from error
    except (TypeError, ValueError) as error:
        raise SettingsError(f"kafka.client: {error}") from error


class RepeatFilter(logging.Filter):
    """Lets a message of a kind through once in a while, and says how many it held back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is to be logged."""
        kind = str(record.args[0]) if isinstance(record.args, tuple) and record.args else record.msg
        kind = kind if len(self._kinds) < 100 else ""  # a bound, should every text be new
        now = self._clock()
        last, held_back = self._kinds.get(kind, (now - LOG_REPEAT_SECONDS, 0))
        if now - last < LOG_REPEAT_SECONDS:
            self._kinds[kind] = last, held_back + 1
            return False
        self._kinds[kind] = now, 0
        if held_back:
            record.msg = f"{record.msg} (and {held_back} more like it)"
        return True
