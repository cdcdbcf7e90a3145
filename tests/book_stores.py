"""Where a test of books keeps its records: in files, or in the topics of a real Kafka."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from tests.audit import kind_of, read_files
from tests.kafka_cluster import KafkaCluster
from tests.kafka_mock import EVERY_TOPIC, GAP_TOPIC, SNAPSHOT_TOPIC
from tests.kafka_reader import decode, records

Record = dict[str, Any]
_TOPICS = {**EVERY_TOPIC, "depthSnapshot": SNAPSHOT_TOPIC, "gap": GAP_TOPIC}


class Store(Protocol):
    """What a sink holds, by an independent reader."""

    settings: dict[str, Any]
    """Of the streamer."""
    arguments: list[str]
    """Of `audit` and `book`, to read it."""
    look_every: float
    """Seconds between two looks: what one costs."""

    def so_far(self, stream: str) -> list[Record]:
        """Return what is there while the streamer writes; maybe not the latest of it."""

    def records(self, stream: str) -> list[Record]:
        """Return all that is there."""


class Files:
    """A directory."""

    look_every = 0.1

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.settings: dict[str, Any] = {"sink.directory": directory}
        self.arguments = [str(directory)]

    def so_far(self, stream: str) -> list[Record]:
        return self.records(stream)

    def records(self, stream: str) -> list[Record]:
        return read_files(self._directory, stream, "*.avro*")


class Topics:
    """The topics of a cluster that nobody else uses; `directory` is for the streamer's state."""

    look_every = 0.5

    def __init__(self, kafka: KafkaCluster, directory: Path) -> None:
        self._kafka = kafka
        self.settings: dict[str, Any] = {
            "sink.kind": "kafka",
            "sink.directory": directory,
            "kafka.bootstrap_servers": kafka.bootstrap_servers,
            "kafka.create_topics": "true",
            "kafka.replication_factor": 1,
            "kafka.partitions": 3,
        }
        servers = f"kafka.bootstrap_servers={kafka.bootstrap_servers}"
        self.arguments = ["--kafka", "--set", servers]
        self._ends = itertools.cycle((kafka.kill_node, kafka.stop_node))
        self._consumers: dict[str, Consumer] = {}
        self._seen: dict[str, list[Record]] = {}

    def so_far(self, stream: str) -> list[Record]:
        """Read on from the last look; raises what librdkafka does while the topic is not there."""
        topic = _TOPICS[stream]
        seen = self._seen.setdefault(stream, [])
        if stream not in self._consumers:
            consumer = Consumer({**self._kafka.administrator, "group.id": "looks", "log_level": 0})
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            if not partitions:
                consumer.close()
                return []
            consumer.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in partitions])
            self._consumers[stream] = consumer
        messages = self._consumers[stream].consume(100_000, timeout=0.3)  # all that comes in time
        seen += (
            decode(kind_of(stream), message.value() or b"")
            for message in messages
            if message.error() is None  # or the broker is away
        )
        return seen

    def records(self, stream: str) -> list[Record]:
        return records(self._kafka, _TOPICS[stream], kind_of(stream))

    @contextmanager
    def away(self) -> Iterator[None]:
        """Kill the broker, by turns at once and in good order, and bring it back."""
        (node,) = (each["node_id"] for each in self._kafka.nodes)
        next(self._ends)(node)
        try:
            yield
        finally:
            self._kafka.start_node(node)
