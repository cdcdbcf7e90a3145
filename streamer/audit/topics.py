"""Kafka's topics, from their beginnings to where they end when the audit begins."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from streamer.audit.batches import BACKFILLED, Batch, Schema, Unreadable
from streamer.audit.message_headers import MessageHeaders, topics_of_records
from streamer.config import KafkaConfig
from streamer.sinks.kafka.client import make_consumer
from streamer.sinks.kafka.source_header import is_backfilled

ASK_SECONDS = 10.0
STALLED_SECONDS = 60.0  # without a message, though there are more: the brokers are away
_MESSAGES_AT_ONCE = 10_000  # some 2 MB
_WAIT_SECONDS = 1.0


class Topics:
    """The records of some topics; each topic holds records of one kind.

    Raises KafkaException when the brokers cannot be asked, LookupError without any topic.
    """

    total_bytes: int | None = None

    def __init__(self, config: KafkaConfig, topics: dict[str, str]) -> None:
        """`topics` are names by kind; a `{symbol}` in one stands for anything."""
        self._config = config
        self._headers = MessageHeaders()
        consumer = make_consumer(config)
        try:
            found = consumer.list_topics(timeout=ASK_SECONDS).topics
            self._kinds = dict(topics_of_records(found, topics))
            if not self._kinds:
                raise LookupError(f"there is none of the topics {', '.join(topics.values())}")
            # Gaps last: a gap is written before what comes after it, so that none is overlooked.
            self._ends = {
                (topic, partition): consumer.get_watermark_offsets(
                    TopicPartition(topic, partition), ASK_SECONDS
                )
                for topic in sorted(self._kinds, key=lambda topic: self._kinds[topic] == "gap")
                for partition in found[topic].partitions
            }
        finally:
            consumer.close()
        self.total_records: int | None = sum(high - low for low, high in self._ends.values())

    def batches(self, kinds: Collection[str] | None = None) -> Iterator[Batch | Unreadable]:
        """Yield the messages of each partition in their order; with `kinds`, of their topics."""
        left = {
            where: high
            for where, (low, high) in self._ends.items()
            if low < high and (kinds is None or self._kinds[where[0]] in kinds)
        }
        consumer = make_consumer(self._config)
        try:
            consumer.assign([TopicPartition(*where, OFFSET_BEGINNING) for where in left])
            heard_at = time.monotonic()
            while left:
                messages = consumer.consume(_MESSAGES_AT_ONCE, timeout=_WAIT_SECONDS)
                if messages:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > STALLED_SECONDS:
                    yield Unreadable(f"nothing more came in {STALLED_SECONDS:g} s: {sorted(left)}")
                    return
                yield from self._batches(messages, left)
                self._finish(consumer, left)
        finally:
            consumer.close()

    def _batches(
        self, messages: Iterable[Message], left: dict[tuple[str, int], int]
    ) -> Iterator[Batch | Unreadable]:
        """Yield what is below the ends, neighbours of one kind together."""
        together: dict[tuple[str, int, int], list[bytes]] = {}  # by topic, lane and schema
        schemas: dict[int, Schema] = {}
        for message in messages:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    left.pop((topic or "", partition or 0), None)
                else:
                    yield Unreadable(f"{topic}: {error.str()}")
                continue
            if topic is None or partition is None or offset is None:
                continue  # for the type checker: a message has all three
            if offset >= self._ends[topic, partition][1]:
                continue
            value = message.value()
            kind = self._kinds[topic]
            cut = self._headers.length(kind, value) if value else None
            if value is None or cut is None:
                yield Unreadable(f"{topic} [{partition}] {offset}: no record of ours")
                continue
            schema = self._headers.schema(kind, value)
            schemas[id(schema)] = schema
            lane = BACKFILLED - partition if is_backfilled(message) else partition
            together.setdefault((topic, lane, id(schema)), []).append(value[cut:])
        for (topic, lane, schema_id), values in together.items():
            place = f"{topic} [{lane if lane >= 0 else BACKFILLED - lane}]"
            yield Batch(schemas[schema_id], len(values), b"".join(values), place, lane)

    def _finish(self, consumer: Consumer, left: dict[tuple[str, int], int]) -> None:
        """Forget the partitions that have been read to their ends."""
        asked = [TopicPartition(*where) for where in left]
        for place in consumer.position(asked):
            where = place.topic, place.partition
            if place.offset >= left[where]:  # a negative one: nothing was read yet
                del left[where]
                consumer.pause([TopicPartition(*where)])
