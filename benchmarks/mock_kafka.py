"""librdkafka's mock cluster in a process of its own, reached over TCP; its address on stdout."""

from __future__ import annotations

import json
import sys

from confluent_kafka import Producer

TOPICS = [f"market.crypto.{kind}.binance" for kind in ("trades", "gaps", "deadletters")]


def main() -> None:
    """Serve until stdin ends."""
    cluster = Producer({"bootstrap.servers": "unused:1", "test.mock.num.brokers": 3})
    for topic in TOPICS:
        cluster.list_topics(topic, timeout=10)  # makes it: the mock takes no request to create one
    brokers = cluster.list_topics(timeout=10).brokers.values()
    addresses = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    sys.stdout.write(json.dumps({"bootstrap_servers": addresses}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
