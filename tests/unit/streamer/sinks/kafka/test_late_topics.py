"""Topics of streams that join later: prepared together, on another thread, until it is done."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest

from streamer.errors import SinkAway
from streamer.sinks.kafka.late_topics import LateTopics, Ready
from tests.streaming import eventually


class Kafka:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.threads: set[str] = set()
        self.may_answer = threading.Semaphore(0)
        self.is_away = False

    def prepare(self, kinds: Mapping[str, str]) -> Mapping[str, bytes]:
        self.asked.append(dict(kinds))
        self.threads.add(threading.current_thread().name)
        assert self.may_answer.acquire(timeout=60)
        if self.is_away:
            raise SinkAway("no broker answers")
        return {topic: topic.encode() for topic in kinds}


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


def test_what_comes_while_a_topic_is_prepared_is_prepared_together_after_it(kafka: Kafka) -> None:
    late = LateTopics(kafka.prepare)
    assert not late.is_busy
    late.want("t.A", "trade")
    for topic in ("t.B", "t.A", "t.C", "t.B"):
        late.want(topic, "trade")
    assert late.is_busy
    assert late.take() == []
    kafka.may_answer.release()
    assert eventually(late.take) == [Ready("t.A", "trade", b"t.A")]
    assert late.is_busy
    kafka.may_answer.release()
    assert eventually(late.take) == [Ready("t.B", "trade", b"t.B"), Ready("t.C", "trade", b"t.C")]
    assert not late.is_busy
    assert kafka.asked == [{"t.A": "trade"}, {"t.B": "trade", "t.C": "trade"}]
    assert kafka.threads == {"late opening"}


def test_what_fails_is_told_and_tried_again(kafka: Kafka) -> None:
    late = LateTopics(kafka.prepare, pause_seconds=0.01)
    assert late.take_error() is None
    kafka.is_away = True
    late.want("t.A", "trade")
    kafka.may_answer.release()
    assert eventually(late.take_error) == "no broker answers"
    assert late.take() == []
    assert late.is_busy
    kafka.is_away = False
    kafka.may_answer.release()
    assert eventually(late.take) == [Ready("t.A", "trade", b"t.A")]


def test_it_ends_when_it_is_closed(kafka: Kafka) -> None:
    late = LateTopics(kafka.prepare, pause_seconds=60.0)
    late.close()
    kafka.is_away = True
    late.want("t.A", "trade")
    kafka.may_answer.release()
    eventually(late.take_error)
    late.close()
    eventually(lambda: "late opening" not in {thread.name for thread in threading.enumerate()})
    assert len(kafka.asked) == 1
