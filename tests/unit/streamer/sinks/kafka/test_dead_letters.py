import json
import time

from confluent_kafka import Consumer, TopicPartition

from streamer.config import KafkaConfig
from streamer.sinks.kafka import dead_letters
from streamer.sinks.kafka.dead_letters import DeadLetterTopic
from tests.kafka_mock import MockKafka

PATIENCE_SECONDS = 60.0


def test_letters_arrive():
    with MockKafka("dead") as brokers:
        topic = DeadLetterTopic(KafkaConfig(bootstrap_servers=brokers, dead_letter_topic="dead"))
        assert topic.post(b'{"n":1}')
        topic.close()
        assert topic.returned() == []

        consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test"})
        consumer.assign([TopicPartition("dead", number, 0) for number in range(4)])
        message = consumer.poll(PATIENCE_SECONDS)
        assert message is not None
        assert json.loads(message.value()) == {"n": 1}
        consumer.close()


def test_letters_come_back_when_no_broker_takes_them(monkeypatch):
    monkeypatch.setattr(dead_letters, "GIVE_UP_MS", 100)
    topic = DeadLetterTopic(KafkaConfig(bootstrap_servers="127.0.0.1:1"))
    assert topic.post(b"first")
    back: list[bytes] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not back and time.monotonic() < deadline:
        back = topic.returned()
        time.sleep(0.02)

    assert back == [b"first"]
    assert topic.returned() == []


def test_letters_under_way_come_back_at_the_end(monkeypatch):
    monkeypatch.setattr(dead_letters, "CLOSE_SECONDS", 0.1)
    topic = DeadLetterTopic(KafkaConfig(bootstrap_servers="127.0.0.1:1"))
    topic.post(b"first")
    topic.close()

    assert topic.returned() == [b"first"]


def test_a_flood_is_refused_and_not_waited_for():
    topic = DeadLetterTopic(KafkaConfig(bootstrap_servers="127.0.0.1:1"))
    taken = [topic.post(b"x" * 10_000) for _ in range(200)]  # the queue holds 1 MiB

    assert taken[0]
    assert not taken[-1]
