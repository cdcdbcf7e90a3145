"""A cluster in its directory: started, changed and stopped by invocations that know only that."""

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL

from . import broker, registry
from .artifacts import cache_directory, install, locked
from .errors import KafkaToolError
from .java import java, make_keystore, tail
from .processes import Process, end, spawn
from .settings import PLAIN_USER, SUPER_USER, Settings, Wishes

STOP_GRACE_SECONDS = 10.0  # a clean stop takes half a second; without its peers a node waits
_POLL_SECONDS = 0.05  # small beside the two seconds of a start

Description = dict[str, object]


class Cluster:
    """The nodes and the registry of one directory."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.directory = directory
        self.settings = settings

    @classmethod
    def of(cls, directory: Path) -> "Cluster":
        """Return the cluster that lives in a directory, running or not."""
        settings = Settings.load(directory)
        if settings is None:
            raise KafkaToolError(f"{directory} holds no cluster: `start` makes one")
        return cls(directory.resolve(), settings)

    @classmethod
    def make(cls, directory: Path, wishes: Wishes) -> "Cluster":
        """Return the directory's cluster, new if there is none, to be started with ``start``."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KafkaToolError(
                f"{directory}: {error.strerror}; expected a directory that can be made or is there"
            ) from error
        directory = directory.resolve()
        with _locked(directory):
            settings = Settings.load(directory)
            if settings is None:
                directory.chmod(0o700)  # there will be passwords
                settings = Settings.draw(wishes)
                settings.save(directory)
        if settings.wishes != wishes:
            raise KafkaToolError(
                f"{directory} holds a cluster with other options: {settings.wishes}; "
                "start it with those, choose another --directory, or `stop --remove` it first"
            )
        return cls(directory, settings)

    def start(self, timeout_seconds: float, owner: int | None = None) -> None:
        """Start what does not run, and return when all of it is ready.

        With an owner, everything stops when that process ends. A start that fails stops all.
        """
        with _locked(self.directory):
            if self._running():
                raise KafkaToolError(
                    f"a cluster runs in {self.directory} already: `status` describes it, "
                    "`start-node` and `registry start` bring back what is missing"
                )
            java()  # without it, nothing is worth fetching
            kafka = _install("kafka")
            registry_home = _install("registry") if self.settings.wishes.registry else None
            deadline = time.monotonic() + timeout_seconds
            try:
                if owner is not None:
                    self._watch(owner)
                if self.settings.wishes.tls and not (self.directory / "ca.pem").exists():
                    make_keystore(self.directory, self.settings.keystore_password)
                with ThreadPoolExecutor(1 + len(self.settings.nodes)) as pool:
                    parts = [
                        pool.submit(self._start_node, node, kafka, deadline)
                        for node in self.settings.nodes
                    ]
                    if registry_home:
                        parts.append(pool.submit(self._start_registry, registry_home, deadline))
                    try:
                        for part in as_completed(parts):
                            part.result()
                    except BaseException:
                        self._end_all()  # the other parts wait for these no longer
                        raise
            except BaseException:  # an interrupt too must leave nothing behind
                self._end_all()
                raise

    def stop(self) -> None:
        """Stop everything, within the grace and what SIGKILL takes."""
        with _locked(self.directory):
            self._end_all()

    def start_node(self, node: int, timeout_seconds: float) -> None:
        """Start one node, and return when it and every other running node see each other."""
        with _locked(self.directory):
            if not self._process(self._node_home(node)):
                deadline = time.monotonic() + timeout_seconds
                self._start_node(node, _install("kafka"), deadline)

    def stop_node(self, node: int) -> None:
        """Stop one node as an operator would, its leaderships handed over."""
        self._end([self._node_home(node)])

    def kill_node(self, node: int) -> None:
        """Kill one node with SIGKILL."""
        process = self._process(self._node_home(node))
        if process:
            process.send(SIGKILL)
            end([process], 0)  # only waits: the signal is on its way

    def start_registry(self, timeout_seconds: float) -> None:
        """Start the registry, its schemas as they were, and return when it answers."""
        with _locked(self.directory):
            if not self._process(registry.home(self.directory)):
                deadline = time.monotonic() + timeout_seconds
                self._start_registry(_install("registry"), deadline)

    def stop_registry(self) -> None:
        """Stop the registry; its schemas stay."""
        self._end([registry.home(self.directory)])

    def describe(self) -> Description:
        """Return the JSON contract of docs/kafka.md."""
        registry_process = self._process(registry.home(self.directory))
        known = registry.home(self.directory).exists()
        return {
            "bootstrap_servers": self.settings.bootstrap_servers,
            "registry_url": registry.url(self.settings) if known else None,
            "directory": str(self.directory),
            "client": self.settings.client_settings(PLAIN_USER, self.directory),
            "admin_client": self.settings.client_settings(SUPER_USER, self.directory),
            "nodes": [self._describe_node(node) for node in self.settings.nodes],
            "registry": {
                "pid": registry_process.pid if registry_process else None,
                "log": str(registry.log_file(self.directory)),
            }
            if known
            else None,
        }

    def complete(self) -> bool:
        """Whether every node runs, and the registry if there is one."""
        homes = [self._node_home(node) for node in self.settings.nodes]
        if registry.home(self.directory).exists():
            homes.append(registry.home(self.directory))
        return all(self._process(home) for home in homes)

    def _describe_node(self, node: int) -> Description:
        process = self._process(self._node_home(node))
        return {
            "node_id": node,
            "port": self.settings.nodes[node].client,
            "pid": process.pid if process else None,
            "log": str(broker.log_file(self.directory, node)),
        }

    def _start_node(self, node: int, jars: Path, deadline: float) -> None:
        broker.prepare(self.settings, self.directory, node, jars)
        process = broker.launch(self.settings, self.directory, node, jars)
        _wait(
            f"node {node}",
            process,
            broker.log_file(self.directory, node),
            lambda: self._sees_everyone(node),
            deadline,
        )

    def _sees_everyone(self, node: int) -> bool:
        running = {n for n in self.settings.nodes if self._process(self._node_home(n))}
        return broker.knows(self.settings, node) >= running | {node}

    def _start_registry(self, distribution: Path, deadline: float) -> None:
        new = not registry.home(self.directory).exists()
        process = registry.launch(self.settings, self.directory, distribution)
        log = registry.log_file(self.directory)
        _wait(
            "the registry",
            process,
            log,
            lambda: registry.ready(self.settings, self.directory),
            deadline,
        )
        if new:
            registry.demand_compatibility(self.settings, self.directory)

    def _watch(self, owner: int) -> None:
        program = Path(__file__).parent.with_name("kafka")
        home = self._watchdog_home()
        command = [sys.executable, str(program), "watch", f"--owner={owner}"]
        spawn([*command, f"--directory={self.directory}"], home, home / "watch.log", os.environ)

    def _node_home(self, node: int) -> Path:
        if node not in self.settings.nodes:
            raise KafkaToolError(
                f"there is no node {node}: nodes are 1 to {len(self.settings.nodes)}"
            )
        return broker.home(self.directory, node)

    def _watchdog_home(self) -> Path:
        return self.directory / "watchdog"

    def _process(self, home: Path) -> Process | None:
        return Process.read(home / "pid")

    def _homes(self) -> list[Path]:
        nodes = [broker.home(self.directory, node) for node in self.settings.nodes]
        return [*nodes, registry.home(self.directory)]

    def _running(self) -> bool:
        return any(self._process(home) for home in self._homes())

    def _end(self, homes: list[Path]) -> None:
        end([process for home in homes if (process := self._process(home))], STOP_GRACE_SECONDS)

    def _end_all(self) -> None:
        self._end(self._homes())
        watchdog = self._process(self._watchdog_home())
        if watchdog and watchdog.pid != os.getpid():
            end([watchdog], STOP_GRACE_SECONDS)


def _install(component: str) -> Path:
    return install(component, locked(component), cache_directory())


def _wait(
    what: str, process: Process, log: Path, ready: Callable[[], bool], deadline: float
) -> None:
    while not ready():
        if not process.alive:
            raise KafkaToolError(f"{what} ended while it started, see {log}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise KafkaToolError(f"{what} was not ready in time, see {log}:\n{tail(log)}")
        time.sleep(_POLL_SECONDS)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One change at a time: a stop during a start waits for its end, and then finds everything."""
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
