"""Members that share the symbols by a Kafka consumer group, as processes, and what they stored.

Each is a streamer alone, or a supervisor with its streamers. It may run in a network of its own, as
on a machine of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.audit import Audit, compare, record_id
from tests.exchange import Exchange
from tests.kafka_reader import decode
from tests.streaming import ROOT, at_exchange, eventually
from tests.waiting import WITHIN_SECONDS

STREAMS = ("trade", "bookTicker")
END_SECONDS = 30.0


@dataclass
class MemberProcess:
    """A member that runs, or ran: a streamer, or a supervisor with its streamers."""

    name: str
    log_file: Path
    process: subprocess.Popen[bytes]

    @property
    def output(self) -> str:
        """What it has logged."""
        return self.log_file.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        for each in self.processes():
            with suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    def stop(self, within_seconds: float = END_SECONDS) -> int:
        """SIGTERM, wait, and return the exit code."""
        self.process.terminate()
        return self.process.wait(within_seconds)

    def kill(self) -> None:
        """SIGKILL to all of its processes, as when a machine loses its power, and wait."""
        processes = self.processes()
        for number in (signal.SIGSTOP, signal.SIGKILL):  # first, so that none sees another's end
            for each in processes:
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(number)
        self.process.wait()
        psutil.wait_procs(processes[1:], END_SECONDS)

    def processes(self) -> list[psutil.Process]:
        """Return those that there are: the one that was started first."""
        try:
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


@dataclass
class Cluster:
    """Members of one group with topics of their own; all are ended with the block."""

    directory: Path
    exchange: Exchange
    kafka: Any  # a KafkaCluster, or what has its `bootstrap_servers`, `administrator`, `client`
    shards: int = 6
    streams: Sequence[str] = STREAMS
    settings: dict[str, Any] = field(default_factory=dict)
    supervised: bool = False
    """Whether each member is a supervisor with its streamers."""
    members: dict[str, MemberProcess] = field(default_factory=dict)
    _read: dict[str, tuple[list[dict[str, Any]], dict[int, int]]] = field(default_factory=dict)
    prefix: str = field(default_factory=lambda: f"c{uuid.uuid4().hex[:8]}")

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for member in self.members.values():
            member.kill()

    def topic(self, name: str) -> str:
        """Return the name of a topic of this cluster."""
        return f"{self.prefix}.{name}"

    def start(self, name: str, *, network: Iterable[str] = (), **more: Any) -> MemberProcess:
        """Start a member, or start it again; what it wrote on disk before is there."""
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        table = ", ".join(f'{one} = "{self.topic(one)}"' for one in (*self.streams, "gap"))
        settings = {
            "exchange.streams": ",".join(self.streams),
            "sink.kind": "kafka",
            "sink.directory": directory / "records",
            "kafka.bootstrap_servers": self.kafka.bootstrap_servers,
            "kafka.topics": f"{{ {table} }}",
            "kafka.dead_letter_topic": self.topic("dead"),
            "kafka.positions_topic": self.topic("positions"),
            "kafka.create_topics": "true",
            "kafka.replication_factor": 1,
            "kafka.partitions": 3,
            "group.enabled": "true",
            "group.id": self.prefix,
            "group.topic": self.topic("shards"),
            "group.shards": self.shards,
            "group.member": name,
            **(self._supervisor_settings(directory) if self.supervised else {}),
            **self.settings,
            **more,
        }
        log_file = directory / "streamer.log"
        module, arguments = ("supervisor", ["run"]) if self.supervised else ("streamer", [])
        command = [
            *network,
            sys.executable,
            "-m",
            module,
            *at_exchange(self.exchange, **{key: str(value) for key, value in settings.items()}),
            *arguments,
        ]
        with log_file.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.members[name] = MemberProcess(name, log_file, process)
        return self.members[name]

    def _supervisor_settings(self, directory: Path) -> dict[str, Any]:
        return {
            "supervisor.runtime_directory": directory / "run",
            "supervisor.state_directory": directory / "state",
            "monitor.metrics_address": "127.0.0.1:0",
        }

    def stored(self, stream: str) -> list[dict[str, Any]]:
        """Return the records of a stream as they lie there; what was read once is kept."""
        kept, offsets = self._read.setdefault(stream, ([], {}))
        consumer = Consumer({**self.kafka.administrator, "group.id": "cluster"})
        try:
            topic = self.topic(stream)
            found = consumer.list_topics(topic, timeout=WITHIN_SECONDS).topics[topic]
            ends = {
                number: consumer.get_watermark_offsets(
                    TopicPartition(topic, number), WITHIN_SECONDS
                )[1]
                for number in found.partitions
            }
            left = {one for one, end in ends.items() if offsets.setdefault(one, 0) < end}
            consumer.assign([TopicPartition(topic, one, offsets[one]) for one in left])
            deadline = time.monotonic() + WITHIN_SECONDS
            while left:
                assert time.monotonic() < deadline, f"{topic} could not be read"
                for message in consumer.consume(10_000, timeout=0.2):
                    if message.error() is not None:
                        continue
                    partition, offset = message.partition(), message.offset()
                    assert partition is not None
                    assert offset is not None
                    offsets[partition] = offset + 1
                    kept.append(decode(stream, message.value() or b""))
                left = {one for one in left if offsets[one] < ends[one]}
        finally:
            consumer.close()
        return list(kept)

    def await_live(self, within_seconds: float = 60.0) -> None:
        """Wait until what the exchange sends now of every symbol is stored."""
        last_ids = self.exchange.status()["last_ids"]
        wanted = {
            (stream, symbol): last_ids[f"{symbol.lower()}@{stream}"]
            for stream in self.streams
            for symbol in self.exchange.symbols
        }

        def behind() -> dict[tuple[str, str], int]:
            with suppress(KeyError, KafkaException):  # a topic that is not made yet
                found: dict[tuple[str, str], int] = {}
                for stream in self.streams:
                    for record in self.stored(stream):
                        key = stream, record["symbol"]
                        found[key] = max(found.get(key, 0), record_id(stream, record))
                return {key: last for key, last in wanted.items() if found.get(key, 0) < last}
            return dict(wanted)

        eventually(
            lambda: not behind(),
            within=within_seconds,
            what="the live data of every symbol",
            every=0.3,
            told=lambda: f"behind: {behind()}",
        )

    def audits(self, stream: str) -> dict[str, Audit]:
        """Compare what is stored of a stream with the exchange's tape, by symbol.

        From the first record that is there to the last one.
        """
        found = self.stored(stream)
        audits: dict[str, Audit] = {}
        for symbol in self.exchange.symbols:
            ids = [record_id(stream, each) for each in found if each["symbol"] == symbol]
            tape = self.exchange.tape(stream, symbol, min(ids), max(ids))
            audits[symbol] = compare(stream, symbol, found, tape)
        return audits
