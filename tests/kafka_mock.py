"""librdkafka's mock cluster in a process of its own, reached over TCP, for as long as a test.

    with MockKafka("trades", "books") as brokers:
        Producer({"bootstrap.servers": brokers})

Topics have four partitions. It creates no topics on request and knows no access control: what a
broker refuses is tested against a real one (tests/kafka_cluster.py).
"""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType

_PROGRAM = """
import sys
from confluent_kafka import Producer
count, *topics = sys.argv[1:]
producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": int(count)})
for topic in topics:
    producer.list_topics(topic, timeout=10)  # asking for one by name creates it
brokers = producer.list_topics(timeout=10).brokers.values()
print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
sys.stdin.read()
"""


class MockKafka:
    """A context manager that gives the addresses of the brokers."""

    def __init__(self, *topics: str, nodes: int = 1) -> None:
        self._command = [sys.executable, "-c", _PROGRAM, str(nodes), *topics]

    def __enter__(self) -> str:
        self._process = subprocess.Popen(
            self._command,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        address = self._process.stdout.readline().strip()
        assert address, "the mock cluster did not start"
        return address

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()  # the end of its input ends it
