"""Against a real broker and a real registry: what an independent consumer reads is what was sent.

One cluster serves all of it. Failures of brokers have tests of their own.
"""

from __future__ import annotations

import ctypes
import http.server
import io
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import confluent_kafka
import fastavro
import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

from streamer.config import KafkaConfig
from streamer.data.events import GapRecord
from streamer.data.kinds.trade import Trade
from streamer.data.records import encoder, single_object_header
from streamer.errors import SinkUnavailable
from streamer.routes import Route, Routes
from streamer.sinks.kafka import KafkaSink, open_kafka_sink
from streamer.sinks.kafka.topics import prepare_topics
from tests.audit import audit_records
from tests.consumer_programs import run, run_in_shell
from tests.exchange import Exchange
from tests.kafka_cluster import KafkaCluster
from tests.kafka_reader import consume, every
from tests.ports import free_port
from tests.streaming import ROOT, Process, at_exchange, eventually
from tests.tools import required
from tests.waiting import WITHIN_SECONDS

pytestmark = pytest.mark.timeout(900)  # the first run on a machine fetches 190 MB

NOW_US = 1_795_000_000_000_000
STREAMS = ("trade", "aggTrade", "bookTicker")
SECONDS = WITHIN_SECONDS


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    with KafkaCluster(tmp_path_factory.mktemp("kafka"), "--registry") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with Exchange(tmp_path_factory.mktemp("exchange"), rate=150) as running:
        yield running


@pytest.fixture
def topics() -> dict[str, str]:
    """Topics of this test's own, by stream; `gap` and `dead` beside them."""
    test = uuid.uuid4().hex[:8]
    return {name: f"{test}.{name}" for name in (*STREAMS, "gap", "dead")}


def streamer(
    directory: Path, exchange: Exchange, kafka: KafkaCluster, topics: dict[str, str], **more: Any
) -> Process:
    table = ", ".join(f'{name} = "{topic}"' for name, topic in topics.items() if name != "dead")
    settings = {
        "exchange.streams": "trade",
        "connection.rotation_overlap": "500ms",
        "sink.kind": "kafka",
        "sink.directory": directory / "records",
        "kafka.bootstrap_servers": kafka.bootstrap_servers,
        "kafka.topics": f"{{ {table} }}",
        "kafka.dead_letter_topic": topics["dead"],
        "kafka.create_topics": "true",
        "kafka.replication_factor": 1,
        "kafka.partitions": 3,
        "kafka.schema_registry_url": kafka.registry_url,
        **more,
    }
    settings = {key: value for key, value in settings.items() if value is not None}
    return Process(directory / "streamer.log", "streamer", *at_exchange(exchange, **settings))


@contextmanager
def streaming(
    directory: Path, exchange: Exchange, kafka: KafkaCluster, topics: dict[str, str], **more: Any
) -> Iterator[Process]:
    """A streamer that has opened a connection."""
    before = exchange.status()["attempts_total"]
    with streamer(directory, exchange, kafka, topics, **more) as process:
        eventually(
            lambda: exchange.status()["attempts_total"] > before or process.process.poll(),
            what="a connection",
        )
        assert process.process.poll() is None, process.output
        yield process


def refused(
    directory: Path, exchange: Exchange, kafka: KafkaCluster, topics: dict[str, str], **more: Any
) -> str:
    """Return what a streamer says that could not start."""
    with streamer(directory, exchange, kafka, topics, **more) as process:
        assert process.wait(SECONDS) == 5, process.output
        assert "Traceback" not in process.output
        return process.output


class Registered:
    """Decodes as any consumer would: by the registry's schema of the id that a message names."""

    def __init__(self, kafka: KafkaCluster) -> None:
        self._url = kafka.registry_url
        self._schemas: dict[int, Any] = {}

    def __call__(self, value: bytes) -> dict[str, Any]:
        assert value[:1] == b"\0"
        schema_id = int.from_bytes(value[1:5], "big")
        if schema_id not in self._schemas:
            answer = ask(f"{self._url}/schemas/ids/{schema_id}")
            self._schemas[schema_id] = fastavro.parse_schema(json.loads(answer["schema"]))
        stream = io.BytesIO(value[5:])
        record = fastavro.schemaless_reader(stream, self._schemas[schema_id], None)
        assert stream.read() == b""
        assert isinstance(record, dict)
        return record


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


def register(kafka: KafkaCluster, topic: str, schema: Any) -> None:
    ask(f"{kafka.registry_url}/subjects/{topic}-value/versions", {"schema": json.dumps(schema)})


def schema_of(stream: str) -> Any:
    return json.loads((ROOT / "streamer" / "schemas" / f"{stream}.avsc").read_text())


def test_every_stream_is_read_back_exact_once_and_in_order(tmp_path, kafka, exchange, topics):
    more = {"exchange.streams": ",".join(STREAMS), "connection.max_age": "2s"}
    with streaming(tmp_path, exchange, kafka, topics, **more) as process:
        before = exchange.status()["attempts_total"]
        eventually(lambda: exchange.status()["attempts_total"] >= before + 2, what="rotations")
        assert process.stop() == 0, process.output
    decode = Registered(kafka)
    for stream in STREAMS:
        by_partition = consume(kafka, topics[stream])
        homes = {key: number for number, all_ in by_partition.items() for key, _ in all_}
        assert len(homes) == len(exchange.symbols)
        for number, messages in by_partition.items():
            assert all(homes[key] == number for key, _ in messages)
            records = [decode(value) for _, value in messages]
            assert [record["symbol"].encode() for record in records] == [k for k, _ in messages]
            for symbol in {record["symbol"] for record in records}:
                audit = audit_records(exchange, records, stream, symbol)
                assert audit.clean, (stream, symbol, audit)
                assert audit.count > 50


def test_the_documents_programs_read_topics(tmp_path, kafka):
    """With trades that are lost and told, lost and not told, and copies; values as they were put.

    The topics are those of the page. Programs with a registry run first: they take all symbols.
    """
    required("kcat", "kcat")
    began = int(time.time())
    put_trades(tmp_path / "registered", kafka, "ETHUSDT", kafka.registry_url)
    lines = run("registry", kafka.bootstrap_servers, kafka.registry_url).splitlines()
    time_text = "2026-11-18T11:06:40+00:00"
    assert lines == [
        f"binance:spot:ETHUSDT:trade:{number} 1.500000000000000000 {time_text}"
        for number in (1, 2, 2)
    ]
    found = run("candles", kafka.bootstrap_servers, kafka.registry_url)
    assert "datetime.datetime(2026, 11, 18, 11, 6" in found
    assert "'ETHUSDT'" in found
    assert "Decimal('0.500000000000000000')" in found  # the copy does not count
    assert "Decimal('0.75000000000000000000')" in found

    put_trades(tmp_path / "single", kafka, "BTCUSDT", None)
    schemas = ROOT / "streamer" / "schemas"
    assert run("topic", kafka.bootstrap_servers, schemas, "BTCUSDT").splitlines() == [
        "5 trades, 1 copies",
        "missing: 3 to 4, lagging",
        "missing: 5 to 5, lagging",
        "missing without a reason: from 8",
    ]
    kcat = run_in_shell("kcat", BROKERS=kafka.bootstrap_servers)
    seen = re.findall(
        r"^partition \d offset \d+ key (\w+), (\d+) bytes, (\d+)$", kcat, re.MULTILINE
    )
    assert len(seen) == len(kcat.splitlines()) == 12
    assert {key for key, _, _ in seen} == {"ETHUSDT", "BTCUSDT"}
    times = [int(time_ms) / 1000 for _, _, time_ms in seen]
    assert began <= min(times)  # when they were handed over, though they took place before
    assert max(times) <= time.time()
    with pytest.raises(SystemExit, match="no schema has the fingerprint"):
        run("topic", kafka.bootstrap_servers, schemas / "history" / "none", "BTCUSDT")

    since = time.time_ns() // 1000 + 180_000_000  # after what the programs above read was put
    times = [(since - 120_000_000, since - 120_000_000), (since - 70_000_000, since - 70_000_001)]
    times += [(since - 9, since - 10), (since + 5, since), (since + 90, since + 80)]
    times += [(since + 100, since - 120_000_007), (since + 200, since + 20)]  # fetched late
    hand_over(kafka, [*times, times[-1]])  # the last one twice
    begin = datetime.fromtimestamp(since / 1e6, UTC)
    told = run("since", kafka.bootstrap_servers, schemas, "SOLUSDT", begin.isoformat()).splitlines()
    assert told[0] == f"3 trades since {begin.isoformat()}, of 6 messages"  # not the first two
    assert [line.split()[0] for line in told[1:]] == [
        (begin + timedelta(microseconds=each)).isoformat() for each in (0, 20, 80)
    ]


def hand_over(kafka: KafkaCluster, times: list[tuple[int, int]]) -> None:
    """Produce a trade for each time of handing over and time of the trade, in microseconds."""
    encode = encoder("trade", "SOLUSDT", prefix=single_object_header("trade"))
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for handed_us, time_us in times:
        event = Trade("trade", time_us, "SOLUSDT", time_us, "1.5", "2", time_us, True)
        producer.produce(
            "market.crypto.trades.binance", encode(event, handed_us), b"SOLUSDT",
            timestamp=handed_us // 1000,
        )  # fmt: skip
    assert producer.flush(SECONDS) == 0


def test_topics_of_symbols_that_are_listed_later_are_created_before_their_first_record(
    tmp_path: Path, exchange: Exchange, kafka: KafkaCluster, topics: dict[str, str]
) -> None:
    """At a first start with patterns it is not known after which symbols topics are to be named."""
    template = topics["trade"] + ".{symbol}"
    halted = exchange.fault("rest_halt", symbol="ETHUSDT", duration=600)
    administrator = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})

    def partitions(symbol: str) -> int:
        found = administrator.list_topics(timeout=SECONDS).topics
        topic = found.get(template.replace("{symbol}", symbol))
        return 0 if topic is None else len(topic.partitions)

    try:
        settings = {"exchange.symbols": "*USDT", "exchange.symbols_every": "1s"}
        with streaming(
            tmp_path, exchange, kafka, topics | {"trade": template}, **settings
        ) as process:
            eventually(lambda: "symbols listed: BNBUSDT, BTCUSDT" in process.output)
            assert (partitions("BTCUSDT"), partitions("ETHUSDT")) == (3, 0)
            exchange.end(halted["number"])
            eventually(lambda: "symbols listed: ETHUSDT" in process.output)
            assert partitions("ETHUSDT") == 3
            decode = Registered(kafka)
            for symbol in ("BTCUSDT", "ETHUSDT"):
                topic = template.replace("{symbol}", symbol)
                eventually(lambda topic=topic: len(every(kafka, topic)) > 10)
                found = {decode(value)["symbol"] for _, value in every(kafka, topic)}
                assert found == {symbol}
            assert process.stop() == 0, process.output
    finally:
        exchange.end(halted["number"])


def put_trades(directory: Path, kafka: KafkaCluster, symbol: str, registry: str | None) -> None:
    """Put the trades 1, 2, 2, 6, 7, 9 by the sink; 3 to 5 are told as gaps that overlap."""
    config = KafkaConfig(
        bootstrap_servers=kafka.bootstrap_servers, create_topics=True, replication_factor=1,
        partitions=3, positions_topic="", schema_registry_url=registry, start_within=SECONDS,
    )  # fmt: skip
    routes = Routes(("trade",), (symbol,))
    sink = open_kafka_sink(config, directory, (*routes, *routes.gaps.values()))
    for number in (1, 2, 2, 6, 7, 9):
        if number == 6:
            for first, last in ((3, 4), (4, 5)):
                gap = GapRecord(first, symbol, "trade", "lagging", first, last, 2)
                sink.put(routes.gaps[symbol], gap, NOW_US)
        event = Trade("trade", NOW_US, symbol, number, "1.50", "0.1", NOW_US, True)
        sink.put(routes.by_name[f"{symbol.lower()}@trade"], event, NOW_US)
    assert sink.flush(SECONDS) == 0
    sink.close()


@pytest.mark.parametrize("registry", [True, False])
def test_the_audit_reads_both_encodings(tmp_path, kafka, exchange, topics, registry):
    more = {"exchange.streams": ",".join(STREAMS), "connection.max_age": "2s"}
    more["kafka.schema_registry_url"] = kafka.registry_url if registry else None
    before = exchange.status()["attempts_total"]
    with streaming(tmp_path, exchange, kafka, topics, **more) as process:
        eventually(lambda: exchange.status()["attempts_total"] >= before + 2, what="a rotation")
        assert process.stop() == 0, process.output
    assert (every(kafka, topics["trade"])[0][1][:1] == b"\0") == registry
    table = ", ".join(f'{name} = "{topic}"' for name, topic in topics.items() if name != "dead")
    arguments = ["--set", f"kafka.bootstrap_servers={kafka.bootstrap_servers}",
                 "--set", f"kafka.topics={{ {table} }}"]  # fmt: skip
    command = [sys.executable, "-m", "streamer", "audit", "--kafka", "--no-copies", "--json"]
    ended = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=180
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)["streams"]
    assert {(one["stream"], one["symbol"]) for one in found} == {
        (stream, symbol) for stream in STREAMS for symbol in exchange.symbols
    }
    assert all(len(one["partitions"]) == 1 for one in found)
    total = sum(len(every(kafka, topics[stream])) for stream in STREAMS)
    assert sum(one["records"] for one in found) == total
    command[3:] = ["head", "--kafka", "--json", "--streams", "trade", "-n", "2", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    last = {one["symbol"]: one["last_id"] for one in found if one["stream"] == "trade"}
    shown = json.loads(ended.stdout)
    assert shown["problems"] == []
    assert {one["symbol"]: [r["trade_id"] for r in one["records"]] for one in shown["streams"]} == {
        symbol: [last_id - 1, last_id] for symbol, last_id in last.items()
    }


def test_a_frame_that_cannot_be_decoded_is_a_dead_letter(tmp_path, kafka, topics):
    with (
        Exchange(tmp_path, rate=100, symbols=["BTCUSDT"]) as exchange,
        streaming(tmp_path, exchange, kafka, topics) as process,
    ):
        exchange.fault("malformed", variant="missing_field")
        eventually(lambda: any(consume(kafka, topics["dead"]).values()))
        assert process.stop() == 0, process.output
    (letter,) = [json.loads(value) for _, value in every(kafka, topics["dead"])]
    assert letter["error_type"] == "missing_field"
    assert letter["connection_id"] == 1
    assert json.loads(letter["text"])["stream"] == "btcusdt@trade"
    assert letter["time"].endswith("+00:00")
    assert not (tmp_path / "records" / "rejected").exists()


class Gate:
    """The way to a registry, which can be shut and be slow; a restarted one takes ten seconds."""

    def __init__(self, registry_url: str) -> None:
        parts = urlsplit(registry_url)
        gate, self.delay_seconds = self, 0.0

        class Forward(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                time.sleep(gate.delay_seconds)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = urllib.request.Request(
                    f"http://{parts.netloc}{self.path}", body, dict(self.headers)
                )
                with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                    content = answer.read()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                pass

        self._handler = Forward
        self._address = ("127.0.0.1", free_port())
        self.url = f"http://127.0.0.1:{self._address[1]}{parts.path}"

    def open(self) -> None:
        self._server = http.server.ThreadingHTTPServer(self._address, self._handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def shut(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_the_registry_may_come_late_and_go_away_afterwards(tmp_path, kafka, exchange, topics):
    gate = Gate(kafka.registry_url)
    more = {"kafka.schema_registry_url": gate.url}
    before = exchange.status()["attempts_total"]
    with streamer(tmp_path, exchange, kafka, topics, **more) as process:
        eventually(lambda: "waiting for the schema registry" in process.output)
        assert exchange.status()["attempts_total"] == before
        gate.open()
        eventually(lambda: exchange.status()["attempts_total"] > before)
        gate.shut()
        sent = exchange.events_sent()
        eventually(lambda: exchange.events_sent() > sent + 100)
        assert process.stop() == 0, process.output
    decode = Registered(kafka)
    records = [decode(value) for _, value in every(kafka, topics["trade"])]
    assert audit_records(exchange, records, "trade", "BTCUSDT").clean


def test_a_slow_registry_is_waited_for_within_bounds(tmp_path, kafka, exchange, topics):
    gate = Gate(kafka.registry_url)
    gate.delay_seconds = 0.7
    gate.open()
    more = {"kafka.schema_registry_url": gate.url}
    patient = {"kafka.start_within": "60s"}
    with streaming(tmp_path, exchange, kafka, topics, **more | patient) as process:
        assert process.stop() == 0, process.output
    impatient = {
        "kafka.start_within": "4s",
        "kafka.schema_registry_timeout": "300ms",
        "kafka.start_without_brokers": "false",  # else the ids that were noted would do
    }
    said = refused(tmp_path, exchange, kafka, topics, **more | impatient)
    assert "timed out" in said
    gate.shut()


def test_a_registry_that_stays_away_is_an_error_at_the_start(tmp_path, kafka, exchange, topics):
    more = {"kafka.schema_registry_url": "http://127.0.0.1:1", "kafka.start_within": "8s"}
    said = refused(tmp_path, exchange, kafka, topics, **more)
    assert "the schema registry did not answer within kafka.start_within (8 s)" in said
    assert "127.0.0.1:1 refused the connection" in said


def test_a_schema_that_the_registry_does_not_take_is_named(tmp_path, kafka, exchange, topics):
    other = schema_of("trade")
    other["fields"] = [field for field in other["fields"] if field["name"] != "price"]
    register(kafka, topics["trade"], other)  # ours has no default for the price of these records
    said = refused(tmp_path, exchange, kafka, topics)
    assert f"{topics['trade']}-value" in said
    assert "does not take our schema" in said
    assert "price" in said


def test_without_registration_the_latest_schema_must_be_ours(tmp_path, kafka, exchange, topics):
    more = {"kafka.schema_registry_register": "false"}
    said = refused(tmp_path, exchange, kafka, topics, **more)
    assert "no schema is registered" in said

    register(kafka, topics["gap"], schema_of("gap"))
    register(kafka, topics["trade"], schema_of("trade"))
    with streaming(tmp_path, exchange, kafka, topics, **more) as process:
        assert process.stop() == 0, process.output

    newer = schema_of("trade")
    newer["fields"].append({"name": "venue", "type": "string", "default": "spot"})
    register(kafka, topics["trade"], newer)
    said = refused(tmp_path, exchange, kafka, topics, **more)
    assert "is not the one that records are written with" in said
    assert "venue" in said


def test_a_missing_topic_is_an_error_unless_it_may_be_created(tmp_path, kafka, exchange, topics):
    said = refused(tmp_path, exchange, kafka, topics, **{"kafka.create_topics": "false"})
    for name in ("trade", "gap", "dead"):
        assert f"the topic {topics[name]} does not exist" in said
    assert "kafka.create_topics = true" in said


def prepare(kafka: KafkaCluster, directory: Path, topic: str, **more: Any) -> None:
    config = KafkaConfig(bootstrap_servers=kafka.bootstrap_servers, dead_letter_topic="", **more)
    prepare_topics(config, [topic], directory, time.monotonic() + SECONDS)


def test_topics_are_created_as_stated(tmp_path, kafka):
    topic = uuid.uuid4().hex
    prepare(
        kafka,
        tmp_path,
        topic,
        create_topics=True,
        partitions=5,
        replication_factor=1,
        retention=7200.0,
    )

    administrator = AdminClient(kafka.administrator)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    settings = administrator.describe_configs([resource])[resource].result(SECONDS)
    assert settings["retention.ms"].value == "7200000"
    assert len(administrator.list_topics(topic, SECONDS).topics[topic].partitions) == 5
    assert list(tmp_path.iterdir()) == []  # what is stated need not be remembered


def test_more_copies_than_brokers_are_refused_with_the_setting(tmp_path, kafka):
    with pytest.raises(SinkUnavailable, match=r"kafka\.replication_factor = 3"):
        prepare(kafka, tmp_path, uuid.uuid4().hex, create_topics=True)


def test_another_number_of_partitions_wants_to_be_confirmed(tmp_path, kafka):
    topic = uuid.uuid4().hex
    administrator = AdminClient(kafka.administrator)
    administrator.create_topics([NewTopic(topic, 3, 1)])[topic].result(SECONDS)
    prepare(kafka, tmp_path, topic)
    prepare(kafka, tmp_path, topic)
    administrator.create_partitions([NewPartitions(topic, 4)])[topic].result(SECONDS)

    with pytest.raises(SinkUnavailable, match=r"has 4, and had 3.*kafka\.partitions = 4"):
        prepare(kafka, tmp_path, topic)
    with pytest.raises(SinkUnavailable, match=r"kafka\.partitions = 3, but .* has 4"):
        prepare(kafka, tmp_path, topic, partitions=3)
    prepare(kafka, tmp_path, topic, partitions=4)


def test_a_record_of_the_number_that_cannot_be_kept_is_named(tmp_path, kafka):
    topic = uuid.uuid4().hex
    prepare(kafka, tmp_path, topic, create_topics=True, partitions=1, replication_factor=1)
    (tmp_path / "file").write_text("")

    with pytest.raises(SinkUnavailable, match=r"kafka-topics\.json: cannot be"):
        prepare(kafka, tmp_path / "file", topic)


def records_of(kafka: KafkaCluster, topic: str) -> dict[bytes, list[int]]:
    """Return the ids by key, in the order of their partition."""
    decode = Registered(kafka)
    ids: dict[bytes, list[int]] = defaultdict(list)
    for key, value in every(kafka, topic):
        ids[key].append(decode(value)["trade_id"])
    return ids


def trade(route: Route, number: int) -> Trade:
    return Trade("trade", NOW_US, route.symbol, number, "1.5", "2", NOW_US, True)


def opened(kafka: KafkaCluster, directory: Path, routes: Routes, **more: Any) -> KafkaSink:
    config = KafkaConfig(
        bootstrap_servers=kafka.bootstrap_servers,
        schema_registry_url=kafka.registry_url,
        dead_letter_topic="",
        create_topics=True,
        replication_factor=1,
        **more,
    )
    return open_kafka_sink(config, directory, routes)


def make_fatal(producer: Producer) -> None:
    """Raise a fatal error in librdkafka, by the call that it has for tests."""
    (library,) = Path(confluent_kafka.__file__).parent.parent.glob("confluent_kafka.libs/librdka*")
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__)  # its first field
    raised = ctypes.CDLL(str(library)).rd_kafka_test_fatal_error(handle, 45, b"for a test")
    assert raised == 0, raised


def test_after_a_fatal_error_another_producer_goes_on_in_the_same_order(tmp_path, kafka):
    topic = uuid.uuid4().hex
    routes = Routes(("trade",), ("BTCUSDT", "ETHUSDT"))
    sink = opened(kafka, tmp_path, routes, topics={"trade": topic}, client={"linger.ms": 50})
    for number in range(3000):
        for route in routes:
            sink.put(route, trade(route, number), NOW_US)
        if number in (1000, 1250):
            make_fatal(sink._producer._producer)
        if number % 100 == 0:
            sink.poll(time.monotonic())

    assert sink.flush(SECONDS) == 0
    counts = sink.counts()
    assert counts.producers_replaced_total == 2
    assert (counts.acknowledged_total, counts.refused_total) == (6000, 0)
    assert any("are kept, and tried again" in error.error for error in sink.take_errors())
    sink.close()
    for ids in records_of(kafka, topic).values():
        assert list(dict.fromkeys(ids)) == list(range(3000))  # copies may follow, never overtake


def test_batches_that_are_too_large_for_the_topic_become_smaller(tmp_path, kafka):
    topic = uuid.uuid4().hex
    administrator = AdminClient(kafka.administrator)
    new = NewTopic(topic, 1, 1, config={"max.message.bytes": "1500"})
    administrator.create_topics([new])[topic].result(SECONDS)
    routes = Routes(("trade",), ("BTCUSDT", "X" * 1600))
    small, large = routes
    sink = opened(kafka, tmp_path, routes, topics={"trade": topic}, compression="none")
    for number in range(500):
        sink.put(small, trade(small, number), NOW_US)
    sink.put(large, trade(large, 7), NOW_US)
    for number in range(500, 1000):
        sink.put(small, trade(small, number), NOW_US)

    assert sink.flush(SECONDS) == 0
    counts = sink.counts()
    assert (counts.acknowledged_total, counts.refused_total) == (1000, 1)
    (given_up,) = sink.take_refused()
    assert b"X" * 1600 in given_up.content
    sink.close()
    assert records_of(kafka, topic) == {b"BTCUSDT": list(range(1000))}


@pytest.mark.full
def test_a_thousand_subjects_share_a_cache_of_ten(tmp_path, kafka):
    run = uuid.uuid4().hex[:8]
    routes = Routes(("trade",), [f"S{number}USDT" for number in range(1000)])
    sink = opened(
        kafka,
        tmp_path,
        routes,
        topics={"trade": f"{run}.{{symbol}}"},
        partitions=1,
        start_within=120.0,
    )
    sizes = []
    for number in range(1000):
        for route in routes:
            sink.put(route, trade(route, number), NOW_US)
        sink.poll(time.monotonic())
        while sink.counts().queued > 2_000:  # the backlog of a broker that is slower is no leak
            sink.poll(time.monotonic())
            time.sleep(0.002)
        sizes.append(psutil.Process().memory_info().rss)

    assert sink.flush(120.0) == 0
    counts = sink.counts()
    assert (counts.serializer_cache_size, counts.acknowledged_total) == (10, 1_000_000)
    assert counts.serializer_cache_evictions_total == 1_000_000 - 10
    assert max(sizes[500:]) - max(sizes[100:500]) < 10 << 20
    sink.close()
    assert records_of(kafka, f"{run}.S7USDT") == {b"S7USDT": list(range(1000))}
