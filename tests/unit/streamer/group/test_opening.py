"""The topic of shards: found, created, or an error that tells what to do. Kafka is played."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from streamer.config import GroupConfig, KafkaConfig, StreamerConfig
from streamer.errors import SettingsError, SinkAway, SinkUnavailable
from streamer.feed_counters import FeedCounters
from streamer.group import opening
from streamer.group.opening import open_shard_streams, prepare_topic

GROUP = GroupConfig(enabled=True, topic="shards", shards=3)
AWAY = KafkaException(KafkaError(KafkaError._TRANSPORT))


class Administrator:
    """Answers with numbers of partitions, None for no topic, or an error; the last one again."""

    def __init__(self, *answers):
        self.answers, self.created, self.refuses, self.now = list(answers), [], None, 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def list_topics(self, timeout):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            self.now += timeout
            raise answer
        topic = SimpleNamespace(partitions=dict.fromkeys(range(answer or 0)), error=None)
        return SimpleNamespace(topics={} if answer is None else {"shards": topic})

    def create_topics(self, topics):
        self.created += topics

        def result(_timeout):
            if self.refuses is not None:
                raise KafkaException(KafkaError(self.refuses))

        return {topic.topic: SimpleNamespace(result=result) for topic in topics}


@pytest.fixture
def kafka(monkeypatch):
    def play(*answers):
        administrator = Administrator(*answers)
        monkeypatch.setattr(opening, "make_administrator", lambda _: administrator)
        monkeypatch.setattr(opening, "time", administrator)
        return administrator

    return play


def config(**more):
    return KafkaConfig(**{"create_topics": True, "replication_factor": 1, **more})


def test_a_topic_that_is_there_stays_as_it_is(kafka):
    administrator = kafka(3)
    prepare_topic(GROUP, config())
    assert administrator.created == []


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_topic_is_created_once_with_a_partition_for_each_shard(kafka, replicas):
    administrator = kafka(None, None, 3)
    prepare_topic(GROUP, config(replication_factor=replicas))
    (topic,) = administrator.created
    assert (topic.num_partitions, topic.replication_factor) == (3, replicas)
    safe = {"min.insync.replicas": "2"} if replicas == 3 else {}
    assert topic.config == {"cleanup.policy": "compact", **safe}


def test_another_member_may_create_it_first(kafka):
    kafka(None, 3).refuses = KafkaError.TOPIC_ALREADY_EXISTS
    prepare_topic(GROUP, config())


def test_who_may_not_create_it_is_told_so(kafka):
    kafka(None, 3).refuses = KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(SinkUnavailable, match="shards cannot be created"):
        prepare_topic(GROUP, config())


def test_a_topic_that_nobody_creates_is_described(kafka):
    kafka(None)
    with pytest.raises(SinkUnavailable, match=r"create it with 3 partitions \(group\.shards\)"):
        prepare_topic(GROUP, config(create_topics=False))


def test_another_number_of_partitions_is_a_wrong_setting(kafka):
    kafka(5)
    with pytest.raises(
        SettingsError, match=r"group\.shards = 3: the topic shards has 5 partitions"
    ):
        prepare_topic(GROUP, config())


def test_brokers_that_are_away_are_waited_for(kafka):
    """A start during an outage would else spend a supervisor's restarts within seconds."""
    kafka(AWAY, AWAY, 3)
    prepare_topic(GROUP, config(start_within=30.0))


def test_brokers_that_stay_away_end_the_start(kafka):
    administrator = kafka(AWAY)
    with pytest.raises(SinkAway, match=r"shards \(group\.topic\) was asked for 30 s"):
        prepare_topic(GROUP, config(start_within=30.0))
    assert 30.0 <= administrator.now < 40.0


def test_a_topic_that_does_not_appear_ends_the_start(kafka):
    administrator = kafka(None)
    with pytest.raises(SinkAway, match="was created and did not appear"):
        prepare_topic(GROUP, config(start_within=2.0))
    assert len(administrator.created) == 1


@pytest.mark.parametrize(("member", "name"), [("m1", "m1.streamer-2"), (None, "host.streamer-2")])
def test_a_member_has_the_name_of_its_machine_and_its_streamer(kafka, monkeypatch, member, name):
    kafka(3)
    made = []

    class Membership:
        def __init__(self, group, kafka, member, wake):
            self.member = member
            made.append(self)

        def start(self):
            raise AssertionError("who is told to stop while it starts has joined no group")

    monkeypatch.setattr(opening, "Membership", Membership)
    monkeypatch.setattr(opening.socket, "gethostname", lambda: "host")
    group = GroupConfig(enabled=True, topic="shards", shards=3, member=member, handover_within=7.0)
    streamer = StreamerConfig(kafka=config(), group=group, name="streamer-2")
    for _ in range(2):
        sink = SimpleNamespace(has_waiting=False)
        open_shard_streams(streamer, (), None, None, None, sink, FeedCounters(), lambda: None)
    first, second = made
    assert (first.member.name, first.member.handover_seconds) == (name, 7.0)
    assert first.member.process.startswith(f"{name}-")
    assert first.member.process != second.member.process, "each start is another one"
