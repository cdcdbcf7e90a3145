"""The dead-letter topic, by a producer of its own: nothing there can hold records up."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streamer.config import KafkaConfig
from streamer.errors import SettingsError
from streamer.sinks.kafka.client import make_small_producer

QUEUE_KIB = 1024  # a minute of letters at the rate that they are kept at
GIVE_UP_MS = 30_000  # afterwards a letter comes back, and is kept in a file
CLOSE_SECONDS = 2.0  # some milliseconds, unless the brokers are away

_log = logging.getLogger(__name__)


class DeadLetterTopic:
    """A LetterBox. The producer is made for the first letter: mostly there is none."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._topic = config.dead_letter_topic
        self._producer: Producer | None = None
        self._returned: list[bytes] = []

    def post(self, letter: bytes) -> bool:
        """As in LetterBox."""
        try:
            if self._producer is None:
                self._producer = self._make_producer()
            self._producer.produce(self._topic, letter)
        except (BufferError, KafkaException, SettingsError) as error:
            _log.warning("the topic %s does not take a dead letter: %s", self._topic, error)
            return False
        return True

    def returned(self) -> list[bytes]:
        """As in LetterBox."""
        if self._producer is not None:
            self._producer.poll(0)
        returned, self._returned = self._returned, []
        return returned

    def close(self) -> None:
        """As in LetterBox."""
        if self._producer is not None:
            self._producer.flush(CLOSE_SECONDS)
            self._producer.purge()
            self._producer.flush(CLOSE_SECONDS)  # only the reports of what was purged

    def _make_producer(self) -> Producer:
        return make_small_producer(
            self._config,
            on_delivery=self._undelivered,
            **{
                "delivery.report.only.error": True,
                "message.timeout.ms": GIVE_UP_MS,
                "queue.buffering.max.kbytes": QUEUE_KIB,
            },
        )

    def _undelivered(self, error: KafkaError, message: Message) -> None:
        _log.warning("a dead letter could not be delivered to %s: %s", self._topic, error.str())
        value = message.value()
        if value is not None:
            self._returned.append(value)
