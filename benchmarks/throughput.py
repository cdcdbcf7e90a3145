"""Messages per CPU second from a canned socket into each sink, and those of the rivals."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.exchange import SYMBOLS
from benchmarks.processes import Child, cpu_seconds
from benchmarks.table import Row, Table
from benchmarks.watching import Watcher

GOAL = 0.87  # of the bare loop, end to end into Kafka
_SETTLE_SECONDS = 0.3  # what starting has left to do is not part of the flood
_DEADLINE_SECONDS = 120.0
_BY_HAND_SHARE = 5  # it is slower by this much and more: fewer messages measure it as well


@dataclass(frozen=True, slots=True)
class Contestant:
    """One to be measured; `run` returns CPU seconds per message."""

    name: str
    run: Callable[[], float]


class Contest:
    """The canned exchange, and everything that reads from it."""

    def __init__(self, directory: Path, exchange: Child, messages: int, kafka: str) -> None:
        self._directory = directory
        self._exchange = exchange
        where = exchange.hear(30.0)
        self._url, self._ca_file = where["url"], where["ca_file"]
        self._messages = messages
        self._kafka = kafka

    def contestants(self) -> list[Contestant]:
        """Return all of them; those to be compared are neighbours in time."""
        kafka = self._kafka
        return [
            Contestant("streamer → Kafka", lambda: self._streamer("kafka")),
            Contestant("bare loop → Kafka", lambda: self._rival("bare", "full", kafka)),
            Contestant(
                "bare loop, our encoder → Kafka", lambda: self._rival("bare", "ours", kafka)
            ),
            Contestant(
                "bare loop, lean record → Kafka", lambda: self._rival("bare", "lean", kafka)
            ),
            Contestant("by hand → Kafka", lambda: self._rival("by-hand", "full", kafka)),
            Contestant("streamer → files", lambda: self._streamer("files")),
            Contestant("streamer → null", lambda: self._streamer("null")),
            Contestant("bare loop → null", lambda: self._rival("bare", "full", "")),
            Contestant("bare loop, our encoder → null", lambda: self._rival("bare", "ours", "")),
        ]

    def _streamer(self, sink: str) -> float:
        with (
            tempfile.TemporaryDirectory(dir=self._directory) as scratch,
            Watcher(Path(scratch)) as watcher,
        ):
            settings = {
                "exchange.websocket_url": self._url,
                "exchange.ca_file": self._ca_file,
                "exchange.symbols": ",".join(SYMBOLS),
                "exchange.streams": "trade",
                "sink.kind": sink,
                "sink.directory": f"{scratch}/records",
                "kafka.bootstrap_servers": self._kafka,
                "kafka.replication_factor": "1",
                "kafka.create_topics": "true",  # where they are missing: a broker of your own
                "kafka.positions_topic": "",  # each run begins anew with the same ids
                "telemetry.endpoint": watcher.endpoint,
            }
            assignments = [f"--set={key}={value}" for key, value in settings.items()]
            streamer = Child(self._directory / "streamer.log", "streamer", *assignments)
            return self._measure(
                streamer,
                self._messages,
                lambda: watcher.acknowledged(streamer, self._messages, _DEADLINE_SECONDS),
            )

    def _rival(self, name: str, record: str, kafka: str) -> float:
        messages = self._messages // (_BY_HAND_SHARE if name == "by-hand" else 1)
        arguments = ["--url", self._url, "--ca-file", self._ca_file, "--record", record]
        arguments += ["--kafka", kafka, "--messages", str(messages)]
        rival = Child(self._directory / "rival.log", "benchmarks.rivals", name, *arguments)
        return self._measure(rival, messages, lambda: rival.hear(_DEADLINE_SECONDS))

    def _measure(self, reader: Child, messages: int, finished: Callable[[], object]) -> float:
        self._exchange.ask(messages=messages)
        with reader:
            self._exchange.hear(_DEADLINE_SECONDS, needed=reader)
            time.sleep(_SETTLE_SECONDS)
            before = cpu_seconds(reader.pid)
            self._exchange.ask(go=True)
            finished()
            spent = cpu_seconds(reader.pid) - before
        self._exchange.hear(_DEADLINE_SECONDS)
        return spent / messages


def measure(directory: Path, messages: int, rounds: int, kafka: str, only: str) -> Table:
    """Let everyone read, round by round, and return rates and the ratios within each round."""
    costs: dict[str, list[float]] = {}
    with Child(directory / "exchange.log", "benchmarks.exchange", directory / "ca") as exchange:
        contest = Contest(directory, exchange, messages, kafka)
        for _ in range(rounds):
            for contestant in contest.contestants():
                if only in contestant.name:
                    costs.setdefault(contestant.name, []).append(contestant.run())
    rows = [
        Row.of(name, "messages per CPU second", [1 / cost for cost in each])
        for name, each in costs.items()
    ]
    for rival, goal in (
        ("bare loop → Kafka", f"≥ {GOAL:.0%}"),
        ("bare loop, our encoder → Kafka", ""),
        ("bare loop, lean record → Kafka", ""),
        ("by hand → Kafka", ""),
    ):
        if rival in costs and "streamer → Kafka" in costs:
            pairs = zip(costs[rival], costs["streamer → Kafka"], strict=True)
            ratios = [100 * theirs / ours for theirs, ours in pairs]
            rows.append(Row.of(f"streamer ÷ {rival}", "%", ratios, goal))
    return Table(f"Throughput: {messages:,} trades at once, {rounds} rounds", rows)
