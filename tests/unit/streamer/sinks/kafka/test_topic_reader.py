from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streamer.sinks.kafka import topic_reader
from streamer.sinks.kafka.topic_reader import TopicReader


class Consumer:
    """One partition, whose end is told after so many errors."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def list_topics(self, topic: str, _within: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None})})

    def get_watermark_offsets(self, _partition: object, _within: float) -> tuple[int, int]:
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return 3, 9


def ends(consumer: Consumer, within_seconds: float) -> dict[int, tuple[int, int]]:
    reader = TopicReader(consumer, time.monotonic() + within_seconds)  # type: ignore[arg-type]
    return reader.ends("t")


def test_a_leader_that_does_not_know_of_it_yet_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topic_reader, "_AGAIN_SECONDS", 0.0)
    early = KafkaError.NOT_LEADER_FOR_PARTITION
    assert ends(Consumer(early, early), 60.0) == {0: (3, 9)}
    with pytest.raises(KafkaException):
        ends(Consumer(early), -1.0)
    with pytest.raises(KafkaException):
        ends(Consumer(KafkaError.TOPIC_AUTHORIZATION_FAILED), 60.0)
