"""Whether somebody else records the same streams into the same topics.

Each message of the topic of positions names its writer. Two that write a stream's positions in turn
both record it: two deployments by mistake, which nothing else would tell. One that takes over from
another does not alternate with it, and a late message of one that was killed or frozen comes once.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaException, Message, TopicPartition

from streamer.config import KafkaConfig
from streamer.errors import StreamerError
from streamer.sinks.kafka.client import make_consumer
from streamer.sinks.kafka.topic_reader import TopicReader

WRITER_HEADER = "vigil-writer"
CHECK_EVERY_SECONDS = 60.0  # positions are written each 5 s: a dozen of each writer
TIMES = 2  # between two of ours
_READ_SECONDS = 20.0

_log = logging.getLogger(__name__)


def writer_name() -> str:
    """Return a name for this process, for people: host, process id, and what makes it unique."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(3)}"


def alternating(written: Iterable[tuple[bytes, str]], own: str) -> dict[str, int]:
    """Return of how many keys another writer has written between ours, TIMES times at least.

    `written` are key and writer of messages, in their order. Messages without a writer are passed
    over: they are of an earlier version.
    """
    since: dict[bytes, set[str]] = {}  # who has written after our last one, by key
    between: Counter[tuple[bytes, str]] = Counter()
    for key, writer in written:
        if writer == own:
            between.update((key, other) for other in since.get(key, ()))
            since[key] = set()
        elif writer and key in since:
            since[key].add(writer)
    return dict(Counter(writer for (_, writer), times in between.items() if times >= TIMES))


class OtherWriters:
    """Looks at the topic of positions from time to time, on a helper thread.

    `found` are the other writers as of the latest look, with how many streams they write as well.
    """

    def __init__(
        self, config: KafkaConfig, own: str, *, every_seconds: float = CHECK_EVERY_SECONDS
    ) -> None:
        self.found: Mapping[str, int] = {}
        self._config = config
        self._own = own
        self._every_seconds = every_seconds
        self._look_at: float | None = None
        self._thread: threading.Thread | None = None
        self._offsets: dict[int, int] | None = None  # up to where it was read

    def turn(self, now: float) -> None:
        """Begin to look, if it is time to; `now` is monotonic."""
        if self._look_at is not None and now < self._look_at:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self._look_at = now + self._every_seconds
        self._thread = threading.Thread(target=self._look, name="writers", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        try:
            self._read()
        except (KafkaException, StreamerError) as error:
            _log.info("who else writes positions is looked at later: %s", error)

    def _read(self) -> None:
        topic = self._config.positions_topic
        consumer = make_consumer(self._config, **{"enable.auto.offset.store": False})
        try:
            reader = TopicReader(consumer, time.monotonic() + _READ_SECONDS)
            ends = {number: end for number, (_, end) in reader.ends(topic).items()}
            before, self._offsets = self._offsets, ends
            if before is None:
                return  # what was written before this process is of no matter
            begin = [
                TopicPartition(topic, number, before[number])
                for number, end in ends.items()
                if number in before and before[number] < end
            ]
            messages = reader.read(begin) if begin else ()
            self.found = alternating(
                ((message.key() or b"", _writer_of(message)) for message in messages), self._own
            )
        finally:
            consumer.close()


def _writer_of(message: Message) -> str:
    headers: Any = message.headers() or ()  # pairs
    value = next((value for name, value in headers if name == WRITER_HEADER), None)
    return (value or b"").decode(errors="replace")
