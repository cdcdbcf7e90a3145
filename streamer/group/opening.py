"""The group of a streamer, opened: its topic, its membership, and what follows it."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # it is documented

from streamer.config import GroupConfig, KafkaConfig, StreamerConfig
from streamer.errors import SettingsError, SinkAway, SinkUnavailable
from streamer.feed_counters import FeedCounters
from streamer.group.membership import Membership
from streamer.group.ownership import Member
from streamer.group.position_finder import PositionFinder
from streamer.group.shard_routes import ShardRoutes
from streamer.group.shard_streams import ShardStreams
from streamer.routes import Routes
from streamer.sinks.kafka import KafkaSink
from streamer.sinks.kafka.client import make_administrator
from streamer.subscription_manager import SubscriptionManager

_ASK_SECONDS = 5.0
_SETTLE_SECONDS = 0.2


def open_shard_streams(
    config: StreamerConfig,
    symbols: Iterable[str],
    subscriptions: SubscriptionManager,
    shard_routes: ShardRoutes,
    routes: Routes,
    sink: KafkaSink,
    counters: FeedCounters,
    wake: Callable[[], None],
) -> ShardStreams:
    """Prepare the topic of shards, and a membership of the group, which is joined by its `start`.

    Raises SinkUnavailable when there is no such topic, SettingsError for a wrong one.
    """
    group = config.group
    prepare_topic(group, config.kafka)
    name = f"{group.member or socket.gethostname()}.{config.name}"
    member = Member(name, f"{name}-{secrets.token_hex(4)}", group.handover_within)
    membership = Membership(group, config.kafka, member, wake)
    return ShardStreams(
        config.exchange.streams,
        symbols,
        subscriptions,
        shard_routes,
        routes,
        membership,
        PositionFinder(config.kafka, config.repair.max_age, wake),
        sink,
        counters,
        group_id=group.id,
        shard_count=group.shards,
        # Half of what the group waits for: the other half is for what is found late.
        pause_seconds=group.session_timeout / 2,
    )


def prepare_topic(group: GroupConfig, kafka: KafkaConfig) -> None:
    """See to it that the topic of shards is there, with a partition for each of them."""
    administrator = make_administrator(kafka)
    deadline = time.monotonic() + kafka.start_within
    asked = False
    while True:
        try:
            topics = administrator.list_topics(timeout=_ASK_SECONDS).topics
        except KafkaException as error:
            if time.monotonic() < deadline:
                time.sleep(_SETTLE_SECONDS)
                continue
            raise SinkAway(
                f"the topic {group.topic} (group.topic) was asked for {kafka.start_within:g} s "
                f"(kafka.start_within): {error.args[0].str()}"
            ) from error
        if group.topic in topics and topics[group.topic].error is None:
            break
        if not kafka.create_topics:
            raise SinkUnavailable(
                f"the topic {group.topic} (group.topic) does not exist: create it with "
                f"{group.shards} partitions (group.shards) and cleanup.policy=compact, or let "
                "kafka.create_topics = true do it"
            )
        if time.monotonic() >= deadline:
            raise SinkAway(f"the topic {group.topic} was created and did not appear")
        if not asked:
            asked = True
            _create(administrator, group, kafka)
        time.sleep(_SETTLE_SECONDS)
    found = len(topics[group.topic].partitions)
    if found != group.shards:
        raise SettingsError(
            f"group.shards = {group.shards}: the topic {group.topic} has {found} partitions; all "
            "members need the same number, and a change of it moves symbols while nobody runs"
        )


def _create(administrator, group: GroupConfig, kafka: KafkaConfig) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    settings = {"cleanup.policy": "compact"}
    if kafka.replication_factor >= 3:
        settings["min.insync.replicas"] = "2"
    new = NewTopic(group.topic, group.shards, kafka.replication_factor, config=settings)
    try:
        administrator.create_topics([new])[group.topic].result(_ASK_SECONDS)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another member was quicker
            raise SinkUnavailable(
                f"the topic {group.topic} cannot be created: {error.args[0].str()}"
            ) from error
