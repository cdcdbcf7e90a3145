"""Into Kafka's protocol: librdkafka's mock cluster, read back by kcat."""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fastavro
import pytest

from streamer.config import KafkaConfig, SinkConfig, StreamerConfig
from streamer.routes import Routes
from streamer.sinks import open_sink
from tests.audit import audit_records, kind_of
from tests.exchange import Exchange
from tests.kafka_mock import EVERY_TOPIC, TOPICS, MockKafka
from tests.streaming import ROOT, Process, at_exchange, eventually
from tests.tools import required
from tests.unit.streamer.payloads import NOW_US, TRADE, frame

SINGLE_OBJECT = b"\xc3\x01"  # Avro 1.11, single-object encoding: marker, then an 8-byte fingerprint
HEADER = re.compile(rb"(\d+) (\d+) (\d+) ")


@pytest.fixture
def brokers() -> Iterator[str]:
    with MockKafka(nodes=3) as address:
        yield address


def consume(brokers: str, topic: str) -> list[tuple[int, bytes, bytes]]:
    """Return (partition, key, value) of every message, in the order of each partition."""
    # Sizes first: a binary value may hold any delimiter.
    command = [required("kcat", "kcat"), "-C", "-b", brokers, "-t", topic, "-o", "beginning"]
    command += ["-e", "-q", "-f", "%p %K %S %k%s"]
    output = subprocess.run(command, capture_output=True, check=True, timeout=180).stdout
    messages, position = [], 0
    while match := HEADER.match(output, position):
        partition, key_bytes, value_bytes = map(int, match.groups())
        middle = match.end() + key_bytes
        position = middle + value_bytes
        messages.append((partition, output[match.end() : middle], output[middle:position]))
    assert position == len(output)
    return messages


def decode(stream: str, value: bytes):
    schema = json.loads((ROOT / "streamer" / "schemas" / f"{kind_of(stream)}.avsc").read_text())
    parsed = fastavro.parse_schema(schema)
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    fingerprint = fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")
    assert value[:2] == SINGLE_OBJECT
    assert value[2:10] == bytes.fromhex(fingerprint)
    return fastavro.schemaless_reader(io.BytesIO(value[10:]), parsed, None)


def test_every_event_reaches_the_brokers_once_exact_and_in_order(tmp_path: Path, brokers):
    settings = {
        "exchange.streams": ",".join(EVERY_TOPIC),
        "sink.kind": "kafka",
        "sink.directory": tmp_path / "records",
        "kafka.bootstrap_servers": brokers,
        "connection.max_age": "2s",
        "connection.rotation_overlap": "500ms",
    }
    with Exchange(tmp_path, rate=150) as exchange:
        arguments = at_exchange(exchange, **settings)
        with Process(tmp_path / "streamer.log", "streamer", *arguments) as process:
            eventually(lambda: exchange.status()["attempts_total"] >= 3, what="two rotations")
            assert process.stop() == 0, process.output
        for stream, topic in EVERY_TOPIC.items():
            messages = consume(brokers, topic)
            partitions = {key: partition for partition, key, _ in messages}
            assert all(partitions[key] == partition for partition, key, _ in messages)
            assert partitions.keys() == {symbol.encode() for symbol in exchange.symbols}
            records = [decode(stream, value) for _, _, value in messages]
            for symbol in exchange.symbols:
                audit = audit_records(exchange, records, stream, symbol)
                assert audit.clean, (stream, symbol, audit)
                assert audit.count > (50 if stream in TOPICS else 2)


def test_a_start_without_any_symbol_takes_those_that_join_later(tmp_path, brokers):
    config = StreamerConfig(
        sink=SinkConfig(kind="kafka", directory=tmp_path),
        kafka=KafkaConfig(bootstrap_servers=brokers),
    )
    routes = Routes(("trade",), ())
    sink = open_sink(config, routes)
    route = routes.make("trade", "BTCUSDT")
    sink.add(route)
    routes.add_beside(route, sink.add)
    sink.put(route, route.decode(frame(TRADE, route.name), NOW_US), NOW_US)
    assert sink.flush(60.0) == 0
    sink.close()
    ((_, key, _),) = consume(brokers, TOPICS["trade"])
    assert key == b"BTCUSDT"
