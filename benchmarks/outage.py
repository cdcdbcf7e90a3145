"""Kafka away for minutes: what is lost, what it costs in memory, how quickly it is made good.

    python -m benchmarks.outage --seconds 600        (docs/kafka.md has a result)

The simulated exchange, a real broker of `scripts/kafka`, one streamer; the broker is stopped, and
started again. At the end an independent consumer's records are compared with the exchange's tape.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import rss_bytes
from tests.audit import audit_records
from tests.exchange import Exchange
from tests.kafka_cluster import KafkaCluster
from tests.kafka_reader import records
from tests.streaming import Process, at_exchange

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT")
SETTLE_SECONDS = 20.0  # before and after, over which memory is looked at
WITHIN_SECONDS = 120.0
TOPIC = "outage"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="without Kafka (600)")
    parser.add_argument("--rate", type=float, default=300.0, help="trades a second (300)")
    parser.add_argument("--kill", action="store_true", help="SIGKILL the broker; else SIGTERM")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="outage-") as scratch,
        KafkaCluster(Path(scratch) / "kafka") as kafka,
        Exchange(Path(scratch), rate=options.rate, symbols=SYMBOLS) as exchange,
    ):
        directory = Path(scratch) / "records"
        settings = {
            "sink.kind": "kafka",
            "sink.directory": directory,
            "kafka.bootstrap_servers": kafka.bootstrap_servers,
            "kafka.topics": f'{{ trade = "{TOPIC}", gap = "{TOPIC}.gap" }}',
            "kafka.create_topics": "true",
            "kafka.replication_factor": 1,
            "kafka.partitions": 3,
        }
        log = Path(scratch) / "streamer.log"
        with Process(log, "streamer", *at_exchange(exchange, **settings)) as streamer:
            _run(streamer, kafka, directory / "overflow", options.seconds, kill=options.kill)
            print(f"exit code                {streamer.stop(within=30)}", flush=True)
        found = records(kafka, TOPIC)
        for symbol in SYMBOLS:
            audit = audit_records(exchange, found, "trade", symbol)
            print(
                f"{symbol:9} records {audit.count}, missing {len(audit.missing)}, copies "
                f"{len(audit.doubled)}, out of order {len(audit.disordered)}, fetched over REST "
                f"{len(audit.backfilled)}, wrong {len(audit.wrong) + len(audit.foreign)}"
            )


def _run(
    streamer: Process, kafka: KafkaCluster, overflow: Path, seconds: float, *, kill: bool
) -> None:
    pid = streamer.process.pid
    time.sleep(SETTLE_SECONDS / 2)
    before = list(_memory(pid, SETTLE_SECONDS))
    (kafka.kill_node if kill else kafka.stop_node)(1)
    began = time.monotonic()
    during = list(_memory(pid, seconds))
    size_bytes = sum(path.stat().st_size for path in overflow.iterdir())
    kafka.start_node(1)
    away = time.monotonic() - began
    acknowledged_at = _logged(streamer, "Kafka acknowledges records again")
    drained_at = _logged(streamer, "nothing waits on disk any more")
    drain = max(drained_at - acknowledged_at, 0.1)
    after = list(_memory(pid, SETTLE_SECONDS))
    peak = max(*during, *after)
    print(f"without Kafka            {away:.0f} s")
    print(f"on disk before its end   {size_bytes / 2**20:.1f} MiB")
    print(f"from its start to the first acknowledgement  {acknowledged_at - began - away:.1f} s")
    print(f"drained within           {drain:.1f} s: {away / drain:.0f} times real time")
    print(
        f"memory before            {statistics.median(before):.1f} MiB (at most {max(before):.1f})"
    )
    print(f"memory during, after     at most {peak:.1f} MiB, at the end {after[-1]:.1f} MiB")


def _memory(pid: int, seconds: float) -> Iterator[float]:
    """Yield the resident memory in MiB, ten times a second, for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield rss_bytes(pid) / 2**20
        time.sleep(0.1)


def _logged(streamer: Process, text: str) -> float:
    """Return when a line is logged, on the monotonic clock."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while text not in streamer.output:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{text!r} was not logged:\n{streamer.output[-3000:]}")
        time.sleep(0.05)
    return time.monotonic()


if __name__ == "__main__":
    main()
