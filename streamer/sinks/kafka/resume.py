"""Where the records in Kafka end, at the start: the topic of positions, corrected by the tails.

Positions are written after acknowledgement and some seconds apart, so the data topics hold more;
what they hold is read from a minute before the positions were right.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from streamer.config import KafkaConfig
from streamer.data.catalogue import NUMBERED
from streamer.data.records import load_schema
from streamer.errors import SinkAway, SinkUnavailable
from streamer.memory.heap import trim_memory
from streamer.order.positions import DeclaredGap, Position, beyond_gaps, furthest
from streamer.order.record_ids import Found, first_record, gap_of, position_of
from streamer.order.tails import Tail
from streamer.routes import RECORD_KINDS, Route
from streamer.sinks.kafka.client import make_consumer
from streamer.sinks.kafka.overflow import Overflow, Place
from streamer.sinks.kafka.position_topic import (
    ALL_EVERY_SECONDS,
    VERSION,
    PositionValue,
    key_of,
    route_name_of,
)
from streamer.sinks.kafka.source_header import is_backfilled
from streamer.sinks.kafka.topic_reader import NotReadInTime, TopicReader

EARLIER_SECONDS = 60.0  # clocks differ, and a message's time is that of its producer
UNKNOWN_RECORDS = 10_000  # of a partition's end, where a route has no position
FURTHER_TIMES = 4  # as far back, where a back-fill's messages are what was read
WAITED_US_MAX = 30 * 86_400_000_000  # between receipt and hand-over: more is a schema unknown here
QUEUE_KIB = 4096  # in memory, as are fetches: compressed ones, so that ten times as much comes out
PARTITION_BYTES, FETCH_BYTES = 256 << 10, 1 << 20  # of a fetch; the defaults are 1 and 50 MiB

_AWAY = {
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
}

_Partition = tuple[str, int]
"""A topic, and which partition of it."""

_log = logging.getLogger(__name__)


def find_positions(
    config: KafkaConfig,
    topics: Mapping[Route, str],
    overflow: Overflow | None,
    *,
    max_age_seconds: float,
    deadline: float,
) -> dict[str, Position]:
    """Return where each route ends, by its name.

    What a predecessor left in the overflow for us to deliver first counts as delivered; None: what
    lies on disk, if anything, is of no matter. Waits until
    `deadline` (monotonic) at most. Raises SinkUnavailable, and OSError for the overflow.
    """
    if not config.positions_topic:
        return {}
    began = time.monotonic()
    consumer = make_consumer(
        config,
        **{
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",  # of an offset that retention removes meanwhile
            "queued.max.messages.kbytes": QUEUE_KIB,
            "fetch.message.max.bytes": PARTITION_BYTES,
            "fetch.max.bytes": FETCH_BYTES,
        },
    )
    try:
        reader = TopicReader(consumer, deadline)
        written = read_positions(reader, config.positions_topic)
        tails = _Tails(topics, written)
        try:
            for topic, value in tails.read(reader, max_age_seconds):
                tails.take(topic, value.value() or b"", value.timestamp()[1] * 1000)
        except NotReadInTime as error:
            _log.warning("%s: what follows it there is written again, as copies", error)
        # What was under way when a producer was given up may have arrived all the same.
        if overflow is not None:
            overflow.pass_over(tails.ends())
            tails.take_overflow(overflow)
        found = tails.positions()
    except KafkaException as error:
        raise _refusal(config, error.args[0]) from error
    finally:
        consumer.close()
        trim_memory()  # what was read in bulk lies scattered
    _log.info(
        "resume: %d of %d streams go on after their last records (%d records read, %.1f s)",
        len(found),
        tails.routes,
        tails.read_total,
        time.monotonic() - began,
    )
    return furthest(unwanted_positions(topics, written), tails.others()) | found


def remembered_positions(
    noted: Mapping[str, Position | None], topics: Mapping[Route, str], overflow: Overflow
) -> dict[str, Position] | None:
    """Return where each route ends as far as is known without Kafka; None where one is unknown.

    `noted` are the local notes by key. A note may be behind: then what lies between it and the
    overflow comes again. Raises OSError for the overflow.
    """
    written = {
        key.encode(): PositionValue(VERSION, one.last_id, one.received_us, 0, one.epoch)
        for key, one in noted.items()
        if one is not None
    }
    tails = _Tails(topics, written)
    tails.take_overflow(overflow)
    found = tails.positions()
    for route, topic in topics.items():
        is_known = route.kind in RECORD_KINDS or key_of(topic, route).decode() in noted
        if not is_known and route.name not in found:
            return None
    return furthest(unwanted_positions(topics, written), tails.others()) | found


def unwanted_positions(
    topics: Mapping[Route, str], written: Mapping[bytes, PositionValue]
) -> dict[str, Position]:
    """Return where routes end that are not wanted now; seconds behind after a crash."""
    known = set(topics.values())
    wanted = {route.name for route in topics}
    found: dict[str, Position] = {}
    for key, value in written.items():
        topic, name = route_name_of(key)
        if topic in known and name not in wanted:
            found[name] = value.position
    return found


def _refusal(config: KafkaConfig, problem: KafkaError) -> SinkUnavailable:
    advice = ""
    if problem.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        advice = (
            f"; this user needs Read on {config.positions_topic} and on every topic of records, or "
            'set kafka.positions_topic = "" to begin with what comes live'
        )
    text = f"where the records in Kafka end cannot be read: {problem.str()} ({problem.name()})"
    if problem.retriable() or problem.code() in _AWAY:
        return SinkAway(text)
    return SinkUnavailable(text + advice)


def read_positions(reader: TopicReader, topic: str) -> dict[bytes, PositionValue]:
    """Return what the topic of positions holds, by key."""
    found: dict[bytes, PositionValue] = {}
    begin = [TopicPartition(topic, one, OFFSET_BEGINNING) for one in reader.partitions(topic)]
    for message in reader.read(begin):
        key = message.key() or b""
        try:
            value = msgspec.json.decode(message.value() or b"", type=PositionValue)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            found.pop(key, None)  # deleted, or nothing of ours
            continue
        if value.version != VERSION:
            continue
        if key not in found or value.position.place >= found[key].position.place:
            found[key] = value  # a killed producer's late one says less
    return found


class _Tails:
    """What the ends of the data topics say about the routes."""

    def __init__(
        self,
        topics: Mapping[Route, str],
        written: Mapping[bytes, PositionValue],
    ) -> None:
        self.read_total = 0
        self._topics = topics
        self._kinds = {topic: route.kind for route, topic in topics.items()}
        self._known: list[PositionValue] = []
        self._unknown: dict[str, str] = {}  # topics of routes without a position, by route name
        self._unknown_ends: dict[_Partition, tuple[int, int]] = {}  # of them: the oldest, the end
        self._tails: dict[str, Tail] = {}
        self._others: dict[str, Tail] = {}  # of routes that are not wanted now
        for route, topic in topics.items():
            if route.kind in RECORD_KINDS:
                continue
            value, position = written.get(key_of(topic, route)), None
            if value is None:
                self._unknown[route.name] = topic
            else:
                self._known.append(value)
                position = value.position
            self._tails[route.name] = Tail(route.name, position)
        self._latest: dict[str, tuple[str, Found, bytes]] = {}  # topic and record
        self._gaps: list[DeclaredGap] = []
        self._gap_schema = load_schema("gap")

    @property
    def routes(self) -> int:
        """How many routes there are."""
        return len(self._tails)

    def read(self, reader: TopicReader, max_age_seconds: float) -> Iterator[tuple[str, Message]]:
        """Yield what may be above the positions, of all topics, and no message of a back-fill.

        Those are out of order, so that they say nothing of where a route ends. Where they hide it,
        it is looked for further back.
        """
        begin = {
            (topic, number): offset
            for topic in self._kinds
            for number, offset in self._begin(reader, topic, max_age_seconds).items()
        }
        while begin:
            streamed: Counter[_Partition] = Counter()
            backfilled: set[_Partition] = set()
            for message in reader.read([TopicPartition(*place, at) for place, at in begin.items()]):
                self.read_total += 1
                place = message.topic() or "", message.partition() or 0
                if is_backfilled(message):
                    backfilled.add(place)
                    continue
                streamed[place] += 1
                yield place[0], message
            begin = {
                place: further
                for place in backfilled
                if streamed[place] < UNKNOWN_RECORDS
                and (further := self._further_back(place, begin[place])) < begin[place]
            }

    def _further_back(self, place: _Partition, begin: int) -> int:
        """Return from where on a partition is read again, its beginning if there is no need."""
        topic = place[0]
        is_sought = any(
            self._tails[name].position(()) is None
            for name, its in self._unknown.items()
            if self._kinds[topic] == "gap" or its == topic
        )
        if not is_sought or place not in self._unknown_ends:
            return begin
        first, end = self._unknown_ends[place]
        return max(first, end - FURTHER_TIMES * (end - begin))

    def take(self, topic: str, value: bytes, received_us: int) -> str | None:
        """Take a record, in the order of its route; return the route's name but for a gap's."""
        record = first_record(value)
        if record is None or topic not in self._kinds:
            return None
        if self._kinds.get(topic) == "gap":
            gap = gap_of(record, value, self._gap_schema)
            if gap is not None:
                self._gaps.append(gap)
        if self._kinds[topic] in RECORD_KINDS:
            return None
        name = record.route_name
        tail = self._tails.get(name) or self._others.get(name)
        if tail is None:
            tail = self._others[name] = Tail(name, None)
        tail.take(record.number, received_us, record.epoch)
        latest = self._latest.get(name)
        if latest is None or (record.epoch, record.number) >= (latest[1].epoch, latest[1].number):
            self._latest[name] = topic, record, value
        return name

    def take_overflow(self, overflow: Overflow) -> None:
        """Take what follows everything that is in the topics. Raises OSError."""
        if not overflow.recent_is_all:
            for tail in self._tails.values():
                tail.skip()
        for topic, value, _ in overflow.recent():
            self.take(topic, value, 0)

    def ends(self) -> dict[tuple[str, str], Place]:
        """Return where the records in the topics end, by topic and route, where ids are numbers."""
        found: dict[tuple[str, str], Place] = {}
        for route, topic in self._topics.items():
            if route.kind in NUMBERED and route.kind not in RECORD_KINDS:
                position = self._tails[route.name].position(self._gaps)
                if position is not None:
                    found[topic, route.name] = position.place
        return found

    def positions(self) -> dict[str, Position]:
        """Return where each route ends."""
        return self._positions_of(self._tails)

    def others(self) -> dict[str, Position]:
        """Return where routes end that are not wanted now, as far as records of them were seen.

        One may have joined and left between two writings of positions.
        """
        return self._positions_of(self._others)

    def _positions_of(self, tails: Mapping[str, Tail]) -> dict[str, Position]:
        found: dict[str, Position] = {}
        for name, tail in tails.items():
            position = tail.position(self._gaps)
            if position is not None:
                found[name] = self._timed(name, position)
        return beyond_gaps(found, self._gaps)

    def _timed(self, route_name: str, position: Position) -> Position:
        """Return a position with the time in its record: what it missed begins there.

        A message's own time is that of its hand-over, which is later, and much later where a
        process was stopped in between.
        """
        topic, record, value = self._latest.get(route_name, (None, None, b""))
        if topic is None or record is None or record.number != position.last_id:
            return position
        told_us = position.received_us  # by the message; of what is on disk there is none
        schema, now_us = load_schema(self._kinds[topic]), time.time_ns() // 1000
        timed = position_of(record, value, schema, told_us or now_us)
        waited_us = told_us + 999 - timed.received_us  # the message tells whole milliseconds
        if told_us and not 0 <= waited_us <= WAITED_US_MAX:
            return position
        return Position(position.last_id, timed.received_us, position.epoch)

    def _begin(self, reader: TopicReader, topic: str, max_age_seconds: float) -> dict[int, int]:
        """Return where to begin in each partition of a topic."""
        ends = reader.ends(topic)
        oldest = max(time.time() - max_age_seconds, 0.0)
        begin = reader.offsets_at(topic, max(self._right_since() - EARLIER_SECONDS, oldest))
        begin = {number: ends[number][1] if at < 0 else at for number, at in begin.items()}
        is_of_gaps = self._kinds[topic] == "gap"
        unknown = [name for name, its in self._unknown.items() if is_of_gaps or its == topic]
        if unknown:
            _log.info(
                "resume: no position of %s: the last %d records of each partition of %s are read",
                ", ".join(sorted(unknown)[:5]),
                UNKNOWN_RECORDS,
                topic,
            )
            young = reader.offsets_at(topic, oldest)
            for number, (low, high) in ends.items():
                oldest_offset = max(low, min(young[number], high)) if young[number] >= 0 else high
                self._unknown_ends[topic, number] = oldest_offset, high
                begin[number] = min(begin[number], max(oldest_offset, high - UNKNOWN_RECORDS))
        return begin

    def _right_since(self) -> float:
        """Return the Unix time as of which positions are right that were written to the last.

        A route that had been left out long before may have records behind its position that are
        then not read, and come again as copies.
        """
        times = [value.as_of_us / 1e6 for value in self._known]
        if not times:
            return time.time()
        newest = max(times)
        return min(each for each in times if each >= newest - 2 * ALL_EVERY_SECONDS)
