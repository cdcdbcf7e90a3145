"""A member of the consumer group whose partitions are the shards: the thread that speaks to Kafka.

Nothing is consumed for its content by the group's own consumer: it is there for the assignment. A
second one, outside the group, reads the notices of all shards.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from streamer.config import GroupConfig, KafkaConfig
from streamer.errors import MemberRefused, StreamerError
from streamer.group.notices import VERSION, Kind, ShardNotice, decode, encode, key_of
from streamer.group.ownership import Assigned, Lost, Member, Revoked, Told
from streamer.order.positions import Position
from streamer.sinks.kafka.client import make_consumer, make_small_producer

POLL_SECONDS = 0.05  # a look at wishes; the consumers' own threads speak to the brokers
READ_SECONDS = 5.0  # for the notices of shards that are assigned: some milliseconds
WRITTEN_SECONDS = 2.0  # for a notice: one that came late would tell of what is over
CONFIRM_AGAIN_SECONDS = 0.5  # a group that is being rebalanced settles in about a second
POLLS_PER_SESSION = 2  # without a turn of the feed for so many sessions, the member leaves
HEARTBEATS_PER_SESSION = 12  # each tells of a rebalance: 0.5 s of six
FENCED_AGAIN_SECONDS = 60.0  # two with one name fence each other within seconds

_log = logging.getLogger(__name__)

GroupEvent: TypeAlias = Assigned | Revoked | Lost | Told


class Membership:
    """Hears of the assignment and of notices, and gives notice. The feed's thread calls all of it.

    `wake` is called when there is something to `take`.
    """

    def __init__(
        self, group: GroupConfig, kafka: KafkaConfig, member: Member, wake: Callable[[], None]
    ) -> None:
        self.failed: StreamerError | None = None
        """Why this process can be no member any more, such as that another one has its id."""
        self.joined = False
        """Whether the group has assigned something to it, or nothing, since the start."""
        self.member = member
        self._group = group
        self._kafka = kafka
        self._wake = wake
        self._last: dict[int, ShardNotice] = {}  # of owners
        self._hearing: dict[int, ShardNotice] = {}  # of who waits for them
        self._owned: set[int] = set()  # told to be so by this process
        self._events: deque[GroupEvent] = deque()
        self._wishes: deque[Callable[[], None]] = deque()
        self._notices: deque[tuple[float, ShardNotice]] = deque()  # to be given, and since when
        self._turned_at = time.monotonic()
        self._confirmed = 0
        self._wanted = 0
        self._asked: int | None = None  # which confirmation was asked for
        self._commits = self._first_commit = 0  # its number, and the first one that answers
        self._untold: set[int] = set()  # whose notice `owned` could not be delivered
        self._refusal = ""  # that was told of last
        self._ask_at = 0.0  # again, when there was no answer, or a refusal
        self._fenced_at = float("-inf")
        self._is_closing = threading.Event()
        self._assigned: set[int] = set()
        self._has_unsubscribed = False
        self._producer: Producer = make_small_producer(
            kafka,
            **{
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 0,
                "message.timeout.ms": round(WRITTEN_SECONDS * 1000),
                "on_delivery": self._told,
            },
        )
        self._observer: Consumer = make_consumer(kafka, **{"enable.auto.offset.store": False})
        self._consumer: Consumer = make_consumer(kafka, **self._settings())
        self._thread = threading.Thread(target=self._run, name="group", daemon=True)

    def start(self) -> None:
        """Join the group."""
        self._thread.start()

    def take(self) -> list[GroupEvent]:
        """Return what has happened since the last call. To be called with each turn of the feed."""
        self._turned_at = time.monotonic()
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    @property
    def last(self) -> tuple[ShardNotice, ...]:
        """The latest notice of an owner of each shard."""
        return tuple(self._last.copy().values())

    @property
    def hearing(self) -> tuple[ShardNotice, ...]:
        """The notices of those who wait for the owner of a shard."""
        return tuple(self._hearing.copy().values())

    @property
    def assigned(self) -> frozenset[int]:
        """The shards that the group gives to this member; some may not have been taken yet."""
        return frozenset(self._assigned.copy())

    def tell(
        self,
        shard: int,
        kind: Kind,
        positions: dict[str, Position] | None = None,
        offer: float | None = None,
    ) -> None:
        """Give notice, soon."""
        notice = self._notice(shard, kind, positions, offer)
        self._notices.append((time.monotonic(), notice))

    def confirm(self) -> int:
        """Have the coordinator confirm that this is a member; return the number of the question."""
        self._wanted += 1
        return self._wanted

    def is_confirmed(self, number: int) -> bool:
        """Return whether a confirmation was given that had been asked for not before this one."""
        return self._confirmed >= number

    def leave(self) -> None:
        """Leave the group, so that others get the shards; they are revoked at once."""
        self._wishes.append(self._unsubscribe)

    @property
    def is_out(self) -> bool:
        """Whether it has left the group, and nothing is assigned to it."""
        return self._has_unsubscribed and not self._assigned

    def close(self) -> None:
        """End. Who has not left has its shards again when it is back within the session's time."""
        self._is_closing.set()
        if self._thread.is_alive():
            self._thread.join(WRITTEN_SECONDS * 2)

    def _settings(self) -> dict[str, Any]:
        session_ms = round(self._group.session_timeout * 1000)
        return {
            "group.id": self._group.id,
            "group.instance.id": self.member.name,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": max(session_ms // HEARTBEATS_PER_SESSION, 100),
            # A feed that hangs does not poll, and is no member any more.
            "max.poll.interval.ms": session_ms * POLLS_PER_SESSION,
            "auto.offset.reset": "latest",
            "on_commit": self._committed,
        }

    def _notice(
        self,
        shard: int,
        kind: Kind,
        positions: dict[str, Position] | None = None,
        offer: float | None = None,
    ) -> ShardNotice:
        member = self.member
        return ShardNotice(VERSION, kind, shard, member.name, member.process, positions, offer)

    # What follows happens on the thread.

    def _run(self) -> None:
        topic = self._group.topic
        try:
            self._observer.assign(
                [TopicPartition(topic, one, OFFSET_BEGINNING) for one in range(self._group.shards)]
            )
            self._join()
            while not self._is_closing.is_set() and self.failed is None:
                self._turn()
        except Exception as error:  # noqa: BLE001 - the feed ends then, and tells why
            _log.exception("the group's thread has ended")
            self.failed = StreamerError(f"the group's thread has ended: {error!r}")
        finally:
            self._wake()
            with suppress(KafkaException, RuntimeError):  # such as of a consumer that is fenced
                self._give_notices()
                while self._wishes:
                    self._wishes.popleft()()
            self._producer.flush(WRITTEN_SECONDS)
            self._consumer.close()
            self._observer.close()

    def _join(self) -> None:
        self._consumer.subscribe(
            [self._group.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def _unsubscribe(self) -> None:
        self._consumer.unsubscribe()
        self._has_unsubscribed = True

    def _join_anew(self) -> None:
        """Go on with another consumer; whose the shards are is not known until it is assigned them.

        A member that was cut off can be fenced by a join of its own that was still under way.
        """
        _log.warning("%s was fenced: it joins the group anew", self.member.name)
        shards, self._assigned = sorted(self._assigned), set()
        self._owned.clear()
        for shard in shards:
            self._add(Lost(shard))
        self._untold.clear()
        before, self._consumer = self._consumer, make_consumer(self._kafka, **self._settings())
        before.close()
        if not self._has_unsubscribed:
            self._join()

    def _give_notices(self) -> None:
        """Write what is to be told, but not to own what may be somebody else's by now."""
        while self._notices:
            since, notice = self._notices.popleft()
            if notice.kind == "owned":
                if notice.shard not in self._assigned:
                    continue
                if time.monotonic() - since >= WRITTEN_SECONDS:  # the process stood still
                    self._untold.add(notice.shard)
                    self._asked = None  # once the group confirms that it still is so
                    continue
            self._write(notice)

    def _turn(self) -> None:
        self._give_notices()
        while self._wishes:
            self._wishes.popleft()()
        self._producer.poll(0)
        self._observe(0.0)
        now = time.monotonic()
        self._ask_for_confirmation(now)
        if now - self._turned_at >= self._group.session_timeout:
            self._is_closing.wait(POLL_SECONDS)  # the feed hangs: who polls is taken for alive
            return
        message = self._consumer.poll(POLL_SECONDS)
        if message is not None and (error := message.error()) is not None:
            self._hear_error(error)

    def _hear_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._FATAL or error.fatal():
            now = time.monotonic()
            fenced_before, self._fenced_at = self._fenced_at, now
            is_fenced = "fenced" in error.str().lower()
            if is_fenced and now - fenced_before >= FENCED_AGAIN_SECONDS:
                self._join_anew()
                return
            self.failed = MemberRefused(
                f"another streamer is group.member = {self.member.name} of the group "
                f"{self._group.id} and has taken its place: give each one a name of its own"
                if is_fenced
                else f"the group {self._group.id} cannot be joined: {error.str()}"
            )
        elif not error.retriable() and error.code() in _REFUSALS:
            text = f"the group {self._group.id} cannot be joined: {error.str()}"
            if not self.joined:
                self.failed = MemberRefused(text)
            elif text != self._refusal:  # it was a member: what was taken away may be given back
                _log.error("%s; it is tried again, records wait on disk", text)
            self._refusal = text

    def _ask_for_confirmation(self, now: float) -> None:
        """Ask by a commit: the coordinator refuses that of who is no member any more.

        The offset is the commit's number: nothing is read from there, and an answer tells which
        commit it is for. That to one from before a pause says nothing of what came after it.
        """
        wanted = self._wanted
        if self._confirmed >= wanted and not self._untold:
            return
        if now < self._ask_at and self._asked == wanted:
            return
        if not self._assigned:
            self._confirmed = wanted  # nothing is produced that could be somebody else's
            self._untold.clear()
            self._wake()
            return
        self._commits += 1
        if self._asked != wanted:
            self._first_commit = self._commits
        self._asked, self._ask_at = wanted, now + CONFIRM_AGAIN_SECONDS
        shards = sorted(self._assigned)
        offsets = [TopicPartition(self._group.topic, one, self._commits) for one in shards]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            _log.warning("the group does not confirm its member: %s", error.args[0].str())

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None or any(one.error for one in partitions) or self._asked is None:
            return
        if not all(one.offset >= self._first_commit for one in partitions):
            return
        self._confirmed = self._asked
        for shard in sorted(self._untold & self._assigned):
            self._write(self._notice(shard, "owned"))
        self._untold.clear()
        self._wake()

    def _told(self, error: KafkaError | None, message: Message) -> None:
        """Handle that a notice is there, or too late: whose the shard is has to be on record."""
        if error is None:
            return
        _log.warning("a notice could not be delivered to %s: %s", message.topic(), error.str())
        notice = decode(message.value())
        if notice is not None and notice.kind == "owned" and notice.shard in self._owned:
            self._untold.add(notice.shard)
            self._asked = None  # once the group confirms that it still is so

    def _observe(self, within_seconds: float) -> None:
        for message in self._observer.consume(500, within_seconds):
            self._take_notice(message)

    def _take_notice(self, message: Message) -> None:
        if message.error() is not None or (notice := decode(message.value())) is None:
            return
        if notice.shard != message.partition():
            return  # none of ours
        hearing = self._hearing.get(notice.shard)
        if notice.kind == "hearing":
            self._hearing[notice.shard] = notice
        elif hearing is not None and hearing.process == notice.process:
            del self._hearing[notice.shard]
        last = self._last.get(notice.shard)
        is_of_last = last is not None and last.process == notice.process
        # An offer of who does not know yet that somebody else went on is none.
        if notice.kind in ("owned", "leaving", "left") or (notice.kind == "offered" and is_of_last):
            self._last[notice.shard] = notice
        self._add(Told(notice))

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)
        shards = [one.partition for one in partitions]
        self._assigned.update(shards)
        unknown = self._read_notices(shards)
        for shard in shards:
            if shard in unknown:
                self._add(Assigned(shard, None, is_known=False))
            else:
                self._add(Assigned(shard, self._last.get(shard)))
        self.joined = True  # when all of it can be taken: before, nothing is known to be its
        self._wake()
        if shards:
            _log.info("the group assigns the shards %s", sorted(shards))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        shards = [one.partition for one in partitions]
        if consumer is not self._consumer:
            return  # it was fenced
        self._give_notices()  # what is owned since a moment ago is not withdrawn, but left
        self._assigned.difference_update(shards)
        if self._is_closing.is_set():
            return  # they are ours again when we are back in time
        self._untold.difference_update(shards)
        withdrawn = set(shards) - self._owned
        for shard in shards:
            if shard not in withdrawn:
                self._owned.discard(shard)
                self._write(self._notice(shard, "leaving"))
            else:
                self._write(self._notice(shard, "withdrawn"))
        # Before the next one is assigned it: that is what it reads first.
        is_told = not self._producer.flush(WRITTEN_SECONDS)
        if not is_told:
            _log.warning("it could not be told that shards are left: %s", sorted(shards))
        for shard in shards:
            # Who does not read it goes on without a word, at once.
            is_handed_over = is_told or self._has_unsubscribed
            revoked = Revoked(shard, is_withdrawn=shard in withdrawn)
            self._add(revoked if is_handed_over else Lost(shard))
        _log.info("the group revokes the shards %s", sorted(shards))

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        shards = [one.partition for one in partitions]
        if consumer is not self._consumer:
            return
        self._assigned.difference_update(shards)
        if self._is_closing.is_set():
            return
        self._untold.difference_update(shards)
        for shard in shards:
            self._owned.discard(shard)
            self._add(Lost(shard))
        _log.warning("nothing is heard of the group: the shards %s may be lost", sorted(shards))

    def _read_notices(self, shards: list[int]) -> set[int]:
        """Read the notices of shards up to their ends; return those where that was not possible."""
        deadline = time.monotonic() + READ_SECONDS
        left: dict[int, int] = {}
        unknown: set[int] = set()
        for shard in shards:
            at = TopicPartition(self._group.topic, shard)
            seconds = max(deadline - time.monotonic(), POLL_SECONDS / 10)
            try:
                left[shard] = self._observer.get_watermark_offsets(at, seconds)[1]
            except KafkaException as error:
                _log.warning("the notices of shard %d: %s", shard, error.args[0].str())
                unknown.add(shard)
        while left and time.monotonic() < deadline:
            self._observe(POLL_SECONDS / 10)
            asked = [TopicPartition(self._group.topic, shard) for shard in left]
            for at in self._observer.position(asked):
                offset = 0 if at.offset == OFFSET_INVALID else at.offset
                if offset >= left[at.partition] or left[at.partition] == 0:
                    del left[at.partition]
        unknown.update(left)
        if unknown:
            _log.warning("the latest notices of the shards %s are not known", sorted(unknown))
        return unknown

    def _write(self, notice: ShardNotice) -> None:
        if notice.kind == "owned":
            self._owned.add(notice.shard)
        elif notice.kind == "left":
            self._owned.discard(notice.shard)
        try:
            self._producer.produce(
                self._group.topic, encode(notice), key_of(notice), partition=notice.shard
            )
        except (BufferError, KafkaException) as error:
            _log.warning("the notice of shard %d cannot be given: %s", notice.shard, error)

    def _add(self, event: GroupEvent) -> None:
        self._events.append(event)
        self._wake()


_REFUSALS = {
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
    KafkaError.INVALID_SESSION_TIMEOUT,
    KafkaError.INVALID_GROUP_ID,
}
