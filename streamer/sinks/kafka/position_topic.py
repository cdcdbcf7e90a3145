"""The topic of positions: where each route's acknowledged records end, for the next start.

Compacted; one key for each topic and route, and JSON as the value (docs/kafka.md). A producer of
its own writes it, so that nothing there can hold records up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streamer.config import KafkaConfig
from streamer.errors import SettingsError
from streamer.order.positions import Position
from streamer.routes import RECORD_KINDS, Route
from streamer.sinks.kafka.client import make_small_producer
from streamer.sinks.kafka.other_writers import WRITER_HEADER, writer_name
from streamer.sinks.kafka.topics import topic_of

VERSION = 1
EVERY_SECONDS = 5.0  # what a start after a crash reads of the data topics' tails
OVERDUE_SECONDS = 10.0  # without a moment in which all was acknowledged: one is made
ALL_EVERY_SECONDS = 600.0  # also those that did not change: each tells as of when it is right
QUEUE_KIB = 1024  # the positions of some thousand routes
GIVE_UP_MS = 30_000  # later positions have followed by then
CLOSE_SECONDS = 2.0  # some milliseconds, unless the brokers are away

_log = logging.getLogger(__name__)


class PositionValue(msgspec.Struct, frozen=True):
    """A message's value; times are Unix microseconds."""

    version: int
    last_id: int  # the last record that is acknowledged, or the last id of a gap declared there
    received_us: int  # when it was received
    as_of_us: int  # nothing later was acknowledged then
    epoch: int = 0  # which numbering the id is of

    @property
    def position(self) -> Position:
        """The same, as a position."""
        return Position(self.last_id, self.received_us, self.epoch)


def key_of(topic: str, route: Route) -> bytes:
    """Return the key of a route whose records are in a topic: `TOPIC:trade:BTCUSDT`.

    So each topic has positions of its own, whoever shares this one.
    """
    return f"{topic}:{route.stream}:{route.symbol}".encode()


def route_name_of(key: bytes) -> tuple[str, str]:
    """Return topic and route name of a key; empty ones of a key that is none of ours."""
    topic, _, rest = key.decode(errors="replace").partition(":")  # no topic's name has one
    stream, _, symbol = rest.partition(":")
    return (topic, f"{symbol.lower()}@{stream}") if symbol else ("", "")


class PositionTopic:
    """Writes positions; whoever calls `write` knows that they are acknowledged."""

    def __init__(self, config: KafkaConfig, known: dict[str, Position]) -> None:
        """`known` are the positions found at the start, by route name."""
        self.known = known  # with those of routes that are removed
        self._config = config
        self._left: dict[bytes, Position] = {}  # of routes that are removed
        self.writer = writer_name()
        self._written: dict[bytes, tuple[int, int]] = {}
        self._write_at = self._all_at = 0.0
        self._overdue_at = time.monotonic() + OVERDUE_SECONDS
        self._producer: Producer | None = None

    def note(self, route: Route) -> None:
        """Note where a route ends that is removed, for when it comes back."""
        if (position := self._position(route)) is not None:
            self.known[route.name] = self._left[self._key(route)] = position

    def forget(self, route: Route) -> None:
        """Write nothing more of a route: somebody else does."""
        key = self._key(route)
        self._left.pop(key, None)
        self._written.pop(key, None)
        self.known.pop(route.name, None)

    def ends(self, routes: Iterable[Route]) -> dict[str, Position | None]:
        """Return where every route ends now, and those that were removed, by key."""
        ends = {
            self._key(one): self._position(one) for one in routes if one.kind not in RECORD_KINDS
        }
        return {key.decode(): position for key, position in (self._left | ends).items()}

    def poll(self) -> None:
        """Hear what librdkafka has to tell."""
        if self._producer is not None:
            self._producer.poll(0)

    def due(self, now: float) -> bool:
        """Return whether to write at the next moment in which everything is acknowledged."""
        return bool(self._config.positions_topic) and now >= self._write_at

    def overdue(self, now: float) -> bool:
        """Tell, once in a while, that such a moment has not come for long."""
        if now < self._overdue_at:
            return False
        self._overdue_at = now + OVERDUE_SECONDS
        return True

    def write(self, routes: Iterable[Route], now: float) -> None:
        """Write where the routes end, of which everything is acknowledged. `now` is monotonic."""
        self._write_at = now + EVERY_SECONDS
        self._overdue_at = now + OVERDUE_SECONDS
        as_of_us = time.time_ns() // 1000
        is_due = now >= self._all_at
        if is_due:
            self._all_at = now + ALL_EVERY_SECONDS
        try:
            producer = self._producer = self._producer or self._make_producer()
            for key, position in self._positions(routes).items():
                if is_due or self._written.get(key) != position.place:
                    value = PositionValue(
                        VERSION, position.last_id, position.received_us, as_of_us, position.epoch
                    )
                    producer.produce(
                        self._config.positions_topic,
                        msgspec.json.encode(value),
                        key,
                        headers={WRITER_HEADER: self.writer},
                    )
                    self._written[key] = position.place
        except (BufferError, KafkaException, SettingsError) as error:
            topic = self._config.positions_topic
            _log.warning("the topic %s does not take positions: %s", topic, error)

    def close(self, routes: Iterable[Route], *, acknowledged: bool) -> None:
        """Write the last positions if everything is acknowledged, and wait a little for them."""
        if acknowledged and self._config.positions_topic:
            self._all_at = 0.0
            self.write(routes, time.monotonic())
        if self._producer is None:
            return
        left = self._producer.flush(CLOSE_SECONDS)
        if left:
            _log.warning("%d positions are not written: the next start reads more", left)
            self._producer.purge()
            self._producer.flush(CLOSE_SECONDS)

    def _positions(self, routes: Iterable[Route]) -> dict[bytes, Position]:
        now = {
            self._key(route): position
            for route in routes
            if (position := self._position(route)) is not None
        }
        return self._left | now

    def _key(self, route: Route) -> bytes:
        return key_of(topic_of(self._config, route), route)

    def _position(self, route: Route) -> Position | None:
        if route.kind in RECORD_KINDS or (last_id := route.sequence.last_id) is None:
            return None
        before = self.known.get(route.name)
        received_us = route.received_us or (before.received_us if before else 0)
        return Position(last_id, received_us, route.epoch)

    def _make_producer(self) -> Producer:
        return make_small_producer(
            self._config,
            on_delivery=_undelivered,
            **{
                "acks": "all",
                "enable.idempotence": True,
                "delivery.report.only.error": True,
                "message.timeout.ms": GIVE_UP_MS,
                "queue.buffering.max.kbytes": QUEUE_KIB,
                "linger.ms": 50,  # they come all at once
            },
        )


def _undelivered(error: KafkaError, message: Message) -> None:
    if error.code() != KafkaError._PURGE_QUEUE:
        _log.warning("a position could not be delivered to %s: %s", message.topic(), error.str())
