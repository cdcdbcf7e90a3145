"""scripts/kafka: a real broker and registry, seen by three independent clients."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented, yet not re-exported
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from tests.kafka_cluster import SCRIPT, KafkaCluster
from tests.waiting import WITHIN_SECONDS, eventually

pytestmark = pytest.mark.timeout(900)  # the first run on a machine fetches 190 MB

DEADLINE_SECONDS = WITHIN_SECONDS


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    with KafkaCluster(tmp_path_factory.mktemp("kafka"), "--registry") as cluster:
        yield cluster


def create_topic(cluster: KafkaCluster, topic: str) -> None:
    new = NewTopic(topic, num_partitions=1, replication_factor=len(cluster.nodes))
    administrator = AdminClient(cluster.administrator)  # must live until the result is there
    administrator.create_topics([new])[topic].result(DEADLINE_SECONDS)


def produce(cluster: KafkaCluster, topic: str, value: bytes) -> KafkaError | None:
    """Produce one record and return what its delivery report says."""
    outcomes: list[KafkaError | None] = []
    settings = {"bootstrap.servers": cluster.bootstrap_servers, **cluster.client}
    producer = Producer({**settings, "enable.idempotence": True})
    producer.produce(topic, value, b"key", on_delivery=lambda error, _: outcomes.append(error))
    assert producer.flush(DEADLINE_SECONDS) == 0
    return outcomes[0]


def consume(cluster: KafkaCluster, topic: str) -> bytes:
    settings = {"bootstrap.servers": cluster.bootstrap_servers, **cluster.client}
    consumer = Consumer({**settings, "group.id": "reader", "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([topic])
        message = consumer.poll(DEADLINE_SECONDS)
        assert message is not None, "nothing came"
        assert message.error() is None
        value = message.value()
        assert isinstance(value, bytes)
        return value
    finally:
        consumer.close()


def kcat(*arguments: str, stdin: str = "") -> str:
    result = subprocess.run(
        ["kcat", *arguments], input=stdin, capture_output=True, text=True, timeout=180, check=True
    )
    return result.stdout


def call(url: str, body: object = None) -> Any:
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as response:
        return json.load(response)


def processes_of(directory: Path) -> list[str]:
    """The command lines that name a directory, of all processes on the machine."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended meanwhile
        if str(directory) in command:
            found.append(command)
    return found


def wait_until_gone(directory: Path) -> None:
    eventually(lambda: not processes_of(directory), told=lambda: str(processes_of(directory)))


def test_a_record_goes_from_one_client_to_another(kafka: KafkaCluster) -> None:
    create_topic(kafka, "round-trip")
    assert produce(kafka, "round-trip", b"from confluent_kafka") is None
    address = ("-b", kafka.bootstrap_servers, "-t", "round-trip")
    assert kcat("-C", *address, "-e", "-q", "-f", "%k=%s") == "key=from confluent_kafka"

    create_topic(kafka, "back")
    kcat("-P", "-b", kafka.bootstrap_servers, "-t", "back", stdin="from kcat\n")
    assert consume(kafka, "back") == b"from kcat"


def test_a_topic_that_nobody_created_is_an_error(kafka: KafkaCluster) -> None:
    metadata = AdminClient(kafka.administrator).list_topics("misspelt", timeout=DEADLINE_SECONDS)
    error = metadata.topics["misspelt"].error
    assert error is not None
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_the_registry_keeps_ids_and_refuses_what_does_not_fit(kafka: KafkaCluster) -> None:
    def record(*fields: dict[str, str]) -> dict[str, str]:
        return {"schema": json.dumps({"type": "record", "name": "trade", "fields": fields})}

    versions = f"{kafka.registry_url}/subjects/trades-value/versions"
    schema = record({"name": "price", "type": "string"})
    schema_id = call(versions, schema)["id"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        call(versions, record({"name": "other", "type": "string"}))
    assert refused.value.code == 409

    kafka.stop_registry()
    with pytest.raises(urllib.error.URLError):
        call(f"{kafka.registry_url}/subjects")
    kafka.start_registry()
    assert json.loads(call(f"{kafka.registry_url}/schemas/ids/{schema_id}")["schema"]) == (
        json.loads(schema["schema"])
    )


def test_run_gives_the_command_a_cluster_and_leaves_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "kafka"
    program = "import os, sys; print(os.environ['VIGIL_KAFKA__BOOTSTRAP_SERVERS']); sys.exit(7)"
    result = subprocess.run(
        [SCRIPT, "run", "--directory", directory, "--", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (7, "")
    assert result.stdout.startswith("127.0.0.1:")
    assert processes_of(directory) == []


def test_a_terminated_run_ends_its_command_and_its_cluster(tmp_path: Path) -> None:
    directory = tmp_path / "kafka"
    program = f"import time; print(1, flush=True); time.sleep(900)  # {directory}"
    run = subprocess.Popen(
        [SCRIPT, "run", "--directory", directory, "--", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
    )
    try:
        assert run.stdout is not None
        assert run.stdout.readline(), "the command did not start"
        run.terminate()
        assert run.wait(DEADLINE_SECONDS) == 143
        assert processes_of(directory) == []
    finally:
        run.kill()
        run.communicate()


def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    result = subprocess.run(
        [SCRIPT, "start", "--registry", "--directory", tmp_path, "--set", "num.io.threads=0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "num.io.threads" in result.stderr
    assert processes_of(tmp_path) == []


def test_a_cluster_ends_with_the_tests_that_are_killed(tmp_path: Path) -> None:
    directory = tmp_path / "kafka"
    start = [str(SCRIPT), "start", "--die-with-parent", "--directory", str(directory)]
    program = f"import subprocess, time; subprocess.run({start!r}, check=True); time.sleep(900)"
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline(), "it did not start"
        assert any("kafka.Kafka" in command for command in processes_of(directory))
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.communicate()
    wait_until_gone(directory)


@pytest.mark.full
def test_three_nodes_with_tls_and_access_control_survive_a_kill(tmp_path: Path) -> None:
    with KafkaCluster(tmp_path / "kafka", "--nodes=3", "--sasl", "--tls") as kafka:
        create_topic(kafka, "guarded")
        refused = produce(kafka, "guarded", b"nobody said yes")
        assert refused is not None
        assert refused.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        allow(kafka, ResourceType.TOPIC, "guarded", AclOperation.WRITE)
        allow(kafka, ResourceType.TOPIC, "guarded", AclOperation.READ)
        allow(kafka, ResourceType.GROUP, "reader", AclOperation.READ)
        kafka.kill_node(2)
        assert produce(kafka, "guarded", b"written to two") is None
        kafka.start_node(2)
        kafka.stop_node(1)
        assert consume(kafka, "guarded") == b"written to two"
    assert processes_of(kafka.directory) == []


def allow(cluster: KafkaCluster, kind: ResourceType, name: str, operation: AclOperation) -> None:
    binding = AclBinding(
        kind,
        name,
        ResourcePatternType.LITERAL,
        "User:vigil",
        "*",
        operation,
        AclPermissionType.ALLOW,
    )
    administrator = AdminClient(cluster.administrator)
    administrator.create_acls([binding])[binding].result(DEADLINE_SECONDS)
