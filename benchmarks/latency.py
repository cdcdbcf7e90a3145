"""How long a trade takes at 10,000 a second: from the socket to the producer and the brokers."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from benchmarks.exchange import SYMBOLS
from benchmarks.processes import Child
from benchmarks.table import Row, Table

RATE = 10_000
_START_SECONDS = 30.0
_END_SECONDS = 20.0
_LAST_SECONDS = 1.0  # for the last acknowledgements, which the end of the streamer would hurry


def measure(directory: Path, seconds: float, kafka: str) -> Table:
    """Return percentiles in milliseconds, from the exchange's send on."""
    with Child(directory / "exchange.log", "benchmarks.exchange", directory / "ca") as exchange:
        where = exchange.hear(_START_SECONDS)
        settings = {
            "exchange.websocket_url": where["url"],
            "exchange.ca_file": where["ca_file"],
            "exchange.symbols": ",".join(SYMBOLS),
            "sink.kind": "kafka",
            "sink.directory": str(directory / "records"),
            "kafka.bootstrap_servers": kafka,
            "kafka.replication_factor": "1",
            "kafka.create_topics": "true",  # where they are missing: a broker of your own
            "kafka.positions_topic": "",  # each run begins anew with the same ids
        }
        assignments = [f"--set={key}={value}" for key, value in settings.items()]
        exchange.ask(messages=0)
        log_file = directory / "streamer.log"
        with Child(log_file, "benchmarks.timed_streamer", *assignments) as streamer:
            exchange.hear(_START_SECONDS, needed=streamer)
            exchange.ask(pace=RATE, seconds=seconds + 1)  # the first second is left out
            sent = exchange.hear(seconds + _END_SECONDS)["sent"]
            time.sleep(_LAST_SECONDS)
            streamer.signal(signal.SIGTERM)
            told = streamer.hear(_END_SECONDS)
    if told["records"] < sent:
        raise streamer.failed(f"acknowledged {told['records']} of {sent} records")
    rows = [
        Row.of(f"socket → {name}, p{share}", "ms", [1000 * told[f"{name}_p{share}"]], budget)
        for name, limit in (("produce", 3), ("acknowledge", 30))
        for share, budget in ((50, ""), (99, f"< {limit}"))
    ]
    return Table(f"At {RATE:,} trades per second, over {seconds:.0f} s into Kafka", rows)
