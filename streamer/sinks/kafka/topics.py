"""Topics before the first record: they exist, or are created; their partitions are as before.

With another number of partitions a symbol's records go on in another one, and nobody can tell
their order any more; so a change wants to be confirmed.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable
from concurrent.futures import TimeoutError as NotInTime
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is documented

from streamer.config import RECORD_TOPICS, KafkaConfig
from streamer.errors import SettingsError, SinkAway, SinkUnavailable
from streamer.routes import Route
from streamer.sinks.kafka.client import make_administrator
from streamer.values import SYMBOL_PLACE, is_topic

CREATED_PARTITIONS = 6  # of a topic that is created while kafka.partitions says nothing
STATE_FILE = "kafka-topics.json"  # {cluster id: {topic: partitions}}
_ASK_SECONDS = 5.0
_SETTLE_SECONDS = 0.2  # between looks at topics that were created a moment ago

_log = logging.getLogger(__name__)


def topic_of(config: KafkaConfig, route: Route) -> str:
    """Return the topic of a stream of a symbol. Raises SettingsError."""
    try:
        topic = _templates(config)[route.kind].replace(SYMBOL_PLACE, route.symbol)
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


def topics_of_kinds(config: KafkaConfig, kinds: Iterable[str]) -> dict[str, str]:
    """Return the kinds by topic, of those whose topic is the same for each symbol."""
    templates = _templates(config)
    return {
        templates[kind]: kind
        for kind in kinds
        if kind in templates and SYMBOL_PLACE not in templates[kind]
    }


def without_topic(config: KafkaConfig, kinds: Iterable[str], symbols: Iterable[str]) -> set[str]:
    """Return the symbols after which a topic is to be named that no topic can be named after."""
    templates = _templates(config)
    named = {templates[kind] for kind in kinds if SYMBOL_PLACE in templates.get(kind, "")}
    return {
        symbol
        for symbol in symbols
        if not all(is_topic(template.replace(SYMBOL_PLACE, symbol)) for template in named)
    }


def _templates(config: KafkaConfig) -> dict[str, str]:
    return {**RECORD_TOPICS, **config.topics}


def prepare_topics(
    config: KafkaConfig, topics: Iterable[str], state_directory: Path, deadline: float
) -> None:
    """See to it that every topic is there, with the partitions it had.

    Waits for brokers until `deadline` (monotonic). The topics of dead letters and of positions may
    have any number of partitions. Raises SinkUnavailable, or SettingsError for settings that no
    client takes.
    """
    topics = tuple(topics)
    others = config.dead_letter_topic, config.positions_topic
    wanted = (*topics, *filter(None, others))
    administrator = make_administrator(config)
    cluster_id, found = _look(administrator, config, deadline)
    missing = [topic for topic in wanted if topic not in found]
    if missing and config.create_topics:
        _create(administrator, config, missing, deadline)
        while any(topic not in found for topic in wanted):
            if time.monotonic() >= deadline:
                raise SinkAway(f"topics were created and did not appear: {missing}")
            time.sleep(_SETTLE_SECONDS)
            cluster_id, found = _look(administrator, config, deadline)
    elif missing:
        raise SinkUnavailable(_missing(administrator, missing))
    if config.partitions is None:
        _compare(state_directory / STATE_FILE, cluster_id, {one: found[one] for one in topics})
    else:
        _expect(config.partitions, {one: found[one] for one in topics})


def _look(
    administrator: AdminClient, config: KafkaConfig, deadline: float
) -> tuple[str, dict[str, int]]:
    """Return the cluster's id and the partitions by topic, of all that this user may see."""
    warned = False
    while True:
        within = min(max(deadline - time.monotonic(), 0.1), _ASK_SECONDS)
        try:
            # All topics: asking for one by name would create it where brokers do that.
            metadata = administrator.list_topics(timeout=within)
        except KafkaException as error:
            problem: KafkaError = error.args[0]
            if time.monotonic() >= deadline:
                raise SinkAway(
                    f"kafka.bootstrap_servers = {config.bootstrap_servers}: no broker answered "
                    f"within kafka.start_within ({config.start_within:g} s): {problem.str()}; "
                    "see the lines above for each broker's trouble"
                ) from error
            if not warned:
                _log.warning("waiting for Kafka at %s: %s", config.bootstrap_servers, problem.str())
                warned = True
        else:
            topics = {
                name: len(topic.partitions)
                for name, topic in metadata.topics.items()
                if topic.error is None
            }
            return str(metadata.cluster_id), topics


def _create(
    administrator: AdminClient, config: KafkaConfig, topics: list[str], deadline: float
) -> None:
    new = [_new(config, topic) for topic in topics]
    within = max(deadline - time.monotonic(), 1.0)
    # Of two streamers that start together, one creates: the other hears that it is there.
    results = administrator.create_topics(new, operation_timeout=within, request_timeout=within)
    for topic, future in results.items():
        try:
            future.result(within)
        except KafkaException as error:
            problem: KafkaError = error.args[0]
            if problem.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                partitions, copies, _ = _shape(config, topic)
                raise SinkUnavailable(
                    f"the topic {topic} cannot be created ({partitions} partitions, "
                    f"kafka.replication_factor = {copies}): {problem.str()} ({problem.name()})"
                ) from error
        except NotInTime as error:
            raise SinkAway(f"the topic {topic} was not created in time") from error
        else:
            _log.info(
                "created topic %s: %d partitions, %d replicas, %s",
                topic,
                *_shape(config, topic),
            )


def _new(config: KafkaConfig, topic: str) -> NewTopic:
    partitions, copies, settings = _shape(config, topic)
    return NewTopic(topic, partitions, copies, config=settings)


def _shape(config: KafkaConfig, topic: str) -> tuple[int, int, dict[str, str]]:
    """Return partitions, replicas and settings of a topic that is created."""
    copies = config.replication_factor
    if topic == config.positions_topic:
        partitions, settings = 1, {"cleanup.policy": "compact"}  # a few messages a second
    else:
        partitions = config.partitions or CREATED_PARTITIONS
        settings = {"retention.ms": str(round(config.retention * 1000)), "cleanup.policy": "delete"}
    if copies >= 3:
        settings["min.insync.replicas"] = "2"  # acknowledged is then on two brokers at least
    return partitions, copies, settings


def _missing(administrator: AdminClient, topics: list[str]) -> str:
    """Say what is wrong with topics that cannot be seen: they are absent, or not for this user."""
    told = []
    asked = administrator.describe_topics(TopicCollection(topics), request_timeout=_ASK_SECONDS)
    for topic, future in asked.items():
        try:
            future.result(_ASK_SECONDS)
            reason = "appeared this moment"
        except KafkaException as error:
            denied = error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
            reason = (
                "may not be used by this user (it needs Describe, Read and Write)" if denied else ""
            )
        except NotInTime:
            reason = ""
        told.append(f"the topic {topic} {reason or 'does not exist'}")
    return (
        f"{'; '.join(told)}. Create what is missing, or let kafka.create_topics = true do it, "
        "with kafka.partitions, kafka.replication_factor and kafka.retention"
    )


def _expect(partitions: int, found: dict[str, int]) -> None:
    wrong = [f"{topic} has {count}" for topic, count in found.items() if count != partitions]
    if wrong:
        raise SinkUnavailable(
            f"kafka.partitions = {partitions}, but {'; '.join(wrong)}: with another number a "
            "symbol's records go on in another partition. State the number that is meant"
        )


def _compare(path: Path, cluster_id: str, found: dict[str, int]) -> None:
    """Refuse a number of partitions that is not the recorded one; record what is new."""
    try:
        recorded: dict[str, dict[str, Any]] = json.loads(path.read_text())
    except FileNotFoundError:
        recorded = {}
    except (OSError, ValueError) as error:
        raise SinkUnavailable(
            f"{path}: cannot be read ({error}), so that nobody knows whether the topics' "
            "partitions have changed; set kafka.partitions, or delete the file"
        ) from error
    known = recorded.setdefault(cluster_id, {})
    changed = [
        f"{topic} has {count}, and had {known[topic]}"
        for topic, count in found.items()
        if known.get(topic, count) != count
    ]
    if changed:
        counts = set(found.values())
        confirm = f"kafka.partitions = {counts.pop()}" if len(counts) == 1 else "kafka.partitions"
        raise SinkUnavailable(
            f"the number of partitions has changed: {'; '.join(changed)}. A symbol's records would "
            f"go on in another partition, out of order for who reads them. Confirm with {confirm}, "
            f"or by deleting {path}"
        )
    if found.keys() <= known.keys():
        return
    known.update(found)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".json.new")
        beside.write_text(json.dumps(recorded, indent=2) + "\n")
        os.replace(beside, path)  # noqa: PTH105 - the atomic one
    except OSError as error:
        raise SinkUnavailable(
            f"{path}: cannot be written ({error.strerror}); the number of partitions is recorded "
            "there. Give a sink.directory that can be written, or set kafka.partitions"
        ) from error
