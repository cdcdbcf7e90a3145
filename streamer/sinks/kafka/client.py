"""Settings for librdkafka: ours, those passed through, and those that are refused."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streamer.client_keys import ClientValue, redacted, revealed
from streamer.config import KafkaConfig
from streamer.errors import SettingsError

PROTECTED = {
    "bootstrap.servers": "set kafka.bootstrap_servers",
    "metadata.broker.list": "set kafka.bootstrap_servers",
    "compression.type": "set kafka.compression",
    "compression.codec": "set kafka.compression",
    "queue.buffering.max.kbytes": "set kafka.queue_bytes",
    "queue.buffering.max.messages": "set kafka.queue_bytes, the one bound of the queue",
    "statistics.interval.ms": "set kafka.statistics_every",
    "transactional.id": "records are delivered one by one, not in transactions",
    "delivery.report.only.error": "acknowledgements are counted by it",
}
"""Client settings that are refused under `kafka.client`, and the cure or the reason."""

UNSAFE = {
    "acks": "all replicas must have a record before it counts as delivered",
    "request.required.acks": "all replicas must have a record before it counts as delivered",
    "enable.idempotence": "without it a retry may copy or reorder records",
    "enable.gapless.guarantee": "without it records may overtake one that was refused",
    "message.timeout.ms": "a timeout would drop queued records and break their order",
    "delivery.timeout.ms": "a timeout would drop queued records and break their order",
    "retries": "giving up a retry would drop records",
    "message.send.max.retries": "giving up a retry would drop records",
    "partitioner": "records of a symbol stay where Java's clients would look for them",
    "max.in.flight": "records of a batch that was refused can be taken for delivered",
    "max.in.flight.requests.per.connection": "records of a batch that was refused can be taken for "
    "delivered",
}
"""Client settings that `kafka.allow_unsafe_client` permits, and what they endanger."""

LINGER_MS = 5  # full batches at thousands of records a second, for 5 ms of latency
MISSING_TOPIC_MS = 5_000  # then a topic is gone, not late; librdkafka's 30 s leave us in the dark
RECONNECT_MAX_MS = 1_000  # as Java's clients; librdkafka's 10 s outlast the session of a group
LOG_REPEAT_SECONDS = 30.0

_SAFE: dict[str, Any] = {
    "enable.idempotence": True,
    # After a batch that failed nothing more is sent, so that nothing overtakes it.
    "enable.gapless.guarantee": True,
    "acks": "all",
    # librdkafka takes a batch that a broker refused for delivered when a later one, that was under
    # way already, is accepted; and of a producer that is new to it a broker that has just started
    # accepts any batch as the first (docs/decisions/0096-one-request-under-way.md).
    "max.in.flight": 1,
    "message.timeout.ms": 0,  # never: whatever is accepted is kept until it is delivered
    "partitioner": "murmur2_random",  # as Java's default: one symbol, one partition for all
}
_RECONNECT_MAX = "reconnect.backoff.max.ms"
_ALIASES = {
    "request.required.acks": "acks",
    "delivery.timeout.ms": "message.timeout.ms",
    "max.in.flight.requests.per.connection": "max.in.flight",
}

_Client = TypeVar("_Client", Producer, Consumer, AdminClient)

_log = logging.getLogger(__name__)


def check_client_settings(config: KafkaConfig) -> None:
    """Raise SettingsError for what `kafka.client` may not hold; warn of what is only allowed."""
    for key in config.client:
        if key in PROTECTED or key.endswith("_cb") or key == "on_delivery":
            reason = PROTECTED.get(key, "callbacks are the sink's own")
            raise SettingsError(f"kafka.client.{key} cannot be set: {reason}")
        if key in UNSAFE and not config.allow_unsafe_client:
            raise SettingsError(
                f"kafka.client.{key} cannot be set: {UNSAFE[key]}; who wants it all the same sets "
                "kafka.allow_unsafe_client = true"
            )
        if key in UNSAFE:
            _log.warning("kafka.client.%s is set: %s", key, UNSAFE[key])


def make_producer(config: KafkaConfig, **callbacks_and_more: Any) -> Producer:  # noqa: ANN401
    """Return a producer for records. Raises SettingsError for settings it does not know."""
    check_client_settings(config)
    safe = dict(_SAFE)
    if config.allow_unsafe_client:
        for key in config.client:
            safe.pop(_ALIASES.get(key, key), None)
        if not {"acks", "enable.idempotence", "message.timeout.ms"} <= safe.keys():
            safe.pop("enable.gapless.guarantee", None)  # it needs all three
            if "acks" not in safe:
                safe["enable.idempotence"] = config.client.get("enable.idempotence", False)
    settings = {
        "linger.ms": LINGER_MS,
        "topic.metadata.propagation.max.ms": MISSING_TOPIC_MS,
        **_connection(config),
        **safe,
        "compression.type": config.compression,
        "queue.buffering.max.kbytes": max(config.queue_bytes >> 10, 1),
        "queue.buffering.max.messages": 0,  # bounded by bytes alone
        "delivery.report.only.error": True,
        **callbacks_and_more,
    }
    return _made(Producer, config, settings)


def make_small_producer(config: KafkaConfig, **callbacks_and_more: Any) -> Producer:  # noqa: ANN401
    """Return a producer beside the records' own, that must never hold anything up."""
    settings = {"max.in.flight": _SAFE["max.in.flight"], **callbacks_and_more}
    return _made(Producer, config, {**_connection(config), **settings})


def make_administrator(config: KafkaConfig) -> AdminClient:
    """Return a client that asks about topics and creates them."""
    return _made(AdminClient, config, _connection(config))


def make_consumer(config: KafkaConfig, **more: Any) -> Consumer:  # noqa: ANN401
    """Return a client that reads partitions it is told, and says where they end."""
    settings = {
        "group.id": "vigil-reader",  # wanted by the client; nothing is ever committed
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    }
    return _made(Consumer, config, {**_connection(config), **settings, **more})


def _connection(config: KafkaConfig) -> dict[str, Any]:
    # Of a longer first time between attempts librdkafka demands a longer last one.
    own = {} if "reconnect.backoff.ms" in config.client else {_RECONNECT_MAX: RECONNECT_MAX_MS}
    return {**own, **revealed(config.client), "bootstrap.servers": config.bootstrap_servers}


def _made(client: Callable[..., _Client], config: KafkaConfig, settings: dict[str, Any]) -> _Client:
    logger = logging.getLogger("streamer.librdkafka")
    if not logger.filters:
        logger.addFilter(RepeatFilter())
        logger.addFilter(Redaction(config.client))
    try:
        return client(settings, logger=logger)
    except KafkaException as error:
        problem = error.args[0]
        raise SettingsError(f"kafka.client: {redacted(problem.str(), config.client)}") from None
    except (TypeError, ValueError) as error:
        raise SettingsError(f"kafka.client: {redacted(str(error), config.client)}") from None


class RepeatFilter(logging.Filter):
    """Lets a message of a kind through once in a while, and says how many it held back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be logged."""
        message = record.getMessage()
        if "enable.gapless.guarantee is experimental" in message:
            return False  # we know; tests show that it holds
        if "is a producer property and will be ignored by this consumer" in message:
            return False  # kafka.client is for both
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


class Redaction(logging.Filter):
    """Masks the secrets of the client's settings in what librdkafka logs."""

    def __init__(self, client: dict[str, ClientValue]) -> None:
        super().__init__()
        self._client = client

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, masked."""
        record.msg, record.args = redacted(record.getMessage(), self._client), ()
        return True
