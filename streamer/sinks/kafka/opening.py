"""The start of the sink `kafka`: what has to be right before the first record."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from streamer.config import GAP_TOPIC, KafkaConfig
from streamer.errors import SettingsError
from streamer.records import load_schema, single_object_header
from streamer.routes import Route
from streamer.sinks.kafka.client import check_client_settings
from streamer.sinks.kafka.sink import KafkaSink
from streamer.sinks.kafka.topics import prepare_topics
from streamer.values import SYMBOL_PLACE, is_topic


def open_kafka_sink(
    config: KafkaConfig, state_directory: Path, routes: Iterable[Route]
) -> KafkaSink:
    """Prepare the topics, ask the registry if there is one, and open the sink.

    Waits for brokers and registry, `kafka.start_within` in all. Raises SinkUnavailable when one
    of them stays away or refuses, and SettingsError for what can never work.
    """
    check_client_settings(config)
    topics = {route: topic_of(config, route) for route in routes}
    kinds = {topic: route.kind for route, topic in topics.items()}
    deadline = time.monotonic() + config.start_within
    prepare_topics(config, kinds, state_directory, deadline)
    return KafkaSink(config, topics, _headers(config, kinds, deadline))


def _headers(config: KafkaConfig, kinds: Mapping[str, str], deadline: float) -> dict[str, bytes]:
    """Return what goes before each record, by topic."""
    if config.schema_registry_url is None:
        return {topic: single_object_header(kind) for topic, kind in kinds.items()}
    # Here, since urllib3 takes 5 MiB and 50 ms, and who has no registry needs neither.
    from streamer.sinks.kafka.registry import wire_headers

    schemas = {topic: load_schema(kind) for topic, kind in kinds.items()}
    return wire_headers(config, schemas, deadline)


def topic_of(config: KafkaConfig, route: Route) -> str:
    """Return the topic of a stream of a symbol. Raises SettingsError."""
    topics = {"gap": GAP_TOPIC, **config.topics}
    try:
        topic = topics[route.kind].replace(SYMBOL_PLACE, route.symbol)
    except KeyError:
        raise SettingsError(
            f"kafka.topics: no topic for the stream {route.kind}; add kafka.topics.{route.kind}"
        ) from None
    if not is_topic(topic):
        raise SettingsError(
            f"kafka.topics.{route.kind}: {topic!r} is no name for a topic; {SYMBOL_PLACE} suits "
            "symbols of plain letters and digits"
        )
    return topic
