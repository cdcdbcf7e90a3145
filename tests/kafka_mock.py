"""librdkafka's mock cluster in a process of its own, reached over TCP, for as long as a test.

    with MockKafka() as brokers:
        Producer({"bootstrap.servers": brokers})

It has the topics of the streamer's defaults unless others are given, with four partitions each. It
creates none on request and knows no access control: what a broker refuses is tested against a real
one (tests/kafka_cluster.py).
"""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType

TOPICS = {
    "trade": "market.crypto.trades.binance",
    "aggTrade": "market.crypto.aggtrades.binance",
    "bookTicker": "market.crypto.booktickers.binance",
}
EVERY_TOPIC = {
    **TOPICS,
    "depth@100ms": "market.crypto.depth.binance",
    "kline_1s": "market.crypto.klines.binance",
    "miniTicker": "market.crypto.minitickers.binance",
    "ticker": "market.crypto.tickers.binance",
    "avgPrice": "market.crypto.averageprices.binance",
    "depth5": "market.crypto.partialdepth.binance",
}
"""By stream, one of each kind."""
GAP_TOPIC = "market.crypto.gaps.binance"
DEAD_LETTER_TOPIC = "market.crypto.deadletters.binance"
POSITIONS_TOPIC = "market.crypto.positions.binance"

_PROGRAM = """
import sys
from confluent_kafka import Producer
count, *topics = sys.argv[1:]
producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": int(count)})
for topic in topics:
    producer.list_topics(topic, timeout=90)  # asking for one by name creates it
brokers = producer.list_topics(timeout=90).brokers.values()
print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
sys.stdin.read()
"""


class MockKafka:
    """A context manager that gives the addresses of the brokers."""

    def __init__(self, *topics: str, nodes: int = 1) -> None:
        topics = topics or (*EVERY_TOPIC.values(), GAP_TOPIC, DEAD_LETTER_TOPIC, POSITIONS_TOPIC)
        self._command = [sys.executable, "-c", _PROGRAM, str(nodes), *topics]

    def __enter__(self) -> str:
        self.process = subprocess.Popen(
            self._command,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        address = self.process.stdout.readline().strip()
        assert address, "the mock cluster did not start"
        return address

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it now, as a broker that is gone for good."""
        self.process.kill()
        self.process.communicate()
