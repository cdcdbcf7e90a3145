"""Topics as the target of a back-fill: those of the streams, each message with a header."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from streamer.audit.batches import Source
from streamer.audit.topics import Topics
from streamer.backfill.errors import BackfillError, NothingToFill
from streamer.backfill.plan import Holding
from streamer.backfill.target import locked
from streamer.config import RECORD_TOPICS, KafkaConfig
from streamer.data.catalogue import kind_of
from streamer.data.events import GapRecord
from streamer.data.record_head import Encode
from streamer.data.records import encoder, load_schema, single_object_header
from streamer.errors import SinkUnavailable
from streamer.sinks.kafka.client import make_producer
from streamer.sinks.kafka.registry import wire_headers
from streamer.sinks.kafka.source_header import SOURCE_HEADER
from streamer.values import SYMBOL_PLACE

STALLED_SECONDS = 60.0  # without an acknowledgement: the brokers are away


class KafkaTarget:
    """Produces into the topics that the streams have already."""

    def __init__(self, config: KafkaConfig, directory: Path, say: Callable[[str], None]) -> None:
        """Begin to connect. `directory` is sink.directory, for the lock. Raises BackfillError."""
        self._config = config
        self._say = say
        self._templates = {**RECORD_TOPICS, **config.topics}
        self._open = ExitStack()
        locked(self._open, directory)
        self._refused: KafkaError | None = None
        self._producer = make_producer(config, on_delivery=self._undelivered)
        self._headers: dict[str, bytes] = {}  # what goes before each record, by topic
        self._encoders: dict[tuple[str, str, int], tuple[str, Encode]] = {}

    def stored(self, kinds: Collection[str]) -> Source:
        topics = {kind: name for kind, name in self._templates.items() if kind in (*kinds, "gap")}
        where = f"Kafka at {self._config.bootstrap_servers}"
        try:
            return Topics(self._config, topics)
        except KafkaException as error:
            raise NothingToFill(f"{where}: {error.args[0].str()}") from None
        except LookupError as error:
            raise NothingToFill(f"{where}: {error.args[0]}; kafka.topics names them") from None

    def put(self, holding: Holding, event: Any) -> None:  # noqa: ANN401 - an event of its kind
        self._put(kind_of(holding.stream), holding.stream, holding, event, event.source)

    def put_gap(self, holding: Holding, gap: GapRecord) -> None:
        self._put("gap", "gap", holding, gap, "backfill")

    def finish(self) -> None:
        left, moved_at = len(self._producer), time.monotonic()
        while left:
            self._serve(1.0)
            if len(self._producer) < left:
                left, moved_at = len(self._producer), time.monotonic()
            elif time.monotonic() - moved_at > STALLED_SECONDS:
                raise BackfillError(
                    f"Kafka at {self._config.bootstrap_servers}: nothing was acknowledged for "
                    f"{STALLED_SECONDS:.0f} s; {left:,} records are not stored, run it again"
                )
        self._serve(0.0)

    def close(self) -> None:
        self._producer.purge()
        self._open.close()

    def _put(self, kind: str, stream: str, holding: Holding, event: Any, source: str) -> None:  # noqa: ANN401
        key = stream, holding.symbol, holding.epoch if stream != "gap" else 0
        if key not in self._encoders:
            topic = self._templates[kind].replace(SYMBOL_PLACE, holding.symbol)
            prefix = self._prefix(topic, kind)
            encode = encoder(stream, holding.symbol, prefix=prefix, epoch=key[2])
            self._encoders[key] = topic, encode
        topic, encode = self._encoders[key]
        value = encode(event, time.time_ns() // 1000)
        headers: list[tuple[str, str | bytes | None]] = [(SOURCE_HEADER, source.encode())]
        began = time.monotonic()
        while True:
            try:
                self._producer.produce(topic, value, holding.symbol.encode(), headers=headers)
            except BufferError:
                if time.monotonic() - began > STALLED_SECONDS:
                    raise BackfillError(
                        f"Kafka at {self._config.bootstrap_servers} takes nothing: run it again"
                    ) from None
                self._serve(0.1)
            except KafkaException as error:
                raise self._failure(error.args[0], topic) from error
            else:
                break
        self._serve(0.0)

    def _prefix(self, topic: str, kind: str) -> bytes:
        if self._config.schema_registry_url is None:
            return single_object_header(kind)
        deadline = time.monotonic() + self._config.start_within
        try:
            return wire_headers(self._config, {topic: load_schema(kind)}, deadline)[topic]
        except SinkUnavailable as error:
            raise BackfillError(str(error)) from error

    def _serve(self, seconds: float) -> None:
        """Hear of what was not delivered. Raises BackfillError."""
        try:
            self._producer.poll(seconds)
        except KafkaException as error:
            raise self._failure(error.args[0], "") from error
        if self._refused is not None:
            raise self._failure(self._refused, "")

    def _undelivered(self, error: KafkaError, message: Message) -> None:
        self._refused = self._refused or error

    def _failure(self, error: KafkaError, topic: str) -> BackfillError:
        where = f"{topic} at {self._config.bootstrap_servers}".removeprefix(" at ")
        return BackfillError(f"Kafka, {where}: {error.str()} ({error.name()})")
