"""The start of the sink `kafka`: what has to be right before the first record."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from streamer.config import KafkaConfig
from streamer.data.records import load_schema, single_object_header
from streamer.errors import SinkAway
from streamer.order.positions import Position
from streamer.routes import Route
from streamer.sinks.directories import OVERFLOW_DIRECTORY, unavailable
from streamer.sinks.kafka.client import check_client_settings
from streamer.sinks.kafka.late_opening import LateOpening
from streamer.sinks.kafka.late_topics import LateTopics
from streamer.sinks.kafka.local_notes import NoteKeeper, Notes, header_key, read_notes
from streamer.sinks.kafka.overflow import Overflow
from streamer.sinks.kafka.producer import RestartableProducer
from streamer.sinks.kafka.resume import find_positions, remembered_positions
from streamer.sinks.kafka.sink import KafkaSink
from streamer.sinks.kafka.topics import prepare_topics, topic_of, topics_of_kinds

FIRST_ANSWER_SECONDS = 5.0  # brokers answer in milliseconds, and some streams have no past to fetch

_log = logging.getLogger(__name__)


def open_kafka_sink(
    config: KafkaConfig,
    state_directory: Path,
    routes: Iterable[Route],
    *,
    kinds: Iterable[str] = (),
    max_age_seconds: float = math.inf,
    deliver_within_seconds: float | None = None,
) -> KafkaSink:
    """Prepare the topics, ask the registry if there is one, and open the sink.

    The topics are those of the routes, and of the `kinds` whose routes may come later, as far as
    they can be told without a symbol.

    What Kafka has not taken `deliver_within_seconds` after it was produced is taken back, and
    produced again. Records older than `max_age_seconds` are not looked at to find where they end.

    Waits for brokers and registry, `kafka.start_within` in all; where local notes tell what they
    would, only for some seconds, and goes on trying behind a sink that puts records on disk. Raises
    SinkUnavailable when one of them stays away or refuses, and SettingsError for what can never
    work.
    """
    check_client_settings(config)
    topics = {route: topic_of(config, route) for route in routes}
    kind_of = topics_of_kinds(config, kinds) | {topic: one.kind for one, topic in topics.items()}
    with_notes = config.start_without_brokers and bool(config.positions_topic)
    notes = read_notes(state_directory, max_age_seconds) if with_notes else None
    deadline = time.monotonic() + config.start_within
    first_answer = deadline
    if notes is not None:
        first_answer = min(deadline, time.monotonic() + FIRST_ANSWER_SECONDS)
    asked = config  # its start_within is what errors tell
    if notes is not None:
        asked = replace(config, start_within=min(config.start_within, FIRST_ANSWER_SECONDS))
    headers = _headers(asked, kind_of, first_answer, notes)
    keeper = NoteKeeper(state_directory, _noted_headers(config, kind_of, headers), notes)
    try:
        overflow = Overflow(state_directory / OVERFLOW_DIRECTORY, config.overflow_bytes)
    except OSError as error:
        raise unavailable(state_directory, error) from error
    opening: LateOpening | None = None
    try:
        prepare_topics(asked, kind_of, state_directory, first_answer)
        positions = find_positions(
            config,
            topics,
            overflow,
            max_age_seconds=max_age_seconds,
            deadline=deadline,
        )
    except OSError as error:
        raise unavailable(state_directory, error) from error
    except SinkAway as away:
        positions = _remembered(notes, topics, overflow, away)
        opening = LateOpening(
            lambda: prepare_topics(
                config, kind_of, state_directory, time.monotonic() + config.start_within
            )
        )

    def prepare_later(kinds: Mapping[str, str]) -> Mapping[str, bytes]:
        deadline = time.monotonic() + config.start_within
        prepare_topics(config, kinds, state_directory, deadline)
        more = _headers(config, kinds, deadline, notes)
        keeper.add_headers(_noted_headers(config, kinds, more))
        return more

    return KafkaSink(
        config,
        topics,
        headers,
        overflow,
        positions,
        kinds=kind_of,
        make_producer=partial(RestartableProducer, deliver_within_seconds=deliver_within_seconds),
        notes=keeper if with_notes else None,
        opening=opening,
        late_topics=LateTopics(prepare_later) if config.create_topics else None,
        watches_writers=bool(config.positions_topic),
    )


def _remembered(
    notes: Notes | None, topics: Mapping[Route, str], overflow: Overflow, away: SinkAway
) -> dict[str, Position]:
    """Return where the routes end by what is known here. Raises `away` where that is not enough."""
    if notes is None:
        raise away
    try:
        positions = remembered_positions(notes.positions, topics, overflow)
    except OSError as error:
        raise unavailable(overflow.directory, error) from error
    if positions is None:
        raise SinkAway(
            f"{away}. Without Kafka nobody knows where the records of streams end that are new "
            "here: a start with them needs it, one with the streams of the run before does not"
        ) from away
    _log.warning("%s. It is tried again; streams go on after what is noted here", away)
    return positions


def _headers(
    config: KafkaConfig, kinds: Mapping[str, str], deadline: float, notes: Notes | None
) -> dict[str, bytes]:
    """Return what goes before each record, by topic.

    A registry's ids hold for ever: those that were noted do when it is away.
    """
    if config.schema_registry_url is None:
        return {topic: single_object_header(kind) for topic, kind in kinds.items()}
    # Here, since HTTP takes 0.7 MiB, and who has no registry needs none at a start.
    from streamer.sinks.kafka.registry import wire_headers

    schemas = {topic: load_schema(kind) for topic, kind in kinds.items()}
    try:
        return wire_headers(config, schemas, deadline)
    except SinkAway as away:
        noted = notes.headers if notes is not None else {}
        keys = _header_keys(config, kinds)
        if any(key not in noted for key in keys.values()):
            raise
        _log.warning("%s; the ids that it returned before are used", away)
        return {topic: bytes.fromhex(noted[key]) for topic, key in keys.items()}


def _noted_headers(
    config: KafkaConfig, kinds: Mapping[str, str], headers: Mapping[str, bytes]
) -> dict[str, str]:
    if config.schema_registry_url is None:
        return {}
    return {key: headers[topic].hex() for topic, key in _header_keys(config, kinds).items()}


def _header_keys(config: KafkaConfig, kinds: Mapping[str, str]) -> dict[str, str]:
    url = config.schema_registry_url or ""
    return {
        topic: header_key(url, topic, single_object_header(kind)) for topic, kind in kinds.items()
    }
