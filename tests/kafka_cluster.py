"""A real Kafka, and a registry if wanted, for the length of a test.

    with KafkaCluster(tmp_path / "kafka", "--registry") as kafka:
        Producer({"bootstrap.servers": kafka.bootstrap_servers, **kafka.client})

The options are those of ``scripts/kafka start``. Where Kafka cannot be had (no Java, or nothing to
fetch it with) the test is skipped, and fails when CI=true. What a killed test run leaves is stopped
by the cluster's watchdog.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "kafka"
_UNAVAILABLE = 4


class KafkaCluster:
    """``scripts/kafka`` as a context manager.

    ``bootstrap_servers``; ``registry_url`` (None without ``--registry``); ``client`` and
    ``admin_client``, what librdkafka needs beside the servers to come in as the plain and as the
    super user; ``nodes``, as in docs/kafka.md.
    """

    bootstrap_servers: str
    registry_url: str | None
    client: dict[str, str]
    admin_client: dict[str, str]
    nodes: list[dict[str, Any]]

    def __init__(self, directory: Path, *options: str, network: Sequence[str] = ()) -> None:
        """`network` goes before each command, so that it runs in another network namespace."""
        self.directory = directory
        self._options = options
        self._network = network

    def __enter__(self) -> Self:
        started = self._call("start", "--die-with-parent", *self._options)
        description = json.loads(started)
        self.bootstrap_servers = description["bootstrap_servers"]
        self.registry_url = description["registry_url"]
        self.client = description["client"]
        self.admin_client = description["admin_client"]
        self.nodes = description["nodes"]
        return self

    def __exit__(self, *exception: object) -> None:
        self._call("stop")

    @property
    def administrator(self) -> dict[str, Any]:
        """The settings of an ``AdminClient`` that may do everything."""
        return {"bootstrap.servers": self.bootstrap_servers, **self.admin_client}

    def status(self) -> dict[str, Any]:
        """The description as of now: ``pid`` is None for what is stopped."""
        described: dict[str, Any] = json.loads(self._call("status", accepted=(0, 3)))
        return described

    def kill_node(self, node: int) -> None:
        """SIGKILL."""
        self._call("kill-node", str(node))

    def stop_node(self, node: int) -> None:
        """SIGTERM, and wait."""
        self._call("stop-node", str(node))

    def start_node(self, node: int) -> None:
        """Bring a node back and wait until it and the others see each other."""
        self._call("start-node", str(node))

    def stop_registry(self) -> None:
        """Take the registry away; its schemas stay on disk."""
        self._call("registry", "stop")

    def start_registry(self) -> None:
        """Bring the registry back at the same address."""
        self._call("registry", "start")

    def _call(self, *arguments: str, accepted: tuple[int, ...] = (0,)) -> str:
        command = [*self._network, sys.executable, str(SCRIPT), *arguments]
        command += [f"--directory={self.directory}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == _UNAVAILABLE and os.environ.get("CI") != "true":
            pytest.skip(result.stderr.strip())
        if result.returncode not in accepted:
            raise RuntimeError(f"{' '.join(command)} failed: {result.stderr}")
        return result.stdout
