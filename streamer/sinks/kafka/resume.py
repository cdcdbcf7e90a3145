"""Where the records in Kafka end, at the start: the topic of positions, corrected by the tails.

Positions are written after acknowledgement and some seconds apart, so the data topics hold more;
what they hold is read from a minute before the positions were right.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from streamer.config import KafkaConfig
from streamer.errors import SinkUnavailable
from streamer.positions import DeclaredGap, Position, beyond_gaps
from streamer.record_ids import first_record, gap_of
from streamer.records import load_schema
from streamer.routes import Route
from streamer.sinks.kafka.client import make_consumer
from streamer.sinks.kafka.position_topic import (
    ALL_EVERY_SECONDS,
    VERSION,
    PositionValue,
    key_of,
)
from streamer.tails import Tail

EARLIER_SECONDS = 60.0  # clocks differ, and a message's time is that of its producer
UNKNOWN_RECORDS = 10_000  # of a partition's end, where a route has no position
QUEUE_KIB, FETCH_BYTES = 4096, 1 << 20  # of a partition, in memory; the defaults are 64 MiB
_ASK_SECONDS = 5.0
_POLL_SECONDS = 0.2
_BATCH = 1000

_log = logging.getLogger(__name__)


def find_positions(
    config: KafkaConfig,
    topics: Mapping[Route, str],
    overflow: Iterable[tuple[str, bytes]],
    *,
    max_age_seconds: float,
    deadline: float,
) -> dict[str, Position]:
    """Return where each route ends, by its name.

    `overflow` yields topic and value of what a predecessor left for us to deliver first: it counts
    as delivered. Waits until `deadline` (monotonic) at most. Raises SinkUnavailable.
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
            "fetch.message.max.bytes": FETCH_BYTES,
        },
    )
    try:
        reader = _Reader(consumer, config, deadline)
        tails = _Tails(topics, reader.positions())
        for topic, value in tails.read(reader, max_age_seconds):
            tails.take(topic, value.value() or b"", value.timestamp()[1] * 1000)
        for topic, content in overflow:
            tails.take(topic, content, time.time_ns() // 1000)
        found = tails.positions()
    except KafkaException as error:
        problem: KafkaError = error.args[0]
        raise SinkUnavailable(
            f"where the records end cannot be read: {problem.str()} ({problem.name()}); this user "
            f"needs Read on {config.positions_topic} and on every topic of records, or set "
            'kafka.positions_topic = "" to begin with what comes live'
        ) from error
    finally:
        consumer.close()
    _log.info(
        "resume: %d of %d streams go on after their last records (%d records read, %.1f s)",
        *(len(found), tails.routes, tails.read_total, time.monotonic() - began),
    )
    return found


class _Reader:
    """Reads topics up to their ends."""

    def __init__(self, consumer: Consumer, config: KafkaConfig, deadline: float) -> None:
        self._consumer = consumer
        self._topic = config.positions_topic
        self._deadline = deadline

    def positions(self) -> dict[bytes, PositionValue]:
        """Return what the topic of positions holds, by key."""
        found: dict[bytes, PositionValue] = {}
        begin = [
            TopicPartition(self._topic, one, OFFSET_BEGINNING) for one in self._numbers(self._topic)
        ]
        for message in self.read(begin):
            key = message.key() or b""
            try:
                value = msgspec.json.decode(message.value() or b"", type=PositionValue)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                found.pop(key, None)  # deleted, or nothing of ours
                continue
            if value.version != VERSION:
                continue
            if key not in found or value.last_id >= found[key].last_id:
                found[key] = value  # a killed producer's late one says less
        return found

    def ends(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return the first offset and the one after the last, by partition."""
        return {
            number: self._consumer.get_watermark_offsets(
                TopicPartition(topic, number), self._within()
            )
            for number in self._numbers(topic)
        }

    def offsets_at(self, topic: str, unix_seconds: float) -> dict[int, int]:
        """Return the first offset of each partition from a time on; its end when there is none."""
        asked = [
            TopicPartition(topic, number, int(unix_seconds * 1000))
            for number in self._numbers(topic)
        ]
        return {
            one.partition: one.offset if one.offset >= 0 else OFFSET_END
            for one in self._consumer.offsets_for_times(asked, self._within())
        }

    def read(self, begin: list[TopicPartition]) -> Iterator[Message]:
        """Yield the messages from there to the ends. Raises SinkUnavailable after the deadline."""
        self._consumer.assign(begin)
        left = {(one.topic, one.partition) for one in begin}
        while left:
            if time.monotonic() >= self._deadline:
                raise SinkUnavailable(
                    "the ends of the topics could not be read within kafka.start_within: "
                    + ", ".join(sorted({topic for topic, _ in left}))
                )
            for message in self._consumer.consume(_BATCH, _POLL_SECONDS):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic() or "", message.partition() or 0))
                elif not error.retriable() and error.code() != KafkaError._ALL_BROKERS_DOWN:
                    raise KafkaException(error)
        self._consumer.unassign()

    def _numbers(self, topic: str) -> list[int]:
        found = self._consumer.list_topics(topic, self._within()).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return list(found.partitions)

    def _within(self) -> float:
        return min(max(self._deadline - time.monotonic(), 0.1), _ASK_SECONDS)


class _Tails:
    """What the ends of the data topics say about the routes."""

    def __init__(
        self,
        topics: Mapping[Route, str],
        written: Mapping[bytes, PositionValue],
    ) -> None:
        self.read_total = 0
        self._kinds = {topic: route.kind for route, topic in topics.items()}
        self._known: list[PositionValue] = []
        self._unknown: dict[str, str] = {}  # topics of routes without a position, by route name
        self._tails: dict[str, Tail] = {}
        for route, topic in topics.items():
            if route.kind == "gap":
                continue
            value, position = written.get(key_of(topic, route)), None
            if value is None:
                self._unknown[route.name] = topic
            else:
                self._known.append(value)
                position = Position(value.last_id, value.received_us)
            self._tails[route.name] = Tail(route.name, position)
        self._gaps: list[DeclaredGap] = []
        self._gap_schema = load_schema("gap")

    @property
    def routes(self) -> int:
        """How many routes there are."""
        return len(self._tails)

    def read(self, reader: _Reader, max_age_seconds: float) -> Iterator[tuple[str, Message]]:
        """Yield what may be above the positions, of all topics."""
        begin = [
            TopicPartition(topic, number, offset)
            for topic in self._kinds
            for number, offset in self._begin(reader, topic, max_age_seconds).items()
        ]
        for message in reader.read(begin):
            self.read_total += 1
            yield message.topic() or "", message

    def take(self, topic: str, value: bytes, received_us: int) -> None:
        """Take a record, in the order of its route."""
        record = first_record(value)
        if record is None:
            return
        if self._kinds.get(topic) == "gap":
            gap = gap_of(record, value, self._gap_schema)
            if gap is not None:
                self._gaps.append(gap)
        elif (tail := self._tails.get(record.route_name)) is not None:
            tail.take(record.number, received_us)

    def positions(self) -> dict[str, Position]:
        """Return where each route ends."""
        found = {
            name: position
            for name, tail in self._tails.items()
            if (position := tail.position(self._gaps)) is not None
        }
        return beyond_gaps(found, self._gaps)

    def _begin(self, reader: _Reader, topic: str, max_age_seconds: float) -> dict[int, int]:
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
                *(", ".join(sorted(unknown)[:5]), UNKNOWN_RECORDS, topic),
            )
            young = reader.offsets_at(topic, oldest)
            for number, (low, high) in ends.items():
                first = max(low, high - UNKNOWN_RECORDS, min(young[number], high))
                begin[number] = min(begin[number], first if young[number] >= 0 else high)
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
