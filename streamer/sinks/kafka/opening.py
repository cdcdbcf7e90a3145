"""The start of the sink `kafka`: what has to be right before the first record."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from streamer.config import KafkaConfig
from streamer.data.records import load_schema, single_object_header
from streamer.routes import Route
from streamer.sinks.directories import unavailable
from streamer.sinks.kafka.client import check_client_settings
from streamer.sinks.kafka.overflow import Overflow
from streamer.sinks.kafka.resume import find_positions
from streamer.sinks.kafka.sink import KafkaSink
from streamer.sinks.kafka.topics import prepare_topics, topic_of

OVERFLOW_DIRECTORY = "overflow"
"""Below sink.directory: what waits for Kafka on disk."""


def open_kafka_sink(
    config: KafkaConfig,
    state_directory: Path,
    routes: Iterable[Route],
    *,
    max_age_seconds: float = math.inf,
) -> KafkaSink:
    """Prepare the topics, ask the registry if there is one, and open the sink.

    Records older than `max_age_seconds` are not looked at to find where they end. Waits for brokers
    and registry, `kafka.start_within` in all. Raises SinkUnavailable when one
    of them stays away or refuses, and SettingsError for what can never work.
    """
    check_client_settings(config)
    topics = {route: topic_of(config, route) for route in routes}
    kinds = {topic: route.kind for route, topic in topics.items()}
    deadline = time.monotonic() + config.start_within
    prepare_topics(config, kinds, state_directory, deadline)
    headers = _headers(config, kinds, deadline)
    try:
        overflow = Overflow(state_directory / OVERFLOW_DIRECTORY, config.overflow_bytes)
        positions = find_positions(
            config,
            topics,
            overflow,
            max_age_seconds=max_age_seconds,
            deadline=deadline,
        )
    except OSError as error:
        raise unavailable(state_directory, error) from error
    return KafkaSink(config, topics, headers, overflow, positions)


def _headers(config: KafkaConfig, kinds: Mapping[str, str], deadline: float) -> dict[str, bytes]:
    """Return what goes before each record, by topic."""
    if config.schema_registry_url is None:
        return {topic: single_object_header(kind) for topic, kind in kinds.items()}
    # Here, since urllib3 takes 5 MiB and 50 ms, and who has no registry needs neither.
    from streamer.sinks.kafka.registry import wire_headers

    schemas = {topic: load_schema(kind) for topic, kind in kinds.items()}
    return wire_headers(config, schemas, deadline)
