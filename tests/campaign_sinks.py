"""The two sinks of a campaign: how a streamer is told of them, and what is in them afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import fastavro

from tests.audit import kind_of
from tests.kafka_cluster import KafkaCluster
from tests.kafka_reader import records as kafka_records

Records = list[dict[str, Any]]


class CampaignSink(Protocol):
    """Where the records of one seed go."""

    kind: str

    def settings(self) -> dict[str, object]:
        """Return the settings of sink and kafka."""

    def records(self, stream: str) -> Records:
        """Return what is there now of the stream's kind, in its order, read by fastavro."""

    def audit_arguments(self) -> list[str]:
        """Return how `python -m streamer audit` is told of it."""

    def outage(self, how: str, away: Callable[[], None]) -> None:
        """Take the broker away while `away` lasts."""


class FilesSink:
    """A directory of Avro files."""

    kind = "files"

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def settings(self) -> dict[str, object]:
        return {"sink.directory": self.directory, "sink.rollover_bytes": "256KiB"}

    def records(self, stream: str) -> Records:
        found: Records = []
        bases = (self.directory, *self.directory.glob("streamer-*"))  # of several streamers
        paths = (path for one in bases for path in (one / kind_of(stream)).glob("*.avro*"))
        for path in sorted(paths, key=_number):
            try:
                with path.open("rb") as file:
                    for record in fastavro.reader(file):
                        assert isinstance(record, dict)
                        found.append(record)
            except (FileNotFoundError, EOFError, ValueError, StopIteration):
                if path.suffix != ".open":  # the last block of one in progress may be cut off
                    raise
        return found

    def audit_arguments(self) -> list[str]:
        return [str(self.directory)]

    def outage(self, how: str, away: Callable[[], None]) -> None:
        raise AssertionError("files have no broker")


def _number(path: Path) -> int:
    return int(path.name.partition(".")[0].rpartition("-")[2])


class KafkaSink:
    """Topics of one seed in a real broker."""

    kind = "kafka"

    def __init__(
        self, cluster: KafkaCluster, name: str, directory: Path, streams: tuple[str, ...]
    ) -> None:
        self._cluster = cluster
        self._directory = directory
        self._topics = {
            kind: f"{name}.{kind}" for kind in (*map(kind_of, streams), "depthSnapshot", "gap")
        }
        self._dead = f"{name}.dead"

    def settings(self) -> dict[str, object]:
        topics = ", ".join(f'{kind} = "{topic}"' for kind, topic in self._topics.items())
        return {
            "sink.kind": "kafka",
            "sink.directory": self._directory,
            "kafka.bootstrap_servers": self._cluster.bootstrap_servers,
            "kafka.topics": f"{{ {topics} }}",
            "kafka.dead_letter_topic": self._dead,
            "kafka.create_topics": "true",
            "kafka.replication_factor": 1,
            "kafka.partitions": 3,
        }

    def records(self, stream: str) -> Records:
        kind = kind_of(stream)
        return kafka_records(self._cluster, self._topics[kind], kind)

    def audit_arguments(self) -> list[str]:
        pairs = self.settings().items()
        return [part for key, value in pairs for part in ("--set", f"{key}={value}")]

    def outage(self, how: str, away: Callable[[], None]) -> None:
        (self._cluster.stop_node if how == "stop" else self._cluster.kill_node)(1)
        try:
            away()
        finally:
            self._cluster.start_node(1)
