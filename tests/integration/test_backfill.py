"""Holes are filled from REST and from the exchange's archives, beside a streamer; audited."""

from __future__ import annotations

import io
import json
import urllib.request
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from streamer.__main__ import main
from streamer.data.records import load_schema
from tests.consumer_programs import run
from tests.exchange import Exchange
from tests.kafka_mock import MockKafka
from tests.streaming import ROOT, Process, at_exchange, eventually

WITHHELD = {"trade": 25, "aggTrade": 25, "kline_1s": 2}
NUMBERS = {"trade": "trade_id", "aggTrade": "aggregate_trade_id"}


def records(directory: Path, kind: str) -> list[dict[str, Any]]:
    """Return the records of complete files, in the order of their numbers."""
    found: list[dict[str, Any]] = []
    for path in sorted((directory / kind).glob("*.avro"), key=lambda path: path.name[-11:]):
        with path.open("rb") as file:
            found += fastavro.reader(file)
    return found


def every_trade(data: Path) -> list[dict[str, Any]]:
    """Return the trades of BTCUSDT, those of the stream and those of a back-fill."""
    every = [*records(data, "trade"), *records(data / "backfill", "trade")]
    return [one for one in every if one["symbol"] == "BTCUSDT"]


def declared(directory: Path) -> dict[str, int]:
    """Return how many ids are declared missing, by stream."""
    missing: dict[str, int] = defaultdict(int)
    for gap in records(directory, "gap"):
        missing[gap["stream"]] += gap["missing"] or 0
    return missing


def audited(directory: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """Return what an audit found, by stream and symbol; all must be explained, without a copy."""
    code = main(["audit", str(directory), "--json", "--no-copies"])
    outcome = json.loads(capsys.readouterr().out)
    assert (code, outcome["problems"], outcome["not_judged"]) == (0, [], []), outcome
    return {f"{one['stream']} {one['symbol']}": one for one in outcome["streams"]}


def load_archive(exchange: Exchange, directory: Path, name: str) -> None:
    for each in (name, f"{name}.CHECKSUM"):
        url = f"{exchange.control_url}/data/spot/daily/{each}"
        with urllib.request.urlopen(url) as answer:
            (directory / each).write_bytes(answer.read())


def is_as_told(record: dict[str, Any], told: dict[str, Any]) -> bool:
    return (
        record["price"] == Decimal(told["p"])
        and record["quantity"] == Decimal(told["q"])
        and record["trade_time"].timestamp() == pytest.approx(told["T"] / 1e6, abs=1e-6)
        and record["buyer_is_maker"] == told["m"]
    )


def test_a_hole_is_filled_beside_a_streamer(tmp_path, capsys):
    data, archives = tmp_path / "data", tmp_path / "archives"
    archives.mkdir()
    began = datetime.now(UTC).strftime("%Y-%m-%d")
    settings = {
        "exchange.streams": "trade,aggTrade,kline_1s",
        "sink.directory": data,
        "repair.enabled": "false",
        "connection.gap_wait": "50ms",
        "sink.rollover_after": "300ms",
    }
    with (
        Exchange(tmp_path, rate=200, symbols=("BTCUSDT", "ETHUSDT")) as exchange,
        Process(
            tmp_path / "streamer.log", "streamer", *at_exchange(exchange, **settings)
        ) as process,
    ):
        eventually(lambda: len(records(data, "kline")) > 2, what="a complete file")
        for stream, count in WITHHELD.items():
            exchange.fault("withhold", stream=stream, symbol="BTCUSDT", count=count)
        eventually(lambda: all(declared(data)[one] >= 1 for one in WITHHELD), what="gaps")

        over_rest = at_exchange(exchange, **settings)
        assert main(["backfill", "--gaps", "--stream", "trade", *over_rest]) == 0
        for day in {began, datetime.now(UTC).strftime("%Y-%m-%d")}:  # midnight may lie between
            load_archive(exchange, archives, f"BTCUSDT-aggTrades-{day}.zip")
            load_archive(exchange, archives, f"BTCUSDT-1s-{day}.zip")
        from_archives = ["backfill", "--gaps", "--from-archive", str(archives)]
        assert main([*from_archives, "--set", f"sink.directory={data}"]) == 0
        written = {path: path.read_bytes() for path in (data / "backfill").rglob("*.avro")}
        assert main([*from_archives, "--set", f"sink.directory={data}"]) == 0  # nothing more
        assert main(["backfill", "--gaps", "--stream", "trade", *over_rest]) == 0
        assert {path: path.read_bytes() for path in (data / "backfill").rglob("*.avro")} == written
        assert process.stop() == 0
        told = {stream: exchange.tape(stream, "BTCUSDT") for stream in NUMBERS}

    capsys.readouterr()

    found = audited(data, capsys)
    for stream, source in (("trade", "backfill"), ("aggTrade", "archive")):
        finding = found[f"{stream} BTCUSDT"]
        assert finding["missing"] == finding["declared_missing"] == 0
        assert finding["filled"] == WITHHELD[stream]
        later = records(data / "backfill", stream)
        assert len(later) == finding["filled"]
        assert {record["source"] for record in later} == {source}
        by_id = {one["t" if stream == "trade" else "a"]: one for one in told[stream]}
        every = [*records(data, stream), *later]
        assert all(
            is_as_told(one, by_id[one[NUMBERS[stream]]])
            for one in every
            if one["symbol"] == "BTCUSDT"
        )
    ids = sorted({one["trade_id"] for one in every_trade(data)})
    merged = run("merged", data, "BTCUSDT")
    assert merged == f"{len(ids)} trades, {WITHHELD['trade']} of them fetched later\n"
    assert ids[-1] - ids[0] + 1 == len(ids)
    closings = [gap for gap in records(data / "backfill", "gap") if gap["reason"] == "filled"]
    assert {(gap["stream"], gap["missing"]) for gap in closings} >= {
        ("trade", WITHHELD["trade"]),
        ("aggTrade", WITHHELD["aggTrade"]),
    }
    assert found["kline_1s BTCUSDT"]["filled"] == sum(
        gap["missing"] for gap in closings if gap["stream"] == "kline_1s"
    )
    (data / "backfill" / "trade").rename(tmp_path / "moved")  # the audit must miss it
    assert main(["audit", str(data)]) == 3


def test_topics_are_filled_and_a_start_goes_on_behind_them(tmp_path, capsys):
    with MockKafka() as brokers, Exchange(tmp_path, rate=200, symbols=("BTCUSDT",)) as exchange:
        settings = {
            "exchange.streams": "trade",
            "sink.kind": "kafka",
            "sink.directory": tmp_path / "state",
            "kafka.bootstrap_servers": brokers,
            "repair.enabled": "false",
            "connection.gap_wait": "50ms",
        }
        arguments = at_exchange(exchange, **settings)
        with Process(tmp_path / "first.log", "streamer", *arguments) as process:
            eventually(lambda: exchange.events_sent() > 50, what="events")
            exchange.fault("withhold", stream="trade", symbol="BTCUSDT", count=30)
            eventually(lambda: "(30 missing)" in process.output, what="a gap")
            assert process.stop() == 0
        assert main(["backfill", "--gaps", *arguments]) == 0
        assert main(["backfill", "--gaps", *arguments]) == 0  # nothing more
        settings["repair.enabled"] = "true"
        arguments = at_exchange(exchange, **settings)
        with Process(tmp_path / "second.log", "streamer", *arguments) as process:
            eventually(lambda: exchange.events_sent() > 50, what="events")
            assert process.stop() == 0
        told = {one["t"]: one for one in exchange.tape("trade", "BTCUSDT")}
        flagged = consumed(brokers, "market.crypto.trades.binance")
        program = run("topic", brokers, ROOT / "streamer" / "schemas", "BTCUSDT")
        assert main(["audit", "--kafka", "--json", "--no-copies", *arguments]) == 0
    said = capsys.readouterr()
    assert "30 events stored, 1 gaps closed" in said.err
    assert "0 events stored, 0 gaps closed" in said.err
    (finding,) = json.loads(said.out)["streams"]
    assert (finding["filled"], finding["missing"], finding["declared_missing"]) == (30, 0, 0)
    streamed = finding["records"] - 30
    assert program == f"{streamed} trades, 0 copies\n30 trades were filled later\n"
    assert [header for header, _ in flagged] == [b"backfill"] * 30
    assert all(is_as_told(record, told[record["trade_id"]]) for _, record in flagged)


def consumed(brokers: str, topic: str) -> list[tuple[bytes, dict[str, Any]]]:
    """Return header and record of the messages that have the header of a back-fill."""
    schema = fastavro.parse_schema(load_schema("trade"))
    client = {"bootstrap.servers": brokers, "group.id": "test", "enable.partition.eof": True}
    consumer, found = Consumer(client), []
    left = set(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in left])
    while left:
        for message in consumer.consume(1000, timeout=1):
            if message.error() is not None:
                assert message.error().code() == KafkaError._PARTITION_EOF
                left.discard(message.partition())
            elif message.headers():
                record = fastavro.schemaless_reader(io.BytesIO(message.value()[10:]), schema, None)
                found.append((dict(message.headers())["vigil-source"], record))
    consumer.close()
    return found
