"""What is heard of the group, confirmed by it and told to others. Kafka's clients are played.

The thread's turns are made by the tests, but for those of its end.
"""

from __future__ import annotations

import threading

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from streamer.config import GroupConfig, KafkaConfig
from streamer.errors import MemberRefused
from streamer.group import membership as membership_module
from streamer.group.membership import (
    CONFIRM_AGAIN_SECONDS,
    FENCED_AGAIN_SECONDS,
    READ_SECONDS,
    WRITTEN_SECONDS,
    Membership,
)
from streamer.group.notices import VERSION, ShardNotice, decode, encode
from streamer.group.ownership import Assigned, Lost, Member, Revoked, Told
from streamer.order.positions import Position
from tests.waiting import eventually

TOPIC = "shards"
GROUP = GroupConfig(enabled=True, id="g", topic=TOPIC, shards=3)
MEMBER = Member("a", "a-1", 10.0)


class Message:
    def __init__(self, value=b"", partition=0, error=None):
        self.value, self.partition, self.error = (lambda: value), (lambda: partition), lambda: error
        self.topic = lambda: TOPIC


class Consumer:
    """Of the group: it hears what the test has put into `heard`. Of notices: it reads `notices`."""

    def __init__(self, settings):
        self.settings, self.heard, self.commits = settings, [], []
        self.notices, self.ends, self.at, self.calls = [], {}, {}, []

    def __getattr__(self, name):
        return lambda *_, **__: self.calls.append(name)

    def poll(self, _seconds):
        self.calls.append("poll")
        found = self.heard.pop(0) if self.heard else None
        if isinstance(found, Exception):
            raise found
        return found

    def commit(self, offsets, asynchronous):
        assert asynchronous
        self.commits.append(offsets)

    def consume(self, _count, _seconds):
        found, self.notices = self.notices, []
        for each in found:
            self.at[each.partition()] = self.at.get(each.partition(), 0) + 1
        return found

    def get_watermark_offsets(self, at, seconds):
        assert seconds <= READ_SECONDS
        if at.partition not in self.ends:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return 0, self.ends[at.partition]

    def position(self, partitions):
        return [
            TopicPartition(TOPIC, one.partition, self.at.get(one.partition, OFFSET_INVALID))
            for one in partitions
        ]


class Producer:
    def __init__(self, settings):
        self.settings, self.told, self.flushed, self.raises = settings, [], [], None
        self.undelivered, self.keys = 0, []

    def produce(self, topic, value, key, partition):
        if self.raises is not None:
            raise self.raises
        assert topic == TOPIC
        self.keys.append(key)
        self.told.append(decode(value))
        assert self.told[-1].shard == partition

    def poll(self, _seconds):
        pass

    def flush(self, seconds):
        self.flushed.append(seconds)
        return self.undelivered

    def expires(self, notice):
        """Tell that a notice could not be delivered in time."""
        error = KafkaError(KafkaError._MSG_TIMED_OUT)
        self.settings["on_delivery"](error, Message(encode(notice), notice.shard))


class Stage:
    def __init__(self):
        self.now, self.consumers, self.woken = 1000.0, [], threading.Event()

    def monotonic(self):
        self.now += 1e-3
        return self.now

    def make_consumer(self, _config, **settings):
        self.consumers.append(Consumer(settings))
        return self.consumers[-1]

    def make_producer(self, _config, **settings):
        self.producer = Producer(settings)
        return self.producer

    def open(self):
        self.membership = Membership(GROUP, KafkaConfig(), MEMBER, self.woken.set)
        self.observer, self.consumer = self.consumers

    @property
    def kinds(self):
        return [(notice.shard, notice.kind) for notice in self.producer.told]

    def turn(self, *heard):
        self.consumer.heard += heard
        self.membership.take()
        self.membership._turn()

    def assign(self, *shards):
        self.membership._on_assign(self.consumer, parts(*shards))
        return self.membership.take()

    def own(self, *shards):
        self.observer.ends.update(dict.fromkeys(shards, 0))  # there are no notices
        self.assign(*shards)
        for shard in shards:
            self.membership.tell(shard, "owned")
        self.turn()
        self.producer.told.clear()

    def answer(self, number, error=None):
        """Answer a commit, the first one being 0."""
        self.membership._committed(error, self.consumer.commits[number])


@pytest.fixture
def stage(monkeypatch):
    stage = Stage()
    monkeypatch.setattr(membership_module, "make_consumer", stage.make_consumer)
    monkeypatch.setattr(membership_module, "make_small_producer", stage.make_producer)
    monkeypatch.setattr(membership_module, "time", stage)
    stage.open()
    return stage


def parts(*shards):
    return [TopicPartition(TOPIC, one) for one in shards]


def notice(kind, shard=0, process="b-1", positions=None):
    return ShardNotice(VERSION, kind, shard, process[0], process, positions)


def refused(code):
    return Message(error=KafkaError(code))


def fenced():
    return Message(
        error=KafkaError(KafkaError._FATAL, "Broker: Static consumer fenced by other", fatal=True)
    )


def test_a_member_is_static_and_no_member_while_its_feed_hangs(stage):
    settings = stage.consumer.settings
    assert settings["group.instance.id"] == "a"
    assert settings["session.timeout.ms"] == 6000
    assert settings["max.poll.interval.ms"] == 12000
    assert settings["heartbeat.interval.ms"] == 500
    stage.turn()
    assert stage.consumer.calls.count("poll") == 1
    stage.now += GROUP.session_timeout
    stage.membership._turn()
    assert stage.consumer.calls.count("poll") == 1, "who polls is taken for alive"
    stage.turn()
    assert stage.consumer.calls.count("poll") == 2


def test_what_is_assigned_comes_with_the_latest_notice_of_whomever(stage):
    left = notice("left", 1, positions={"btcusdt@trade": Position(7, 8)})
    told = [notice("owned", 1), left]
    stage.observer.ends = {0: 0, 1: 2}
    stage.observer.notices = [Message(encode(one), one.shard) for one in told]
    assert stage.assign(0, 1) == [*map(Told, told), Assigned(0, None), Assigned(1, left)]
    assert stage.membership.joined
    assert stage.membership.last == (left,)
    assert {"incremental_assign", "pause"} <= set(stage.consumer.calls)
    assert stage.woken.is_set()


def test_who_waits_for_an_owner_is_known_until_it_owns_or_withdraws(stage):
    def tell(*kinds):
        stage.observer.notices = [Message(encode(notice(one, 1)), 1) for one in kinds]
        stage.turn()

    tell("owned", "hearing")
    assert stage.membership.last == (notice("owned", 1),)
    assert stage.membership.hearing == (notice("hearing", 1),)
    stage.observer.notices = [Message(encode(notice("left", 1, "c-1")), 1)]
    stage.turn()
    assert stage.membership.hearing == (notice("hearing", 1),), "it waits for the owner"
    tell("withdrawn")
    assert stage.membership.hearing == ()
    tell("hearing", "owned")
    assert stage.membership.hearing == ()


def test_an_offer_counts_only_of_who_was_the_last_owner(stage):
    def tell(*told):
        stage.observer.notices = [Message(encode(one), one.shard) for one in told]
        stage.turn()
        return stage.membership.last

    owned, offered = notice("owned", 1), notice("offered", 1)
    late, of_another = notice("offered", 1, "c-1"), notice("owned", 1, "c-1")
    assert tell(late) == ()
    assert tell(owned, late) == (owned,)
    assert tell(offered) == (offered,)
    assert tell(of_another, offered) == (of_another,)


def test_an_offer_and_who_waits_for_it_are_told_with_its_number(stage):
    stage.membership.tell(1, "offered", offer=7.5)
    stage.membership.tell(1, "hearing", offer=7.5)
    stage.turn()
    assert [told.offer for told in stage.producer.told] == [7.5, 7.5]
    assert stage.producer.keys == ["1.offer", "1.successor"]


def test_notices_that_cannot_be_read_are_not_taken_for_none(stage):
    stage.own(0)
    stage.observer.notices = [Message(encode(notice("owned", 0, "a-1")), 0)]
    stage.turn()
    stage.membership.take()
    stage.observer.ends = {1: 5}  # nothing is told of 0, and 1 has more than comes
    assert stage.assign(0, 1) == [
        Assigned(0, None, is_known=False),
        Assigned(1, None, is_known=False),
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message(b"no notice", 0),
        Message(encode(notice("owned", 2)), 0),
        Message(encode(notice("owned")), 0, KafkaError(KafkaError._PARTITION_EOF)),
    ],
)
def test_what_is_no_notice_of_its_partition_is_passed_over(stage, message):
    stage.observer.notices = [message]
    stage.turn()
    assert stage.membership.take() == []
    assert stage.membership.last == ()


def test_a_membership_is_confirmed_by_the_answer_to_a_commit(stage):
    stage.own(0, 2)
    number = stage.membership.confirm()
    assert not stage.membership.is_confirmed(number)
    stage.turn()
    assert [(one.partition, one.offset) for one in stage.consumer.commits[0]] == [(0, 1), (2, 1)]
    stage.turn()
    assert len(stage.consumer.commits) == 1, "it is waited for"
    stage.answer(0, KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
    assert not stage.membership.is_confirmed(number)
    stage.now += CONFIRM_AGAIN_SECONDS
    stage.turn()
    assert len(stage.consumer.commits) == 2
    stage.answer(0)
    assert stage.membership.is_confirmed(number), "asked for after the question as well"
    stage.now += CONFIRM_AGAIN_SECONDS
    stage.turn()
    assert len(stage.consumer.commits) == 2


def test_an_answer_from_before_a_second_pause_confirms_nothing(stage):
    stage.own(0)
    stage.membership.confirm()
    stage.turn()
    number = stage.membership.confirm()  # it was stopped again, and the answer has come meanwhile
    stage.turn()
    stage.answer(0)
    assert not stage.membership.is_confirmed(number)
    stage.answer(1)
    assert stage.membership.is_confirmed(number)


def test_a_partition_that_is_refused_confirms_nothing(stage):
    stage.own(0)
    number = stage.membership.confirm()
    stage.turn()
    (one,) = stage.consumer.commits[0]

    class Refused:
        offset, error = one.offset, KafkaError(KafkaError.ILLEGAL_GENERATION)

    stage.membership._committed(None, [Refused()])
    assert not stage.membership.is_confirmed(number)


def test_who_has_nothing_needs_no_confirmation(stage):
    number = stage.membership.confirm()
    stage.turn()
    assert stage.membership.is_confirmed(number)
    assert stage.consumer.commits == []


def test_a_commit_that_cannot_be_sent_is_tried_again(stage, monkeypatch):
    stage.own(0)

    def refuse(**_):
        raise KafkaException(KafkaError(KafkaError._STATE))

    with monkeypatch.context() as patched:
        patched.setattr(stage.consumer, "commit", refuse, raising=False)
        stage.membership.confirm()
        stage.turn()
    stage.now += CONFIRM_AGAIN_SECONDS
    stage.turn()
    assert len(stage.consumer.commits) == 1


def test_what_is_revoked_is_told_before_others_are_assigned_it(stage):
    stage.own(0)
    stage.observer.ends[1] = 0
    stage.assign(1)
    stage.membership._on_revoke(stage.consumer, parts(0, 1))
    assert stage.kinds == [(0, "leaving"), (1, "withdrawn")]
    assert stage.producer.keys[-2:] == ["0", "1.successor"], "each outlives the other's compaction"
    assert stage.producer.flushed == [WRITTEN_SECONDS]
    assert stage.membership.take() == [Revoked(0), Revoked(1, is_withdrawn=True)]


def test_what_is_owned_since_a_moment_ago_is_told_before_it_is_revoked(stage):
    stage.observer.ends[0] = 0
    stage.assign(0)
    stage.membership.tell(0, "owned")
    stage.membership._on_revoke(stage.consumer, parts(0))
    assert stage.kinds == [(0, "owned"), (0, "leaving")]
    assert stage.membership.take() == [Revoked(0)]


def test_what_is_opened_after_it_was_revoked_is_not_told_to_be_owned(stage):
    """The next member may own it by then, and would take it for lost."""
    stage.observer.ends[0] = 0
    stage.assign(0)
    stage.membership._on_revoke(stage.consumer, parts(0))
    stage.membership.tell(0, "owned")
    stage.turn()
    assert stage.kinds == [(0, "withdrawn")]


def test_a_process_that_stood_still_owns_nothing_before_the_group_confirms(stage):
    stage.observer.ends[0] = 0
    stage.assign(0)
    stage.membership.tell(0, "owned")
    stage.now += WRITTEN_SECONDS
    stage.turn()
    assert stage.kinds == []
    stage.answer(0)
    assert stage.kinds == [(0, "owned")]


def test_of_what_is_revoked_and_could_not_be_told_it_is_not_known_whose_it_is(stage):
    stage.own(0)
    stage.producer.undelivered = 1
    stage.membership._on_revoke(stage.consumer, parts(0))
    assert stage.membership.take() == [Lost(0)], "who gets it goes on at once"


def test_who_leaves_the_group_and_cannot_tell_it_ends_all_the_same(stage):
    stage.own(0)
    stage.membership.leave()
    stage.turn()
    stage.producer.undelivered = 1
    stage.membership._on_revoke(stage.consumer, parts(0))
    assert stage.membership.take() == [Revoked(0)]


def test_what_is_lost_is_not_told_to_anybody(stage):
    stage.own(0)
    stage.membership._on_lost(stage.consumer, parts(0))
    assert stage.kinds == []
    assert stage.membership.take() == [Lost(0)]
    number = stage.membership.confirm()
    stage.turn()
    assert stage.membership.is_confirmed(number)


def test_who_closes_without_leaving_has_its_shards_still(stage):
    stage.own(0, 1)
    stage.membership._is_closing.set()
    stage.membership._on_revoke(stage.consumer, parts(0))
    stage.membership._on_lost(stage.consumer, parts(1))
    assert stage.membership.take() == []
    assert stage.kinds == []


def test_who_leaves_unsubscribes(stage):
    stage.own(0)
    stage.membership.leave()
    assert not stage.membership.is_out
    stage.turn()
    assert "unsubscribe" in stage.consumer.calls
    assert not stage.membership.is_out, "a shard is assigned to it still"
    stage.membership._on_revoke(stage.consumer, parts(0))
    assert stage.membership.is_out


def test_who_leaves_before_anything_was_assigned_is_out_when_that_is_done(stage):
    stage.membership.leave()
    assert not stage.membership.is_out
    stage.turn()
    assert stage.membership.is_out


def test_a_notice_that_is_late_is_not_sent_any_more(stage):
    """After a cut it would take a shard from whoever has it by then."""
    assert stage.producer.settings["message.timeout.ms"] == WRITTEN_SECONDS * 1000


def test_a_shard_whose_notice_came_to_nothing_is_told_of_once_the_group_confirms(stage):
    stage.own(0)
    stage.producer.expires(notice("owned", 0, "a-1"))
    stage.turn()
    assert stage.kinds == []
    stage.answer(0, KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
    assert stage.kinds == []
    stage.now += CONFIRM_AGAIN_SECONDS
    stage.turn()
    stage.answer(1)
    assert stage.kinds == [(0, "owned")]
    stage.now += CONFIRM_AGAIN_SECONDS
    stage.turn()
    assert len(stage.consumer.commits) == 2


def test_who_is_fenced_as_it_leaves_does_not_join_again(stage):
    stage.own(0)
    stage.membership.leave()
    stage.turn(fenced())
    assert "subscribe" not in stage.consumers[-1].calls
    assert stage.membership.is_out


@pytest.mark.parametrize("way", ["_on_revoke", "_on_lost", "_join_anew"])
def test_a_shard_that_went_and_came_back_is_not_told_to_be_owned_before_it_is(stage, way):
    stage.own(0)
    stage.producer.expires(notice("owned", 0, "a-1"))
    if way == "_join_anew":
        stage.membership._join_anew()
        stage.consumer = stage.consumers[-1]
    else:
        getattr(stage.membership, way)(stage.consumer, parts(0))
    stage.assign(0)
    stage.producer.told.clear()
    stage.membership.confirm()
    stage.turn()
    stage.answer(0)
    assert stage.kinds == []


def test_an_answer_from_before_a_notice_came_to_nothing_does_not_have_it_told(stage):
    stage.own(0)
    stage.membership.confirm()
    stage.turn()
    stage.producer.expires(notice("owned", 0, "a-1"))
    stage.turn()
    stage.answer(0)
    assert stage.kinds == []
    stage.answer(1)
    assert stage.kinds == [(0, "owned")]


@pytest.mark.parametrize("lost", [True, False])
def test_other_notices_that_came_to_nothing_are_not_told_again(stage, lost):
    stage.own(0)
    if lost:
        stage.membership._on_lost(stage.consumer, parts(0))
        stage.producer.expires(notice("owned", 0, "a-1"))
    else:
        stage.producer.expires(notice("hearing", 0, "a-1"))
    stage.turn()
    assert (stage.kinds, stage.consumer.commits) == ([], [])


def test_a_notice_that_is_not_taken_is_told_of(stage, caplog):
    stage.producer.raises = BufferError("full")
    stage.membership.tell(0, "hearing")
    stage.turn()
    assert "the notice of shard 0 cannot be given: full" in caplog.text


def test_what_was_told_has_positions_and_the_members_name(stage):
    positions = {"btcusdt@trade": Position(7, 8, 9)}
    stage.membership.tell(2, "left", positions)
    stage.turn()
    assert stage.producer.told == [notice("left", 2, "a-1", positions)]


def test_who_is_fenced_once_joins_anew_and_knows_nothing_of_its_shards(stage):
    stage.own(0)
    before = stage.consumer
    stage.turn(fenced())
    assert stage.membership.take() == [Lost(0)]
    assert stage.membership.failed is None
    assert "close" in before.calls
    stage.consumer = stage.consumers[-1]
    assert "subscribe" in stage.consumer.calls
    stage.membership._on_revoke(before, parts(0))
    stage.membership._on_lost(before, parts(0))
    assert (stage.membership.take(), stage.kinds) == ([], [])


@pytest.mark.parametrize(("seconds", "is_refused"), [(0, True), (FENCED_AGAIN_SECONDS, False)])
def test_who_is_fenced_again_soon_has_the_name_of_another_one(stage, seconds, is_refused):
    stage.turn(fenced())
    stage.consumer = stage.consumers[-1]
    stage.now += seconds
    stage.turn(fenced())
    assert isinstance(stage.membership.failed, MemberRefused) is is_refused
    assert not is_refused or "group.member = a of the group g" in str(stage.membership.failed)


def test_a_group_that_may_not_be_joined_ends_a_start(stage):
    stage.turn(refused(KafkaError._PARTITION_EOF), refused(KafkaError._ALL_BROKERS_DOWN))
    stage.turn()
    assert stage.membership.failed is None
    stage.turn(refused(KafkaError.GROUP_AUTHORIZATION_FAILED))
    assert isinstance(stage.membership.failed, MemberRefused)
    assert "the group g cannot be joined" in str(stage.membership.failed)


def test_who_was_a_member_waits_until_it_may_be_one_again(stage, caplog):
    """An exit for wrong settings would have the supervisor give up, and quotes be lost."""
    stage.own(0)
    for _ in range(3):
        stage.turn(refused(KafkaError.GROUP_AUTHORIZATION_FAILED))
    assert stage.membership.failed is None
    assert caplog.text.count("the group g cannot be joined") == 1


def test_a_fault_of_the_thread_is_none_of_the_settings(stage):
    """A supervisor launches the streamer again."""
    stage.consumer.heard = [ValueError("unforeseen")]
    stage.membership.leave()
    stage.membership.start()
    eventually(stage.woken.is_set, what="the end")
    stage.membership.close()
    error = stage.membership.failed
    assert error is not None
    assert error.exit_code == 1
    assert "unforeseen" in str(error)
    for consumer in stage.consumers:
        assert consumer.calls[-1] == "close"


def test_a_thread_that_is_closed_gives_its_notices(stage):
    stage.observer.ends[1] = 0
    stage.assign(1)
    stage.membership.start()
    stage.membership.tell(1, "owned")
    stage.membership.close()
    assert stage.kinds == [(1, "owned")]
    assert stage.membership.failed is None
