"""An independent consumer for tests: messages as they lie on the brokers, decoded by fastavro."""

from __future__ import annotations

import io
import json
import time
from collections import defaultdict
from functools import cache, partial
from typing import Any

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from tests.kafka_cluster import KafkaCluster
from tests.streaming import ROOT, eventually
from tests.waiting import WITHIN_SECONDS

SINGLE_OBJECT = b"\xc3\x01"  # Avro 1.11, single-object encoding: marker, then an 8-byte fingerprint


def consume(kafka: KafkaCluster, topic: str) -> dict[int, list[tuple[bytes, bytes]]]:
    """Return (key, value) of every message up to the end, by partition; as the super user."""
    consumer = Consumer({**kafka.administrator, "group.id": "reader"})
    found: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
    try:
        partitions = consumer.list_topics(topic, timeout=WITHIN_SECONDS).topics[topic].partitions
        ends = {
            number: eventually(partial(_end, consumer, TopicPartition(topic, number)))[0]
            for number in partitions
        }
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        deadline = time.monotonic() + WITHIN_SECONDS
        while any(len(found[number]) < end for number, end in ends.items()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: not all could be read")
            for message in consumer.consume(10_000, timeout=0.2):
                if (error := message.error()) is not None:
                    raise KafkaException(error)  # a node may just have come back
                partition, key, value = message.partition(), message.key(), message.value()
                assert partition is not None
                assert key is not None or value is not None
                found[partition].append((key or b"", value or b""))
    finally:
        consumer.close()
    return found


def _end(consumer: Consumer, partition: TopicPartition) -> tuple[int] | None:
    """Return the offset after the last message; None while a node has just come back."""
    try:
        return (consumer.get_watermark_offsets(partition, WITHIN_SECONDS)[1],)
    except KafkaException:
        return None


def every(kafka: KafkaCluster, topic: str) -> list[tuple[bytes, bytes]]:
    """Return (key, value) of every message, one partition after the other."""
    return [message for messages in consume(kafka, topic).values() for message in messages]


def records(kafka: KafkaCluster, topic: str, stream: str = "trade") -> list[dict[str, Any]]:
    """Return the records of a topic that no registry knows of."""
    return [decode(stream, value) for _, value in every(kafka, topic)]


def decode(stream: str, value: bytes) -> dict[str, Any]:
    """Return a record in Avro's single-object encoding, its fingerprint checked."""
    schema, fingerprint = _schema(stream)
    assert value[:2] == SINGLE_OBJECT
    assert value[2:10] == fingerprint
    record = fastavro.schemaless_reader(io.BytesIO(value[10:]), schema, None)
    assert isinstance(record, dict)
    return record


@cache
def _schema(stream: str) -> tuple[Any, bytes]:
    schema = json.loads((ROOT / "streamer" / "schemas" / f"{stream}.avsc").read_text())
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    fingerprint = fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")
    return fastavro.parse_schema(schema), bytes.fromhex(fingerprint)
