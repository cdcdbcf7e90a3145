"""Two streamers beside one: records a second into Kafka, by the wall and per CPU second.

Each has an exchange of its own, which has encrypted everything before: on a machine of two cores
they share these with the brokers alone.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.exchange import SYMBOLS
from benchmarks.processes import Child, cpu_seconds
from benchmarks.table import Row, Table
from benchmarks.watching import Watcher

_SETTLE_SECONDS = 0.3  # what starting has left to do is not part of the flood
_DEADLINE_SECONDS = 120.0


def measure(directory: Path, messages: int, rounds: int, kafka: str) -> Table:
    """Have one and two streamers read `messages` each, round by round."""
    walls: dict[int, list[float]] = {1: [], 2: []}
    cpus: dict[int, list[float]] = {1: [], 2: []}
    with ExitStack() as stack:
        exchanges = [
            stack.enter_context(
                Child(
                    directory / f"exchange{number}.log",
                    "benchmarks.exchange",
                    directory / f"ca{number}",
                )
            )
            for number in range(2)
        ]
        places = [one.hear(30.0) for one in exchanges]
        for _ in range(rounds):
            for count in walls:
                wall, cpu = _flood(directory, exchanges[:count], places, messages, kafka)
                walls[count].append(count * messages / wall)
                cpus[count].append(count * messages / cpu)
    rows = []
    for count in walls:
        name = "one streamer" if count == 1 else f"{count} streamers"
        rows.append(Row.of(name, "messages per second", walls[count]))
        rows.append(Row.of(name, "messages per CPU second", cpus[count]))
    ratios = [100 * two / one for one, two in zip(walls[1], walls[2], strict=True)]
    rows.append(Row.of("2 streamers ÷ one, messages per second", "%", ratios))
    return Table(f"Several streamers into Kafka: {messages:,} trades each, {rounds} rounds", rows)


def _flood(
    directory: Path, exchanges: list[Child], places: list[dict[str, str]], messages: int, kafka: str
) -> tuple[float, float]:
    """Return the seconds by the wall and of CPU until all of them have all acknowledged."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=directory)))
        streamers: list[tuple[Child, Watcher]] = []
        for number, (exchange, place) in enumerate(zip(exchanges, places, strict=False)):
            own = scratch / str(number)
            own.mkdir()
            watcher = stack.enter_context(Watcher(own))
            settings = {
                "exchange.websocket_url": place["url"],
                "exchange.ca_file": place["ca_file"],
                "exchange.symbols": ",".join(SYMBOLS),
                "exchange.streams": "trade",
                "sink.kind": "kafka",
                "sink.directory": own / "records",
                "kafka.bootstrap_servers": kafka,
                "kafka.replication_factor": "1",
                "kafka.create_topics": "true",
                "kafka.positions_topic": "",  # each run begins anew with the same ids
                "telemetry.endpoint": watcher.endpoint,
                "telemetry.report_every": "100ms",  # what is acknowledged is known so exactly
            }
            assignments = [f"--set={key}={value}" for key, value in settings.items()]
            exchange.ask(messages=messages)
            log = directory / f"streamer{number}.log"
            streamer = stack.enter_context(Child(log, "streamer", *assignments))
            streamers.append((streamer, watcher))
        for exchange, (streamer, _) in zip(exchanges, streamers, strict=True):
            exchange.hear(_DEADLINE_SECONDS, needed=streamer)
        time.sleep(_SETTLE_SECONDS)
        before = sum(cpu_seconds(streamer.pid) for streamer, _ in streamers)
        began = time.monotonic()
        for exchange in exchanges:
            exchange.ask(go=True)
        for streamer, watcher in streamers:
            watcher.acknowledged(streamer, messages, _DEADLINE_SECONDS)
        wall = time.monotonic() - began
        cpu = sum(cpu_seconds(streamer.pid) for streamer, _ in streamers) - before
    for exchange in exchanges:
        exchange.hear(_DEADLINE_SECONDS)
    return wall, cpu
