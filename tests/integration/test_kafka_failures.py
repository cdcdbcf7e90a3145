"""Brokers that restart, die, move, fill up and refuse: what the operator sees, what is lost.

The real streamer under its supervisor, into a real Kafka; the audit compares what an independent
consumer reads with the exchange's tape. Failures of the registry are in test_kafka_real.py.
"""

from __future__ import annotations

import base64
import json
import re
import signal
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ElectionType, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from tests.audit import Audit, audit_records
from tests.disks import fill, small_disk
from tests.exchange import Exchange
from tests.kafka_cluster import KafkaCluster
from tests.kafka_reader import decode, every, records
from tests.ports import free_port
from tests.streaming import Process, at_exchange, eventually
from tests.supervising import Supervised
from tests.waiting import WITHIN_SECONDS

pytestmark = pytest.mark.timeout(900)  # the first run on a machine fetches 190 MB

SECONDS = WITHIN_SECONDS
# A killed node may come back after two seconds instead of nine.
QUICK_SESSIONS = (
    "--set", "broker.session.timeout.ms=2000",
    "--set", "broker.heartbeat.interval.ms=500",
)  # fmt: skip
_SAMPLE = re.compile(r"(?m)^(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Yield one node that knows users: `vigil` may do what its ACLs say, `admin` everything."""
    with KafkaCluster(tmp_path_factory.mktemp("kafka"), "--sasl", *QUICK_SESSIONS) as cluster:
        yield cluster


@pytest.fixture
def kafka(cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    yield cluster
    cluster.start_node(1)  # does nothing unless a test failed


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with Exchange(tmp_path_factory.mktemp("exchange"), rate=300) as running:
        yield running


@pytest.fixture
def topic() -> str:
    """Return a name of this test's own."""
    return uuid.uuid4().hex[:8]


def dead(topic: str) -> str:
    return f"{topic}.dead"


class Vigil:
    """A supervised streamer into a topic; its log and its pages are what an operator sees."""

    def __init__(self, supervised: Supervised, exchange: Exchange, kafka: KafkaCluster) -> None:
        self.supervised, self.exchange, self.kafka = supervised, exchange, kafka
        self.address = f"127.0.0.1:{free_port()}"

    def start(self, topic: str, client: dict[str, str] | None = None, **settings: Any) -> None:
        self.launch(topic, client, **settings)
        self.await_acknowledged(100)

    def launch(self, topic: str, client: dict[str, str] | None = None, **settings: Any) -> None:
        values = {
            **dict(settings_of(self.exchange, self.kafka, topic)),
            "sink.directory": self.supervised.directory / "records",
            "supervisor.drain_grace": 10.0,
            "monitor.metrics_address": self.address,
            **settings,
        }
        self.supervised.start(
            "",
            "run",
            settings=values,
            launcher=("-m", "supervisor"),
            environment=coming_in(self.kafka.admin_client if client is None else client),
        )

    @property
    def log(self) -> str:
        return self.supervised.log.read_text()

    def page(self, page: str) -> str:
        with urllib.request.urlopen(f"http://{self.address}{page}", timeout=60) as answer:
            return answer.read().decode()

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels; 0 when it is not there."""
        try:
            found = _SAMPLE.finditer(self.page("/metrics"))
        except OSError:  # not yet
            return 0.0
        return sum(float(one["value"]) for one in found if one["name"] == name)

    def notices(self, kind: str) -> list[dict[str, Any]]:
        events = json.loads(self.page("/status"))["recent_events"]
        return [event["detail"] for event in events if event["kind"] == kind]

    def rss_bytes(self) -> int:
        """Return what the streamer has now: what is told may be of a moment of its start."""
        return int(self.supervised.streamer().memory_info().rss)

    def await_sink_error(self, error_type: str) -> None:
        eventually(
            lambda: error_type in {one["error_type"] for one in self.notices("sink_error")},
            what=f"a notice of {error_type}",
        )

    def await_log(self, text: str) -> None:
        eventually(lambda: text in self.log, what=f"{text!r} in\n{self.log[-3000:]}")

    def await_metric(self, name: str, at_least: float, within: float = WITHIN_SECONDS) -> None:
        eventually(
            lambda: self.metric(name) >= at_least, what=f"{name} ≥ {at_least}", within=within
        )

    def await_acknowledged(self, more: int) -> None:
        self.await_metric("kafka_messages_produced_total", self.acknowledged + more)

    @property
    def acknowledged(self) -> float:
        return self.metric("kafka_messages_produced_total")

    def stop(self) -> int:
        assert self.supervised.process is not None
        self.supervised.process.send_signal(signal.SIGTERM)
        return self.supervised.exit_code()

    def audits(self, topic: str) -> dict[str, Audit]:
        found = records(self.kafka, topic)
        return {
            symbol: audit_records(self.exchange, found, "trade", symbol)
            for symbol in self.exchange.symbols
        }


def coming_in(client: dict[str, str]) -> dict[str, str]:
    """Return the environment of a streamer with these client settings, a password among them."""
    pairs = ", ".join(f'"{key}" = "{value}"' for key, value in client.items())
    return {"VIGIL_KAFKA__CLIENT": f"{{ {pairs} }}"}


def settings_of(exchange: Exchange, kafka: KafkaCluster, topic: str) -> Iterator[tuple[str, Any]]:
    pairs = at_exchange(exchange)[1::2]
    yield from (pair.split("=", 1) for pair in pairs)  # type: ignore[misc]
    yield from {
        "sink.kind": "kafka",
        "kafka.bootstrap_servers": kafka.bootstrap_servers,
        "kafka.topics": f'{{ trade = "{topic}", gap = "{topic}.gap" }}',
        "kafka.dead_letter_topic": dead(topic),
        "kafka.positions_topic": f"{topic}.positions",
        "kafka.create_topics": "true",
        "kafka.replication_factor": len(kafka.nodes),
        "kafka.partitions": 3,
        "kafka.statistics_every": "1s",
    }.items()


@pytest.fixture
def run(vigil: Supervised, exchange: Exchange, kafka: KafkaCluster) -> Vigil:
    return Vigil(vigil, exchange, kafka)


@pytest.mark.full
def test_a_restarted_broker_costs_nothing(run, kafka, topic):
    run.start(topic)
    kafka.stop_node(1)
    run.await_metric("vigil_sink_queued_records", 300)
    run.await_log("sink: 1/1 brokers are down; connecting goes on")
    run.await_sink_error("all_brokers_down")
    kafka.start_node(1)
    run.await_acknowledged(900)
    assert run.metric("kafka_producers_replaced_total") == 0
    assert run.stop() == 0, run.log
    for audit in run.audits(topic).values():
        assert audit.clean, audit
        assert not audit.backfilled, "nothing had to be fetched: the queue held it"


def overflow_of(run: Vigil) -> list[Path]:
    return list((run.supervised.directory / "records" / "overflow").glob("*"))


def test_while_kafka_is_away_records_wait_on_disk(run, kafka, topic):
    run.start(topic)
    before = run.rss_bytes()
    kafka.stop_node(1)
    run.await_log("Kafka takes nothing: records wait in ")
    run.await_metric("vigil_sink_overflow_records", 1_500)
    assert overflow_of(run)
    assert run.rss_bytes() < before + (20 << 20)
    kafka.start_node(1)
    run.await_log("nothing waits on disk any more")
    run.await_acknowledged(600)
    assert run.metric("vigil_sink_overflow_records") == 0
    eventually(lambda: not overflow_of(run), what="the removal of its files")
    assert run.stop() == 0, run.log
    assert "reading stops" not in run.log
    for audit in run.audits(topic).values():
        assert not audit.missing, audit
        assert not audit.disordered, audit
        assert not audit.backfilled, "the disk held it"


@pytest.mark.full
def test_a_streamer_killed_beside_its_overflow_loses_nothing(run, kafka, topic):
    run.start(topic)
    kafka.stop_node(1)
    run.await_log("Kafka takes nothing: records wait in ")
    run.await_metric("vigil_sink_overflow_records", 3_000)
    run.supervised.streamer().kill()
    kafka.start_node(1)  # the next streamer waits for it
    run.await_log("they are delivered first")
    run.await_log("nothing waits on disk any more")
    run.await_acknowledged(600)
    eventually(lambda: not overflow_of(run), what="the removal of its files")
    assert run.stop() == 0, run.log
    for audit in run.audits(topic).values():
        assert not audit.missing, audit
        assert not audit.disordered, audit


def test_after_a_topic_was_deleted_only_what_it_held_is_lost(run, exchange, kafka, topic):
    administrator = AdminClient(kafka.administrator)
    run.start(topic)
    stall = exchange.fault("stall", duration=3600.0)["number"]

    def all_that_was_sent() -> list[dict[str, Any]] | None:
        withheld = exchange.begun(stall)["withheld"]
        newest = {f"{one['symbol'].lower()}@trade": one["trade_id"] for one in found()}
        sent = {name: one["first_id"] - 1 for name, one in withheld.items()}
        return found() if newest == sent else None

    def found() -> list[dict[str, Any]]:
        return records(kafka, topic)

    held = eventually(all_that_was_sent, what="all that was sent, in the topic", every=0.5)
    administrator.delete_topics([topic])[topic].result(SECONDS)
    exchange.end(stall)
    run.await_log("UNKNOWN_TOPIC")
    administrator.create_topics([NewTopic(topic, 3, 1)])[topic].result(SECONDS)
    run.await_acknowledged(600)
    eventually(lambda: run.metric("vigil_held_events") == 0, what="the end of the repair")
    assert f"{topic}: " in run.log
    assert run.stop() == 0, run.log
    again = records(kafka, topic)
    for symbol in exchange.symbols:
        audit = audit_records(exchange, held + again, "trade", symbol)
        assert audit.clean, audit


def limit(kafka: KafkaCluster, topic: str, size_bytes: int) -> None:
    entry = ConfigEntry(
        "max.message.bytes", str(size_bytes), incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    administrator = AdminClient(kafka.administrator)
    administrator.incremental_alter_configs([resource])[resource].result(SECONDS)


@pytest.mark.full
def test_records_too_large_for_the_topic_are_dead_letters_that_name_the_loss(
    vigil, tmp_path, kafka, topic
):
    with Exchange(tmp_path, rate=20, symbols=["BTCUSDT"]) as exchange:
        run = Vigil(vigil, exchange, kafka)
        run.start(topic)
        limit(kafka, topic, 100)
        run.await_metric("vigil_sink_refused_records_total", 20)
        limit(kafka, topic, 1_000_000)
        run.await_acknowledged(60)
        assert "MSG_SIZE_TOO_LARGE" in run.log
        assert run.stop() == 1, run.log
        (audit,) = run.audits(topic).values()
    letters = [json.loads(value) for _, value in every(kafka, dead(topic))]
    assert {letter["error_type"] for letter in letters} == {"refused"}
    refused = [decode("trade", base64.b64decode(one["base64"]))["trade_id"] for one in letters]
    assert audit.intact
    assert list(audit.missing) == sorted(refused)


def allow(kafka: KafkaCluster, topic: str, operation: AclOperation = AclOperation.WRITE) -> None:
    administrator, theirs = AdminClient(kafka.administrator), acl(topic, operation)
    administrator.create_acls([theirs])[theirs].result(SECONDS)


def forbid(kafka: KafkaCluster, topic: str) -> None:
    administrator, theirs = AdminClient(kafka.administrator), acl_filter(topic)
    administrator.delete_acls([theirs])[theirs].result(SECONDS)


def acl(topic: str, operation: AclOperation) -> AclBinding:
    """Writing includes describing."""
    return AclBinding(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        "User:vigil",
        "*",
        operation,
        AclPermissionType.ALLOW,
    )


def acl_filter(topic: str) -> AclBindingFilter:
    return AclBindingFilter(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        "User:vigil",
        "*",
        AclOperation.WRITE,
        AclPermissionType.ALLOW,
    )


def test_without_authorization_nothing_starts_and_nothing_is_lost(
    run, exchange, kafka, topic, tmp_path
):
    topics = [topic, f"{topic}.gap", f"{topic}.positions", dead(topic)]
    administrator = AdminClient(kafka.administrator)
    for future in administrator.create_topics([NewTopic(one, 3, 1) for one in topics]).values():
        future.result(SECONDS)
    settings = {**dict(settings_of(exchange, kafka, topic)), "kafka.create_topics": "false"}
    settings["sink.directory"] = tmp_path / "records"
    arguments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]

    def refused() -> str:
        with Process(
            tmp_path / "log", "streamer", *arguments, environment=coming_in(kafka.client)
        ) as process:
            assert process.wait(SECONDS) == 5, process.output
            assert "Traceback" not in process.output
            return process.output

    assert f"the topic {topic} may not be used by this user" in refused()
    for one in topics:
        allow(kafka, one)
    assert f"this user needs Read on {topic}.positions" in refused()
    for one in topics:
        allow(kafka, one, AclOperation.READ)
    run.start(topic, kafka.client, **{"kafka.create_topics": "false"})
    forbid(kafka, topic)
    run.await_log("Topic authorization failed")
    run.await_metric("kafka_producers_replaced_total", 1)
    allow(kafka, topic)
    run.await_acknowledged(600)
    assert run.stop() == 0, run.log
    for audit in run.audits(topic).values():
        assert audit.clean, audit


# The long ones -----------------------------------------------------------------------------------


@pytest.mark.full
def test_a_broker_away_for_a_minute_costs_nothing_and_nobody_acts_on_it(run, kafka, topic):
    run.start(topic)
    kafka.kill_node(1)
    back_at = time.monotonic() + 60
    run.await_log("Kafka has acknowledged nothing for")
    eventually(lambda: time.monotonic() >= back_at, within=70)
    run.await_sink_error("stalled")
    with pytest.raises(urllib.error.HTTPError) as refused:
        run.page("/readyz")
    assert "and the sink acknowledged none for" in refused.value.read().decode()
    assert run.page("/healthz")
    kafka.start_node(1)
    run.await_log("Kafka acknowledges records again, after")
    run.await_acknowledged(900)
    assert run.metric("vigil_streamer_generation") == 1
    assert run.metric("binance_connection_rotations_total") == 0
    assert run.stop() == 0, run.log
    for audit in run.audits(topic).values():
        assert audit.clean, audit
        assert not audit.backfilled


def test_what_waits_at_a_stop_is_delivered_first_by_the_next_start(run, kafka, topic):
    run.start(topic)
    kafka.stop_node(1)
    run.await_metric("vigil_sink_queued_records", 300)
    assert run.stop() == 1, run.log
    (said,) = set(re.findall(r"(\d+) records wait in \S+: the next start delivers", run.log))
    assert int(said) >= 300
    assert overflow_of(run)
    kafka.start_node(1)
    run.start(topic)
    assert f"{said} records wait in" in run.log
    eventually(lambda: not overflow_of(run), what="the removal of its files")
    assert run.stop() == 0, run.log
    for audit in run.audits(topic).values():
        assert audit.clean, audit


def test_a_start_while_kafka_is_away_streams_and_is_not_ready(run, kafka, topic):
    run.start(topic)
    assert run.stop() == 0, run.log
    kafka.stop_node(1)
    run.launch(topic)
    run.await_log("until Kafka answers")
    run.await_metric("vigil_sink_overflow_records", 600)
    with pytest.raises(urllib.error.HTTPError) as refused:
        run.page("/readyz")
    assert "has not answered since the start" in refused.value.read().decode()
    assert run.page("/healthz")
    kafka.start_node(1)
    run.await_log("Kafka has answered: ")
    run.await_log("nothing waits on disk any more")
    run.await_acknowledged(300)
    assert run.metric("vigil_streamer_generation") == 1
    eventually(lambda: not overflow_of(run), what="the removal of its files")
    assert run.stop() == 0, run.log
    for audit in run.audits(topic).values():
        assert audit.clean, audit


@pytest.mark.full
def test_a_full_disk_beside_a_kafka_that_is_away_costs_no_trade(vigil, tmp_path, kafka, topic):
    patience = ("--ping-interval", "3s", "--pong-timeout", "12s")
    with (
        small_disk(tmp_path / "disk") as disk,
        Exchange(tmp_path, rate=300, extra=patience) as exchange,
    ):
        run = Vigil(vigil, exchange, kafka)
        run.start(topic, **{"sink.directory": disk / "records"})
        before = run.rss_bytes()
        kafka.stop_node(1)
        run.await_log("Kafka takes nothing: records wait in ")
        fill(disk / "filler")
        run.await_log("No space left on device")
        run.await_log("what comes now is read and dropped")
        eventually(lambda: run.metric("vigil_events_let_go_total") >= 3_000)
        assert run.rss_bytes() < before + (20 << 20)
        (disk / "filler").unlink()
        run.await_log("events were dropped")
        kafka.start_node(1)
        run.await_log("nothing waits on disk any more")
        run.await_acknowledged(600)
        eventually(lambda: run.metric("vigil_held_events") == 0)
        assert exchange.status()["attempts_total"] == 1, "no pong was late"
        assert run.stop() == 0, run.log
        for audit in run.audits(topic).values():
            assert audit.clean, audit
            assert audit.backfilled


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    with KafkaCluster(tmp_path_factory.mktemp("three"), "--nodes=3", *QUICK_SESSIONS) as cluster:
        yield cluster


def leaders(kafka: KafkaCluster, topic: str) -> list[int]:
    partitions = AdminClient(kafka.administrator).list_topics(topic, SECONDS).topics[topic]
    return [partition.leader for partition in partitions.partitions.values()]


@pytest.mark.full
def test_leaders_that_move_cost_nothing(vigil, exchange, three, topic):
    run = Vigil(vigil, exchange, three)
    run.start(topic)
    first = leaders(three, topic)
    three.stop_node(first[0])
    run.await_acknowledged(300)
    assert leaders(three, topic) != first
    three.start_node(first[0])
    partitions = [TopicPartition(topic, number) for number in range(3)]

    def elected() -> bool:
        administrator = AdminClient(three.administrator)
        administrator.elect_leaders(ElectionType.PREFERRED, partitions).result(SECONDS)
        return leaders(three, topic) == first

    eventually(elected, every=0.5)
    run.await_acknowledged(600)
    assert run.metric("kafka_producers_replaced_total") == 0
    assert run.stop() == 0, run.log
    for audit in run.audits(topic).values():
        assert audit.clean, audit
        assert not audit.backfilled


@pytest.mark.full
def test_one_of_three_killed_costs_nothing_and_two_of_three_stop_everything(
    vigil, exchange, three, topic
):
    run = Vigil(vigil, exchange, three)
    run.start(topic)
    three.kill_node(1)
    run.await_acknowledged(600)
    assert "Kafka has acknowledged nothing" not in run.log
    three.kill_node(2)
    run.await_log("Kafka has acknowledged nothing for")
    three.start_node(2)
    run.await_log("Kafka acknowledges records again, after")
    three.start_node(1)
    run.await_acknowledged(600)
    assert run.stop() == 0, run.log
    for audit in run.audits(topic).values():
        assert audit.clean, audit
        assert not audit.backfilled


@pytest.mark.full
def test_a_full_disk_stops_the_broker_and_costs_nothing_once_there_is_room(
    vigil, exchange, tmp_path, topic
):
    options = (*QUICK_SESSIONS, "--set", "log.flush.interval.messages=1")
    with (
        small_disk(tmp_path / "disk") as disk,
        KafkaCluster(tmp_path / "kafka", f"--log-directory={disk}", *options) as kafka,
    ):
        run = Vigil(vigil, exchange, kafka)
        run.start(topic)
        fill(disk / "filler")
        eventually(lambda: kafka.status()["nodes"][0]["pid"] is None, every=1)
        assert "No space left on device" in Path(kafka.nodes[0]["log"]).read_text()
        run.await_log("Kafka has acknowledged nothing for")
        (disk / "filler").unlink()
        kafka.start_node(1)
        run.await_log("Kafka acknowledges records again, after")
        run.await_acknowledged(600)
        assert run.stop() == 0, run.log
        for audit in run.audits(topic).values():
            assert audit.clean, audit
            assert not audit.backfilled
