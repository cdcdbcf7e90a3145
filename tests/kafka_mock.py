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
from pathlib import Path
from types import TracebackType

import confluent_kafka
import pytest

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
SNAPSHOT_TOPIC = "market.crypto.depthsnapshot.binance"
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

_FAULTY_PROGRAM = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
def function(name, result, *arguments):
    found = getattr(library, name)
    found.restype, found.argtypes = result, arguments
    return found
conf = function("rd_kafka_conf_new", pointer)()
client = function("rd_kafka_new", pointer, number, pointer, text, ctypes.c_size_t)(0, conf, None, 0)
cluster = function("rd_kafka_mock_cluster_new", pointer, pointer, number)(client, 1)
bootstraps = function("rd_kafka_mock_cluster_bootstraps", text, pointer)
create = function("rd_kafka_mock_topic_create", number, pointer, text, number, number)
set_rtt = function("rd_kafka_mock_broker_set_rtt", number, pointer, ctypes.c_int32, number)
push = function("rd_kafka_mock_push_request_errors_array", None,
                pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(number))
for topic in sys.argv[2:]:
    create(cluster, topic.encode(), 1, 1)
print(bootstraps(cluster).decode(), flush=True)
for line in sys.stdin:
    milliseconds, code = map(int, line.split())
    set_rtt(cluster, 1, milliseconds)
    if code:
        push(cluster, 0, 1, (number * 1)(code))  # 0: Produce
    print("done", flush=True)
"""
"""The mock cluster by librdkafka's C interface: broker 1 with one partition of each topic."""


class MockKafka:
    """A context manager that gives the addresses of the brokers."""

    def __init__(self, *topics: str, nodes: int = 1) -> None:
        more = (GAP_TOPIC, SNAPSHOT_TOPIC, DEAD_LETTER_TOPIC, POSITIONS_TOPIC)
        topics = topics or (*EVERY_TOPIC.values(), *more)
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


class FaultyMockKafka(MockKafka):
    """A mock broker that is slow, and refuses what it is told to refuse."""

    def __init__(self, *topics: str) -> None:
        package = Path(confluent_kafka.__file__).parent
        found = [
            *package.parent.glob("confluent_kafka.libs/librdkafka*"),
            *package.glob(".dylibs/librdkafka*"),
        ]
        if not found:
            pytest.skip("librdkafka is no library of its own here: confluent-kafka is no wheel")
        self._command = [sys.executable, "-c", _FAULTY_PROGRAM, str(found[0]), *topics]

    def answer(self, *, after_seconds: float, refuse_next: int = 0) -> None:
        """Answer so late from now on; refuse the next batch of records with an error's code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{round(after_seconds * 1000)} {refuse_next}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"
