"""Who else records the same streams: those who write positions in turn with this process."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from streamer.config import KafkaConfig
from streamer.errors import SinkAway
from streamer.sinks.kafka.other_writers import (
    WRITER_HEADER,
    OtherWriters,
    alternating,
    writer_name,
)
from tests.kafka_mock import MockKafka


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("aaaa", {}),
        ("bbbb", {}),
        ("ababa", {"b": 1}),
        ("abbba", {}),  # once: late ones of a process that was frozen
        ("aabb", {}),  # one has taken over from the other
        ("babab", {}),
        ("abcabca", {"b": 1, "c": 1}),
        ("a-a-a", {}),  # of an earlier version
    ],
)
def test_another_writer_is_one_that_writes_between_ours_again_and_again(written, found):
    messages = [(b"key", "" if each == "-" else each) for each in written]
    assert alternating(messages, "a") == found


def test_streams_are_counted_and_kept_apart():
    messages = [(key, each) for each in "ababa" for key in (b"one", b"two")]
    assert alternating(messages, "a") == {"b": 2}
    assert alternating([(b"one", "a"), (b"two", "b"), (b"one", "a")] * 3, "a") == {}


def test_each_process_has_a_name_of_its_own():
    assert writer_name() != writer_name()


def test_what_lies_in_the_topic_is_looked_at_from_time_to_time():
    with MockKafka() as broker:
        config = KafkaConfig(bootstrap_servers=broker, positions_topic="who.positions")
        producer = Producer({"bootstrap.servers": broker})

        def write(writers):
            for each in writers:
                producer.produce("who.positions", b"{}", b"key", headers={WRITER_HEADER: each})
            assert producer.flush(60) == 0

        write("ababa")
        others = OtherWriters(config, "a", every_seconds=10.0)
        others.turn(0.0)
        others._thread.join()
        assert others.found == {}, "what was there before"
        write("ababa")
        others.turn(9.9)
        assert others.found == {}

        def look(now):
            others.turn(now)
            others._thread.join()
            return others.found

        assert look(10.0) == {"b": 1}
        write("aaaaa")
        assert look(20.0) == {}, "nobody since the look before"


def test_a_broker_that_is_away_changes_nothing():
    others = OtherWriters(KafkaConfig(bootstrap_servers="127.0.0.1:1"), "a")

    def away():
        raise SinkAway("away")

    others._read = away
    others.turn(0.0)
    others._thread.join()
    assert others.found == {}
