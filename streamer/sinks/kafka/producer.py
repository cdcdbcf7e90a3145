"""One producer after another: librdkafka's, and the next one when it fails.

A producer that fails hands back all that it had not delivered; after a pause that grows, another
one goes on (docs/decisions/0007-another-producer.md).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streamer.config import KafkaConfig
from streamer.data.records import record_place
from streamer.errors import SettingsError
from streamer.sinks.delivery import Errors
from streamer.sinks.kafka.client import make_producer
from streamer.sinks.kafka.overflow_files import Record
from streamer.sinks.kafka.reset_on_close import reset_on_close
from streamer.sinks.kafka.statistics import ClientStatistics

BATCH_BYTES = 1_000_000  # librdkafka's default, of which a broker with another limit may think less
BATCH_AGAIN_SECONDS = 3600.0  # until a batch that was made smaller is tried larger; doubles
PAUSE_LIMIT_SECONDS = 30.0  # between producers while the cause lasts; doubles from PAUSE_SECONDS
PAUSE_SECONDS = 1.0
HEALTHY_SECONDS = 60.0  # of a producer, after which the next failure begins with no pause
CONNECTIONS_SECONDS = 1.0  # a look at 37 open sockets takes 0.65 ms of the feed's time
EXPIRED_SHARE = 2 / 3
"""Of the time in which records are to be delivered, without any acknowledgement: the rest is for
the steps that librdkafka looks at ages in, of a second."""
PURGE_SECONDS = 2.0  # purging is local and takes a microsecond for each record

_AFTER_A_FAILURE = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._FATAL}
_ITS_OWN_FAULT = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG}

Refuse = Callable[[str, bytes, str, str], None]
"""Hears of a record that no attempt can deliver: topic, value, error type, reason."""

_log = logging.getLogger(__name__)


class RestartableProducer:
    """Produces without blocking; librdkafka's threads send, retry and reconnect.

    `trouble` says why the producer is done with; None while it is not. Then the records are to be
    taken back (`take_back`), and `renew` makes another one when `renew_at` has come.
    """

    def __init__(
        self,
        config: KafkaConfig,
        errors: Errors,
        refuse: Refuse,
        told: Callable[[], None],
        *,
        deliver_within_seconds: float | None = None,
    ) -> None:
        """Begin to connect, and go on trying. Raises SettingsError for what cannot work.

        `told` is called when there are new statistics. What is not delivered within a time is not
        sent any more, and the producer fails; None: it is tried for ever. That holds for a process
        that was stopped, too: librdkafka looks at the age of what it has before it sends again.
        And for a network that was cut: what the kernel has of it goes with the connection.
        """
        self.statistics = ClientStatistics()
        self.trouble: str | None = None
        self.renew_at = 0.0  # monotonic
        self.failures_total = 0
        self.renewals_total = 0
        self._config = config
        self._errors = errors
        self._refuse = refuse
        self._told = told
        self._returned: list[Record] = []  # what was waiting in the producer
        self._returned_first: list[Record] = []  # what was under way, before that
        self._vague = False  # the trouble is some fatal error; which one is told a moment later
        self._pause_seconds = 0.0
        self._renewed_at = float("-inf")
        self._batch_limit_bytes = _batch_limit_bytes(config)
        self._batch_bytes = self._batch_limit_bytes
        self._batch_too_large = False
        self._batch_again_at = float("inf")
        self._batch_again_seconds = BATCH_AGAIN_SECONDS
        self._closing = False
        self._statistics_seconds = config.statistics_every
        self._settings: dict[str, Any] = {}
        self._expires_after_seconds = float("inf")
        self._acknowledged_total, self._waits_since = 0, time.monotonic()
        if deliver_within_seconds is not None:
            self._expires_after_seconds = deliver_within_seconds * EXPIRED_SHARE
            self._settings["message.timeout.ms"] = round(deliver_within_seconds * 1000)
            self._statistics_seconds = min(config.statistics_every, CONNECTIONS_SECONDS)
        self._producer = self._make()

    def __len__(self) -> int:
        """Return how many records are not acknowledged; a few more may be counted."""
        return len(self._producer) + len(self._returned) + len(self._returned_first)

    @property
    def produce(self) -> Callable[[str, bytes, bytes], None]:
        """Librdkafka's own: raises BufferError, and KafkaException, which `not_taken` is for."""
        produce: Callable[[str, bytes, bytes], None] = self._producer.produce
        return produce

    def poll(self) -> None:
        """Hear what librdkafka has to tell."""
        self._serve(lambda: self._producer.poll(0))

    def expire(self, acknowledged_total: int, now: float) -> None:
        """Be done with a producer of which nothing is acknowledged for long, where records age.

        Before librdkafka gives up the oldest alone: it does not keep the next ones back then
        (`enable.gapless.guarantee` does not cover `message.timeout.ms`), and where a broker is back
        at that moment, they come before the oldest.
        """
        if not len(self._producer) or acknowledged_total > self._acknowledged_total:
            self._acknowledged_total, self._waits_since = acknowledged_total, now
        elif self.trouble is None and now - self._waits_since >= self._expires_after_seconds:
            self._fail(KafkaError(KafkaError._MSG_TIMED_OUT))
            self.renew_at = 0.0  # no pause: it was tried for that long

    def flush(self, within_seconds: float) -> None:
        """Wait for acknowledgements."""
        self._serve(lambda: self._producer.flush(within_seconds))

    def not_taken(self, record: Record, error: KafkaError) -> None:
        """Handle that librdkafka itself did not take a record."""
        if error.code() in _ITS_OWN_FAULT:
            self._refuse(record[0], record[1], "refused", f"{error.str()} ({error.name()})")
        else:
            self._returned.append(record)
            self._fail(error, record[0])

    def take_back(self) -> list[Record] | None:
        """End the producer's work; return what it had not delivered, in the order of each stream.

        None when librdkafka has not given back all of it yet: to be called again.
        """
        deadline = time.monotonic() + PURGE_SECONDS
        self._producer.purge()
        while len(self._producer) and time.monotonic() < deadline:
            self._serve(lambda: self._producer.poll(0.05))
        if len(self._producer):
            return None
        # What was under way may come back after what was not: each stream's records ascend again.
        returned = self._returned_first + self._returned
        returned.sort(key=lambda it: record_place(it[1], prefix_length(it[1])))
        self._returned, self._returned_first = [], []
        return returned

    def tell_trouble(self) -> None:
        """Say what the trouble is, if that was not known at first."""
        if self._vague:
            self._vague = False
            self._note_trouble(time.monotonic())

    def renew(self, now: float) -> bool:
        """Go on with another producer, to which everything was taken back; tell whether it is."""
        self._fit_batch(now)
        try:
            self._producer = self._make()
        except SettingsError as error:  # no memory, no threads: the settings were right before
            self.renew_at = now + PAUSE_LIMIT_SECONDS
            self.trouble = self.trouble or str(error)  # there is none: it is tried again
            self._errors.note("delivery", str(error), now)
            return False
        self.statistics.renew()
        if self.trouble is not None:
            self.renewals_total += 1
            _log.warning("another producer goes on after: %s", self.trouble)
        self._renewed_at = self._waits_since = now
        self.trouble = None
        return True

    def wants_larger_batches(self, now: float) -> bool:
        """Return whether another producer is due, whose batches have their full size again."""
        return now >= self._batch_again_at

    def close(self) -> None:
        """Give up what is not acknowledged."""
        self._closing = True
        self._producer.purge()
        self._serve(lambda: self._producer.flush(1.0))  # only the reports of what was purged

    def _make(self) -> Producer:
        return make_producer(
            self._config,
            on_delivery=self._undelivered,
            error_cb=self._client_error,
            stats_cb=self._take_statistics,
            **{
                "statistics.interval.ms": max(round(self._statistics_seconds * 1000), 1),
                "batch.size": self._batch_bytes,
                **self._settings,
            },
        )

    def _take_statistics(self, text: str) -> None:
        self.statistics.take(text)
        if self._settings:
            reset_on_close(self.statistics.now.broker_ports)
        self._told()

    def _fit_batch(self, now: float) -> None:
        if self._batch_too_large:
            self._batch_too_large = False
            self._batch_bytes = max(self._batch_bytes // 10, 1)
            self._batch_again_at = now + self._batch_again_seconds
            self._batch_again_seconds *= 2  # the limit may be there to stay
            _log.warning("a batch was too large: now at most %d bytes in one", self._batch_bytes)
        elif self.wants_larger_batches(now):
            self._batch_bytes = self._batch_limit_bytes
            self._batch_again_at = float("inf")

    def _serve(self, call: Callable[[], Any]) -> None:
        """Let librdkafka call back; a fatal error comes as an exception, at any such call."""
        try:
            call()
        except KafkaException as error:
            self._fail(error.args[0])

    def _undelivered(self, error: KafkaError, message: Message) -> None:
        """Handle a record that was not delivered, or came back from an abandoned producer."""
        if self._closing:
            return
        record: Record = (message.topic(), message.value(), message.key())  # type: ignore[assignment]
        code = error.code()
        if code not in _ITS_OWN_FAULT:
            under_way = code != KafkaError._PURGE_QUEUE
            (self._returned_first if under_way else self._returned).append(record)
            if code not in _AFTER_A_FAILURE:
                self._fail(error, record[0])
            if code == KafkaError._MSG_TIMED_OUT and self._settings:
                self.renew_at = 0.0  # no pause: it was tried for that long
            return
        self._fail(error, record[0])
        self.renew_at = 0.0  # no pause: the next attempt is another one
        if len(record[1]) >= self._batch_bytes:
            # It was alone in its batch: no other attempt can end better.
            self._refuse(record[0], record[1], "refused", f"{error.str()} ({error.name()})")
        else:
            self._returned_first.append(record)
            self._batch_too_large = True

    def _client_error(self, error: KafkaError) -> None:
        """Hear of troubles that librdkafka goes on to work at, such as brokers out of reach."""
        label = error.name().strip("_").lower()
        self._errors.note(label, f"{error.str()}; connecting goes on", time.monotonic())

    def _fail(self, error: KafkaError, topic: str = "") -> None:
        """Be done with the producer: plan another one."""
        now = time.monotonic()
        if self._closing or (self.trouble is not None and not self._vague):
            return
        if self.trouble is None:
            self.failures_total += 1
            if now - self._renewed_at > HEALTHY_SECONDS:
                self._pause_seconds = 0.0
            self.renew_at = now + self._pause_seconds
            self._pause_seconds = min(
                max(self._pause_seconds * 2, PAUSE_SECONDS), PAUSE_LIMIT_SECONDS
            )
        elif error.code() in _AFTER_A_FAILURE:
            return
        self.trouble = f"{topic + ': ' if topic else ''}{error.str()} ({error.name()})"
        self._vague = error.code() == KafkaError._FATAL
        if not self._vague:
            self._note_trouble(now)

    def _note_trouble(self, now: float) -> None:
        text = f"Kafka did not take records: {self.trouble}; they are kept, and tried again"
        self._errors.note("delivery", text, now)


def prefix_length(value: bytes) -> int:
    """Return how much precedes the record: a single-object header, or a registry's schema id."""
    return 10 if value[0] == 0xC3 else 5


def _batch_limit_bytes(config: KafkaConfig) -> int:
    value = config.client.get("batch.size", BATCH_BYTES)
    try:
        return int(str(value))
    except ValueError:
        raise SettingsError(
            f"kafka.client.batch.size = {value!r}: expected a number of bytes"
        ) from None
