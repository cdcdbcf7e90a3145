"""One Kafka node, broker and controller in one process: its properties, its start, its health."""

import os
from collections.abc import Mapping
from pathlib import Path

from .java import QUICK_START, java, run_to_end
from .processes import Process, spawn
from .settings import SUPER_USER, Settings
from .wire import live_brokers

_ANSWER_SECONDS = 2.0  # a broker that does not answer by then is asked again
_LOG_OPTIONS = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
    # Every default, 1,400 lines at each start; server.properties says what differs.
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
)


def home(directory: Path, node: int) -> Path:
    """Return the directory of a node: properties, log, pid."""
    return directory / f"node-{node}"


def log_file(directory: Path, node: int) -> Path:
    """Return where a node's output goes, over all its starts."""
    return home(directory, node) / "broker.log"


def properties(settings: Settings, directory: Path, node: int) -> dict[str, str]:
    """Return the ``server.properties`` of a node; what was asked for overrides everything."""
    wishes, ports = settings.wishes, settings.nodes[node]
    here = home(directory, node)
    data = Path(wishes.log_directory, here.name) if wishes.log_directory else here / "data"
    replicas = str(len(settings.nodes))
    in_sync = str(len(settings.nodes) // 2 + 1)  # one of three may be away
    result = {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": ",".join(
            f"{n}@127.0.0.1:{each.controller}" for n, each in settings.nodes.items()
        ),
        "listeners": _listeners(
            CLIENT=ports.client, INTERNAL=ports.internal, CONTROLLER=ports.controller
        ),
        "advertised.listeners": _listeners(CLIENT=ports.client, INTERNAL=ports.internal),
        "listener.security.protocol.map": (
            f"CLIENT:{settings.client_protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        # Apart from the data, so that a full data directory fails alone.
        "metadata.log.dir": str(here / "metadata"),
        # A misspelt topic must be an error.
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        # Kafka's own topics: as many replicas as there can be, and few partitions to be quick.
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        # A test's consumer group has its members at once.
        "group.initial.rebalance.delay.ms": "0",
    }
    if wishes.sasl:
        result |= _access(settings)
    if wishes.tls:
        result |= {
            "listener.name.client.ssl.keystore.type": "PKCS12",
            "listener.name.client.ssl.keystore.location": str(directory / "server.p12"),
            "listener.name.client.ssl.keystore.password": settings.keystore_password,
        }
    return result | wishes.properties


def _listeners(**ports: int) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


def _access(settings: Settings) -> dict[str, str]:
    users = " ".join(f'user_{name}="{word}"' for name, word in settings.passwords.items())
    login = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.client.plain.sasl.jaas.config": f"{login} required {users};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Anonymous are only the nodes themselves: the client listener demands a name.
        "super.users": f"User:{SUPER_USER};User:ANONYMOUS",
    }


def prepare(settings: Settings, directory: Path, node: int, jars: Path) -> None:
    """Write the node's properties and format its storage, both once in a cluster's life."""
    here = home(directory, node)
    file = here / "server.properties"
    if file.exists():
        return
    here.mkdir(parents=True)
    content = properties(settings, directory, node)
    for key in ("log.dirs", "metadata.log.dir"):
        for path in content[key].split(","):
            Path(path).mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unformatted")
    unfinished.touch(mode=0o600)  # it may hold passwords
    unfinished.write_text(_java_properties(content))
    tool = [*QUICK_START, "-Xmx64m", "-cp", f"{jars}/*", "kafka.tools.StorageTool", "format"]
    # With "=": an id may begin with a dash.
    arguments = [f"--cluster-id={settings.cluster_id}", "--config", str(unfinished)]
    run_to_end([java(), *tool, *arguments], here / "format.log")
    unfinished.rename(file)


def _java_properties(content: Mapping[str, str]) -> str:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace("\n", "\\n")

    return "".join(f"{key}={escaped(value)}\n" for key, value in content.items())


def launch(settings: Settings, directory: Path, node: int, jars: Path) -> Process:
    """Start a node's process; it is ready when ``knows`` says so."""
    here = home(directory, node)
    machine = [f"-Xmx{settings.wishes.heap_mib}m", "-XX:+ExitOnOutOfMemoryError"]
    if not settings.wishes.optimize:
        machine += QUICK_START  # a start takes 2.5 CPU seconds instead of 4.4
    options = [*machine, *_LOG_OPTIONS, "-cp", f"{jars}/*"]
    command = [java(), *options, "kafka.Kafka", str(here / "server.properties")]
    return spawn(command, here, log_file(directory, node), os.environ)


def knows(settings: Settings, node: int) -> set[int]:
    """Return the nodes that this one knows to be in service; nothing while it does not answer."""
    try:
        return live_brokers(settings.nodes[node].internal, _ANSWER_SECONDS)
    except OSError:
        return set()
