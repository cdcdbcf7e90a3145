"""The ends of Kafka's topics."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from streamer.audit.layouts import DIRECTORIES
from streamer.audit.message_headers import MessageHeaders, topics_of_records
from streamer.config import KafkaConfig
from streamer.head.decoding import decoded, parsed
from streamer.head.last_records import LastRecords, Wanted
from streamer.sinks.kafka.client import make_consumer

ASK_SECONDS = 10.0
STALLED_SECONDS = 10.0  # without a message, though there are more
MESSAGES_OF_A_PARTITION = 2_000
"""Looked at, at the end: a tenth of a second each, and what is shown is within some seconds."""
_MESSAGES_AT_ONCE = 10_000


def read_topics(
    config: KafkaConfig, topics: dict[str, str], wanted: Wanted
) -> tuple[list[LastRecords], list[str]]:
    """Return the last records by kind, and what could not be read.

    `topics` are names by kind. Raises KafkaException when the brokers cannot be asked, LookupError
    without any topic.
    """
    problems: list[str] = []
    consumer = make_consumer(config)
    try:
        found = consumer.list_topics(timeout=ASK_SECONDS).topics
        kinds = dict(topics_of_records(found, topics))
        if not kinds:
            raise LookupError(f"there is none of the topics {', '.join(topics.values())}")
        places = [(topic, number) for topic in kinds for number in found[topic].partitions]
        messages = _ends(consumer, places, problems)
    finally:
        consumer.close()
    headers = MessageHeaders()
    last = {kind: LastRecords(kind, wanted) for kind in DIRECTORIES}
    schemas: dict[int, Any] = {}  # parsed, by the schema's id() in `headers`, which keeps them
    for message in reversed(messages):
        value, topic = message.value(), message.topic()
        if value is None or topic is None:
            continue
        kind = kinds[topic]
        where = f"{topic} [{message.partition()}] {message.offset()}"
        if (cut := headers.length(kind, value)) is None:
            problems.append(f"{where}: no record of ours")
            continue
        schema = headers.schema(kind, value)
        try:
            if id(schema) not in schemas:
                schemas[id(schema)] = parsed(schema.definition)
            last[kind].add(decoded(value[cut:], schemas[id(schema)]))
        except ValueError as error:
            problems.append(f"{where}: {error}")
    return list(last.values()), problems


def _ends(consumer: Consumer, places: list[tuple[str, int]], problems: list[str]) -> list[Message]:
    """Return the last messages of each partition, those of one in their order."""
    left: dict[tuple[str, int], int] = {}
    begin = []
    for topic, number in places:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), ASK_SECONDS)
        if low < high:
            left[topic, number] = high
            begin.append(TopicPartition(topic, number, max(low, high - MESSAGES_OF_A_PARTITION)))
    consumer.assign(begin)
    messages: list[Message] = []
    heard_at = time.monotonic()
    while left:
        for message in consumer.consume(_MESSAGES_AT_ONCE, timeout=0.5):
            heard_at = time.monotonic()
            error, place = message.error(), (message.topic() or "", message.partition() or 0)
            if error is None:
                messages.append(message)
                if (message.offset() or 0) + 1 >= left.get(place, 0):
                    left.pop(place, None)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.pop(place, None)  # the last ones are marks of transactions
            else:
                problems.append(f"{place[0]}: {error.str()}")
        if time.monotonic() - heard_at > STALLED_SECONDS:
            problems.append(f"nothing more came in {STALLED_SECONDS:g} s of {sorted(left)}")
            break
    return messages
