"""Topics read from some offset up to where they end now, within a time."""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from streamer.errors import SinkAway

_ASK_SECONDS = 5.0
_AGAIN_SECONDS = 0.2  # a leader takes its place within milliseconds
_POLL_SECONDS = 0.2
_BATCH = 1000
_NO_MATTER = {
    KafkaError._ALL_BROKERS_DOWN,  # it connects again
    KafkaError.GROUP_AUTHORIZATION_FAILED,  # the group is asked for and never joined
}


class NotReadInTime(SinkAway):
    """There was more to read than the time allowed."""


class TopicReader:
    """Reads topics up to their ends. All of it raises KafkaException for what brokers refuse."""

    def __init__(self, consumer: Consumer, deadline: float) -> None:
        """`deadline` is monotonic."""
        self._consumer = consumer
        self._deadline = deadline

    def ends(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return the first offset and the one after the last, by partition."""
        return {number: self._ends_of(topic, number) for number in self.partitions(topic)}

    def _ends_of(self, topic: str, number: int) -> tuple[int, int]:
        while True:
            try:
                ends: tuple[int, int] = self._consumer.get_watermark_offsets(
                    TopicPartition(topic, number), self._within()
                )
            except KafkaException as error:
                # The leader of a partition that was just made may not know of it yet.
                is_early = error.args[0].code() == KafkaError.NOT_LEADER_FOR_PARTITION
                if not is_early or time.monotonic() >= self._deadline:
                    raise
                time.sleep(_AGAIN_SECONDS)
            else:
                return ends

    def offsets_at(self, topic: str, unix_seconds: float) -> dict[int, int]:
        """Return the first offset of each partition from a time on; its end when there is none."""
        asked = [
            TopicPartition(topic, number, int(unix_seconds * 1000))
            for number in self.partitions(topic)
        ]
        return {
            one.partition: one.offset if one.offset >= 0 else OFFSET_END
            for one in self._consumer.offsets_for_times(asked, self._within())
        }

    def read(self, begin: list[TopicPartition]) -> Iterator[Message]:
        """Yield the messages from there to the ends. Raises NotReadInTime after the deadline."""
        self._consumer.assign(begin)
        left = {(one.topic, one.partition) for one in begin}
        while left:
            if time.monotonic() >= self._deadline:
                raise NotReadInTime(
                    "the ends of the topics could not be read within kafka.start_within: "
                    + ", ".join(sorted({topic for topic, _ in left}))
                )
            for message in self._consumer.consume(_BATCH, _POLL_SECONDS):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic() or "", message.partition() or 0))
                elif not error.retriable() and error.code() not in _NO_MATTER:
                    raise KafkaException(error)
        self._consumer.unassign()

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions."""
        found = self._consumer.list_topics(topic, self._within()).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return list(found.partitions)

    def _within(self) -> float:
        return min(max(self._deadline - time.monotonic(), 0.1), _ASK_SECONDS)
