"""What a cluster is: asked for once, then kept in its directory's cluster.json."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .ports import free_ports

SUPER_USER, PLAIN_USER = "admin", "vigil"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks for; a stopped cluster starts again only with the same."""

    nodes: int = 1
    registry: bool = False
    sasl: bool = False
    tls: bool = False
    heap_mib: int = 384  # a broker at work holds about 100; three fit beside a test run
    optimize: bool = False
    log_directory: str | None = None
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodePorts:
    """The loopback ports of one node; ``internal`` and ``controller`` are always plaintext."""

    client: int
    internal: int
    controller: int


@dataclass(frozen=True, slots=True)
class Settings:
    """A cluster's wishes and what was drawn for it: ports, passwords and its identity."""

    wishes: Wishes
    nodes: dict[int, NodePorts]
    registry_port: int
    cluster_id: str
    passwords: dict[str, str]
    keystore_password: str

    @classmethod
    def draw(cls, wishes: Wishes) -> "Settings":
        """Choose free ports and throw-away secrets for a new cluster."""
        ports = free_ports(3 * wishes.nodes + 1)
        return cls(
            wishes=wishes,
            nodes={n: NodePorts(*ports[3 * n - 3 : 3 * n]) for n in range(1, wishes.nodes + 1)},
            registry_port=ports[-1],
            cluster_id=secrets.token_urlsafe(16),  # a random UUID in base64, as Kafka writes it
            passwords={user: secrets.token_hex(12) for user in (SUPER_USER, PLAIN_USER)},
            keystore_password=secrets.token_hex(12),
        )

    @classmethod
    def load(cls, directory: Path) -> "Settings | None":
        """Read a cluster's settings; None when the directory holds no cluster."""
        try:
            data: dict[str, Any] = json.loads((directory / "cluster.json").read_text())
        except FileNotFoundError:
            return None
        data["wishes"] = Wishes(**data["wishes"])
        data["nodes"] = {int(n): NodePorts(**ports) for n, ports in data["nodes"].items()}
        return cls(**data)

    def save(self, directory: Path) -> None:
        """Write the settings where only their owner can read them."""
        path = directory / "cluster.json"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(self), file, indent=2)

    @property
    def bootstrap_servers(self) -> str:
        """Every node's client address, as clients want it."""
        return ",".join(f"127.0.0.1:{ports.client}" for ports in self.nodes.values())

    def client_settings(self, user: str, directory: Path) -> dict[str, str]:
        """Return what librdkafka needs beside ``bootstrap.servers`` to come in as a user."""
        settings = {}
        if self.wishes.sasl or self.wishes.tls:
            settings["security.protocol"] = self.client_protocol
        if self.wishes.sasl:
            settings |= {
                "sasl.mechanism": "PLAIN",
                "sasl.username": user,
                "sasl.password": self.passwords[user],
            }
        if self.wishes.tls:
            settings["ssl.ca.location"] = str(directory / "ca.pem")
        return settings

    @property
    def client_protocol(self) -> str:
        """Kafka's name for the security of the client listener."""
        return ("SASL_" if self.wishes.sasl else "") + ("SSL" if self.wishes.tls else "PLAINTEXT")
