"""Every reader, on files and topics of a run with faults: the values are the exchange's, exact.

fastavro's records are compared with the tape, field by field; the other readers must return what
fastavro does.
"""

from __future__ import annotations

import decimal
import io
import json
import shutil
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import avro.datafile
import avro.io
import fastavro
import pandas
import polars
import pyarrow.parquet
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from streamer.__main__ import main
from tests.audit import audit_records, kind_of, read_files
from tests.consumer_programs import PROGRAMS, with_avro
from tests.exchange import Exchange
from tests.jvm_readers import avro_tools, spark_messages, spark_rows, spark_submit
from tests.kafka_cluster import KafkaCluster
from tests.kafka_mock import EVERY_TOPIC, GAP_TOPIC, TOPICS, MockKafka
from tests.kafka_reader import decode, every
from tests.streaming import ROOT, Process, at_exchange, eventually
from tests.tools import required

STREAMS = ("trade", "aggTrade", "bookTicker", "depth@100ms", "kline_1s", "miniTicker", "ticker")
WITH_HOLES = ("bookTicker", "depth@100ms", "miniTicker", "ticker", "kline_1s")  # after a reset
KINDS = ("trade", "aggTrade", "bookTicker", "depth", "kline", "miniTicker", "ticker", "gap")
SYMBOLS = ("BTCUSDT", "PEPEUSDT")  # one has quantities of more than ten digits
SCHEMAS = ROOT / "streamer" / "schemas"
Record = dict[str, Any]


def of_kind(directory: Path, kind: str) -> list[Path]:
    return sorted((directory / kind).glob("*.avro"), key=lambda path: path.name[-11:])


def by_fastavro(paths: list[Path]) -> list[Record]:
    found: list[Record] = []
    for path in paths:
        with path.open("rb") as file:
            found += fastavro.reader(file)
    return found


def by_avro(paths: list[Path]) -> list[Record]:
    found: list[Record] = []
    for path in paths:
        with (
            path.open("rb") as file,
            avro.datafile.DataFileReader(file, avro.io.DatumReader()) as reader,
        ):
            found += reader
    return found


def by_polars(paths: list[Path]) -> list[Record]:
    rows: list[Record] = polars.concat([polars.read_avro(path) for path in paths]).to_dicts()
    return rows


def by_duckdb(paths: list[Path]) -> list[Record]:
    """Return rows with decimals of their bytes, and times in the zone that DuckDB leaves out."""
    found = []
    with with_avro() as connection:
        for path in paths:
            relation = connection.sql(f"SELECT * FROM read_avro('{path}')")
            names = relation.columns
            for row in relation.fetchall():
                found.append({n: plain(v) for n, v in zip(names, row, strict=True)})
    return found


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        number = int.from_bytes(value, "big", signed=True)
        return Decimal(number).scaleb(-18, Context(prec=40))
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return value


def by_avro_tools(paths: list[Path], directory: Path) -> list[Record]:
    """Return what `tojson` prints of all files together: bytes as text, unions by their type."""
    whole = directory / "whole.avro"
    avro_tools("concat", *paths, whole)
    lines = avro_tools("tojson", whole).rstrip("\n").split("\n")  # bytes are any characters
    fields = json.loads(avro_tools("getschema", whole))["fields"]
    return [
        {one["name"]: from_json(row[one["name"]], one["type"]) for one in fields}
        for row in map(json.loads, lines)
    ]


def from_json(value: Any, kind: Any) -> Any:
    """Return the value of an Avro type that is so in Avro's own JSON."""
    if isinstance(kind, list):  # null, and something else
        return None if value is None else from_json(*value.values(), kind[1])
    match kind if isinstance(kind, str) else kind.get("logicalType", kind["type"]):
        case "decimal":
            return plain(value.encode("latin-1"))
        case "timestamp-micros":
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
        case "array":
            return [from_json(one, kind["items"]) for one in value]
        case "record":
            return {
                one["name"]: from_json(value[one["name"]], one["type"]) for one in kind["fields"]
            }
    return value


def in_parquet(directory: Path, kind: str) -> Iterator[list[Record]]:
    """Yield the rows of the exported files of a kind, by pyarrow and by pandas."""
    paths = sorted((directory / kind).rglob("*.parquet"))
    yield [row for path in paths for row in pyarrow.parquet.read_table(path).to_pylist()]
    frames = [pandas.read_parquet(path, dtype_backend="pyarrow") for path in paths]
    yield [row for frame in frames for row in frame.to_dict("records")]


def in_order(records: list[Record]) -> list[tuple[Any, ...]]:
    """Return what a reader says, by record id and source, since Parquet has a file per symbol."""
    rows = [tuple(sorted((name, repr(normal(value))) for name, value in one.items()))
            for one in records]  # fmt: skip
    return sorted(rows)


def normal(value: Any) -> Any:
    if isinstance(value, pandas.Timestamp):
        return value.to_pydatetime().astimezone(UTC)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, Decimal):
        return value.normalize(Context(prec=40))
    if isinstance(value, list):
        return [normal(one) for one in value]
    if isinstance(value, dict):
        return {name: normal(one) for name, one in value.items()}
    return value


def run_with_faults(
    tmp_path: Path, exchange: Exchange, end: signal.Signals, **settings: Any
) -> None:
    """Stream with lost events, a reset connection and a streamer that ends by a signal."""
    arguments = at_exchange(exchange, **settings)
    with Process(tmp_path / "first.log", "streamer", *arguments) as process:
        eventually(lambda: exchange.events_sent() > 500, what="events")
        for stream in ("trade", "aggTrade", "depth@100ms"):
            exchange.fault("withhold", stream=stream, symbol="PEPEUSDT", count=7)
        exchange.fault("reset")
        attempts = exchange.status()["attempts_total"]
        eventually(
            lambda: exchange.status()["attempts_total"] >= attempts and exchange.connections(),
            what="another connection",
        )
        eventually(lambda: exchange.events_sent() > 500, what="more events")
        process.stop(end)
    for start in range(2, 6):  # one that is stopped before all is fetched leaves it to the next
        with Process(tmp_path / f"{start}.log", "streamer", *arguments) as process:
            eventually(lambda: exchange.events_sent() > 500, what="events after the kill")
            code = process.stop()
        if code == 0:
            return
    raise AssertionError(f"exit code {code}:\n{process.output[-4000:]}")


def check_against_the_tape(exchange: Exchange, stream: str, records: list[Record]) -> None:
    once: dict[str, Record] = {}
    for record in records:
        once.setdefault(record["record_id"], record)  # copies may follow a kill
    for symbol in SYMBOLS:
        audit = audit_records(exchange, list(once.values()), stream, symbol)
        assert audit.intact if stream in WITH_HOLES else audit.clean, (stream, symbol, audit)
        assert audit.count > 2


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a run with faults left `data` and, exported, `parquet`: as the exchange told."""
    directory = tmp_path_factory.mktemp("readers")
    data, parquet = directory / "data", directory / "parquet"
    with Exchange(directory, rate=100, symbols=SYMBOLS) as exchange:
        settings = {"exchange.streams": ",".join(STREAMS), "sink.directory": data}
        run_with_faults(
            directory, exchange, signal.SIGKILL, **settings, **{"sink.rollover_after": "1s"}
        )
        for stream in STREAMS:
            check_against_the_tape(exchange, stream, read_files(data, stream))
    assert main(["export", str(data), "--output", str(parquet)]) == 0
    return directory


def without(names: set[str], records: list[Record]) -> list[Record]:
    return [{name: each for name, each in one.items() if name not in names} for one in records]


@pytest.mark.full
def test_every_reader_tells_what_the_exchange_told(recorded):
    for kind in KINDS:
        paths = of_kind(recorded / "data", kind)
        written = by_fastavro(paths)
        assert len(paths) > 1, kind
        for read in (by_avro, by_polars, by_duckdb):
            assert in_order(read(paths)) == in_order(written), (kind, read)
        for rows in in_parquet(recorded / "parquet", kind):
            told = without({"symbol"}, rows)
            assert in_order(told) == in_order(without({"symbol"}, written)), kind


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_avro_tools_tell_what_the_exchange_told(recorded, tmp_path, kind):
    paths = of_kind(recorded / "data", kind)
    assert in_order(by_avro_tools(paths, tmp_path)) == in_order(by_fastavro(paths))


@pytest.mark.full
@pytest.mark.timeout(1800)  # the first run on a machine fetches 450 MB
def test_spark_tells_what_the_exchange_told(recorded, tmp_path):
    """Files as they are and Parquet; complete files alone, a cut one in progress beside them."""
    data = recorded / "data"
    written = {kind: by_fastavro(of_kind(data, kind)) for kind in KINDS}
    whole = of_kind(data, "trade")[0].read_bytes()
    (data / "trade" / "20991231T235959Z-000999.avro.open").write_bytes(whole[:-9])
    for kind, rows in zip(
        KINDS, spark_rows("avro", [data / kind for kind in KINDS], tmp_path), strict=True
    ):
        assert in_order(rows) == in_order(written[kind]), kind
    exported = [recorded / "parquet" / kind for kind in KINDS]
    for kind, rows in zip(KINDS, spark_rows("parquet", exported, tmp_path), strict=True):
        expected = without({"symbol"}, written[kind])
        assert in_order(without({"symbol", "date"}, rows)) == in_order(expected), kind


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_the_page_s_program_for_spark(recorded, tmp_path):
    """With a symbol whose products have 16 digits behind the point, and more before it."""
    data = tmp_path / "data"
    shutil.copytree(recorded / "data" / "trade", data / "trade")
    template = by_fastavro(of_kind(data, "trade"))[0]
    several = [
        {
            **template,
            "symbol": "XUSDT",
            "record_id": f"binance:spot:XUSDT:trade:{number}",
            "price": Decimal(f"{number}.12345679"),
            "quantity": Decimal(f"1234567{number}.98765431"),
        }
        for number in range(1, 100)
    ]
    with (data / "trade" / "20991231T000000Z-000998.avro").open("wb") as file:
        fastavro.writer(file, json.loads((SCHEMAS / "trade.avsc").read_text()), several)
    _, program = PROGRAMS["spark"]
    told = spark_submit(program, data, directory=tmp_path)
    trades = {one["record_id"]: one for one in by_fastavro(of_kind(data, "trade"))}
    with decimal.localcontext(prec=80):
        expected = []
        for symbol in (*SYMBOLS, "XUSDT"):
            mine = [one for one in trades.values() if one["symbol"] == symbol]
            volume = sum((one["quantity"] for one in mine), Decimal())
            quote = sum((one["quantity"] * one["price"] for one in mine), Decimal())
            expected.append((symbol, len(mine), volume, quote))
    rows = [line.split() for line in told.splitlines()]
    assert [(a, int(b), Decimal(c), Decimal(d)) for a, b, c, d in rows] == expected


@pytest.mark.full
def test_topics_of_a_run_with_faults_tell_what_the_exchange_told(tmp_path):
    with MockKafka() as brokers, Exchange(tmp_path, rate=100, symbols=SYMBOLS) as exchange:
        run_with_faults(
            tmp_path,
            exchange,
            signal.SIGTERM,  # librdkafka's mock cluster finds no offset by time, as a kill needs
            **{
                "exchange.streams": ",".join(TOPICS),
                "sink.kind": "kafka",
                "sink.directory": tmp_path / "state",
                "kafka.bootstrap_servers": brokers,
            },
        )
        for stream, topic in TOPICS.items():
            records, lengths = consumed(brokers, topic, stream)
            check_against_the_tape(exchange, stream, records)
            command = [required("kcat", "kcat"), "-C", "-b", brokers, "-t", topic]
            shown = subprocess.run(
                [*command, "-o", "beginning", "-e", "-q", "-f", r"%p %k %S\n"],
                capture_output=True, text=True, check=True, timeout=120,
            ).stdout  # fmt: skip
            told: dict[str, list[int]] = defaultdict(list)
            for line in shown.splitlines():
                _, key, length = line.split()
                told[key].append(int(length))
            assert told == lengths, stream


def consumed(brokers: str, topic: str, stream: str) -> tuple[list[Record], dict[str, list[int]]]:
    """Return the records of a topic, and the lengths of their messages by key."""
    text = (ROOT / "streamer" / "schemas" / f"{stream}.avsc").read_text()
    schema = fastavro.parse_schema(json.loads(text))
    client = {"bootstrap.servers": brokers, "group.id": "test", "enable.partition.eof": True}
    consumer = Consumer(client)
    records: list[Record] = []
    lengths: dict[str, list[int]] = defaultdict(list)
    left = set(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in left])
    while left:
        for message in consumer.consume(1000, timeout=1):
            if message.error() is not None:
                assert message.error().code() == KafkaError._PARTITION_EOF
                left.discard(message.partition())
                continue
            value = message.value()
            records.append(fastavro.schemaless_reader(io.BytesIO(value[10:]), schema, None))
            lengths[message.key().decode()].append(len(value))
    consumer.close()
    return records, lengths


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("registry", [True, False])
def test_topics_of_a_killed_streamer_tell_what_the_exchange_told(tmp_path, registry):
    """A real broker: by the client's own deserializer with a registry, by Spark in any case."""
    topics = {stream: EVERY_TOPIC[stream] for stream in STREAMS} | {"gap": GAP_TOPIC}
    options = ["--registry"] if registry else []
    with (
        KafkaCluster(tmp_path / "kafka", *options) as kafka,
        Exchange(tmp_path, rate=100, symbols=SYMBOLS) as exchange,
    ):
        settings = {
            "exchange.streams": ",".join(STREAMS),
            "sink.kind": "kafka",
            "sink.directory": tmp_path / "state",
            "kafka.bootstrap_servers": kafka.bootstrap_servers,
            "kafka.create_topics": "true",
            "kafka.replication_factor": 1,
            "kafka.partitions": 3,
        }
        if registry:
            settings["kafka.schema_registry_url"] = kafka.registry_url
        run_with_faults(tmp_path, exchange, signal.SIGKILL, **settings)
        found: list[list[Record]] = []
        given: list[tuple[list[bytes], Record]] = []
        for stream, topic in topics.items():
            values = [value for _, value in every(kafka, topic)]
            if registry:
                found.append(deserialized(kafka, topic, values))
            else:
                found.append([decode(kind_of(stream), value) for value in values])
            if stream != "gap":
                check_against_the_tape(exchange, stream, found[-1])
            given.append((values, json.loads((SCHEMAS / f"{kind_of(stream)}.avsc").read_text())))
            assert len(found[-1]) > 1
    told = spark_messages(given, 5 if registry else 10, tmp_path)
    for stream, rows, expected in zip(topics, told, found, strict=True):
        assert in_order(rows) == in_order(expected), stream


def deserialized(kafka: KafkaCluster, topic: str, values: list[bytes]) -> list[Record]:
    """Return what the client's own deserializer makes of the values of messages."""
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": kafka.registry_url}))
    context = SerializationContext(topic, MessageField.VALUE)
    found = [deserialize(value, context) for value in values]
    assert all(isinstance(one, dict) for one in found)
    return found
