"""A streamer that was killed goes on where its records in a real Kafka end.

Nothing is missing, first occurrences are in order; what was not yet in the topic of positions is
found at the ends of the data topics.
"""

from __future__ import annotations

import json
import signal
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.audit import audit_records, record_id
from tests.exchange import Exchange
from tests.kafka_cluster import KafkaCluster
from tests.kafka_reader import every, records
from tests.streaming import Process, at_exchange, eventually

pytestmark = pytest.mark.timeout(900)  # the first run on a machine fetches 190 MB

STREAMS = ("trade", "aggTrade")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    with KafkaCluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@pytest.fixture
def topics() -> dict[str, str]:
    test = uuid.uuid4().hex[:8]
    names = (*STREAMS, "bookTicker", "gap", "dead", "positions")
    return {name: f"{test}.{name}" for name in names}


def streamer(
    directory: Path, exchange: Exchange, kafka: KafkaCluster, topics: dict[str, str], **more: Any
) -> Process:
    data = {name: topics[name] for name in (*STREAMS, "bookTicker", "gap")}
    table = ", ".join(f'{name} = "{topic}"' for name, topic in data.items())
    settings = {
        "exchange.streams": ",".join(STREAMS),
        "connection.gap_wait": "200ms",
        "sink.kind": "kafka",
        "sink.directory": directory / "records",
        "kafka.bootstrap_servers": kafka.bootstrap_servers,
        "kafka.topics": f"{{ {table} }}",
        "kafka.dead_letter_topic": topics["dead"],
        "kafka.positions_topic": topics["positions"],
        "kafka.create_topics": "true",
        "kafka.replication_factor": 1,
        "kafka.partitions": 3,
        "kafka.statistics_every": "500ms",
        **more,
    }
    return Process(directory / "streamer.log", "streamer", *at_exchange(exchange, **settings))


def stored(kafka: KafkaCluster, topics: dict[str, str], symbol: str = "BTCUSDT") -> list[int]:
    """The trade ids in the topic, as they lie there."""
    found = records(kafka, topics["trade"])
    return [record["trade_id"] for record in found if record["symbol"] == symbol]


def await_records(exchange: Exchange, more: int) -> None:
    """Wait until so many more events were sent; they are in Kafka a moment later."""
    sent = exchange.events_sent()
    eventually(lambda: exchange.events_sent() > sent + more, what="events")


def await_caught_up(exchange: Exchange, kafka: KafkaCluster, topics: dict[str, str]) -> None:
    """Wait until what is live now is there: below it nothing is missing any more."""
    last_ids = exchange.status()["last_ids"]

    def caught_up(stream: str) -> bool:
        newest = {
            record["symbol"]: record_id(stream, record)
            for record in records(kafka, topics[stream], stream)
        }
        return all(
            newest[symbol] >= last_ids[f"{symbol.lower()}@{stream}"] for symbol in exchange.symbols
        )

    for stream in STREAMS:
        eventually(partial(caught_up, stream), what=f"the live data of {stream}", every=0.5)


def positions(kafka: KafkaCluster, topics: dict[str, str]) -> dict[str, dict[str, int]]:
    """The latest value by key."""
    return {key.decode(): json.loads(value) for key, value in every(kafka, topics["positions"])}


def assert_complete(exchange: Exchange, kafka: KafkaCluster, topics: dict[str, str]) -> None:
    for stream in STREAMS:
        found = records(kafka, topics[stream], stream)
        for symbol in exchange.symbols:
            audit = audit_records(exchange, found, stream, symbol)
            assert audit.clean, (stream, symbol, audit)
            assert audit.backfilled, (stream, symbol)


def test_killed_again_and_again_under_load_nothing_is_missing(tmp_path, kafka, topics):
    with Exchange(tmp_path, rate=1000, extra=("--rest-nasty", "0.2")) as exchange:
        for events in (3_000, 8_000, 1_000):
            with streamer(tmp_path, exchange, kafka, topics) as process:
                await_records(exchange, events)
                process.stop(signal.SIGKILL)
        with streamer(tmp_path, exchange, kafka, topics) as process:
            await_caught_up(exchange, kafka, topics)
            assert process.stop() == 0, process.output
        assert_complete(exchange, kafka, topics)
        assert not every(kafka, topics["gap"])


def test_positions_that_are_behind_are_corrected_by_the_tails(tmp_path, kafka, topics):
    with Exchange(tmp_path, rate=300) as exchange:
        with streamer(tmp_path, exchange, kafka, topics) as process:
            await_records(exchange, 500)
            assert process.stop() == 0, process.output
        key = f"{topics['trade']}:trade:BTCUSDT"
        written = positions(kafka, topics)
        assert written[key]["last_id"] == stored(kafka, topics)[-1], "written at the end"
        behind = written[key] | {"last_id": written[key]["last_id"] - 50}
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, **kafka.client})
        producer.produce(topics["positions"], b"", key.encode())  # nothing of ours
        producer.produce(topics["positions"], json.dumps(behind), key.encode())
        assert not producer.flush(10)
        with streamer(tmp_path, exchange, kafka, topics) as process:
            await_caught_up(exchange, kafka, topics)
            assert process.stop() == 0, process.output
        assert_complete(exchange, kafka, topics)


def test_killed_as_a_symbol_comes_back_nothing_is_out_of_order(tmp_path, kafka, topics):
    """Records above what nobody wanted must not be there without the record of that gap."""

    def want(*symbols: str) -> None:
        file.write_text(f"[exchange]\nsymbols = {json.dumps(symbols)}\n")

    def started() -> Process:
        process = streamer(tmp_path, exchange, kafka, topics, connection__rotation_overlap="300ms")
        process.configure(file, "exchange.symbols")
        return process

    def change(process: Process, told: str, *symbols: str) -> None:
        want(*symbols)
        process.send(signal.SIGHUP)
        eventually(lambda: told in process.output, what=told)

    file = tmp_path / "vigil.toml"
    with Exchange(tmp_path, rate=300, symbols=("BTCUSDT", "ETHUSDT")) as exchange:
        want("BTCUSDT", "ETHUSDT")
        with started() as process:
            await_records(exchange, 100)
            change(process, "ethusdt@trade has left", "BTCUSDT")
            left = max(stored(kafka, topics, "ETHUSDT"))
            change(process, "added ethusdt@trade", "BTCUSDT", "ETHUSDT")
            eventually(lambda: max(stored(kafka, topics, "ETHUSDT")) > left, every=0.01)
            process.stop(signal.SIGKILL)
        with started() as process:
            eventually(lambda: process.output.count("streams go on") == 2, what="a new start")
            await_records(exchange, 100)
            await_caught_up(exchange, kafka, topics)
            assert process.stop() == 0, process.output
        found = records(kafka, topics["trade"])
        audit = audit_records(exchange, found, "trade", "ETHUSDT")
        assert audit.intact, audit
        gaps = [
            (one["first_id"], one["last_id"])
            for one in records(kafka, topics["gap"], "gap")
            if (one["symbol"], one["stream"]) == ("ETHUSDT", "trade")
        ]
        assert set(audit.holes) <= set(gaps)
        assert audit_records(exchange, found, "trade", "BTCUSDT").clean


def test_positions_are_written_while_records_flow_without_a_pause(tmp_path, kafka, topics):
    """The queue is never seen empty: acknowledgement is known by librdkafka's own numbers."""
    with Exchange(tmp_path, rate=3000) as exchange:
        with streamer(tmp_path, exchange, kafka, topics) as process:
            await_records(exchange, 1000)
            first = eventually(lambda: every(kafka, topics["positions"]))
            eventually(lambda: len(every(kafka, topics["positions"])) > len(first))
            process.stop(signal.SIGKILL)
        found = set(stored(kafka, topics))
        key = f"{topics['trade']}:trade:BTCUSDT"
        for each, value in every(kafka, topics["positions"]):
            if each.decode() == key:
                assert json.loads(value)["last_id"] in found, "it was acknowledged"


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.full)]
)
def test_a_start_without_kafka_goes_on_where_records_end(tmp_path, kafka, topics, number):
    """With what the run before has left on disk, and ended in between once more."""

    def started_without_kafka(process: Process, times: int) -> None:
        told = "until Kafka answers"
        eventually(lambda: process.output.count(told) == times, what=told)
        await_records(exchange, 400)

    with Exchange(tmp_path, rate=300) as exchange:
        try:
            with streamer(tmp_path, exchange, kafka, topics) as process:
                await_records(exchange, 100)
                await_caught_up(exchange, kafka, topics)
                kafka.stop_node(1)
                await_records(exchange, 200)
                assert process.stop() == 1, process.output
            with streamer(tmp_path, exchange, kafka, topics) as process:
                started_without_kafka(process, 1)
                process.stop(number)
            with streamer(tmp_path, exchange, kafka, topics) as process:
                started_without_kafka(process, 2)
                kafka.start_node(1)
                eventually(lambda: "Kafka has answered" in process.output)
                await_caught_up(exchange, kafka, topics)
                assert process.stop() == 0, process.output
        finally:
            kafka.start_node(1)  # does nothing unless this failed
        if number == signal.SIGTERM:
            assert_complete(exchange, kafka, topics)
        else:
            for symbol in exchange.symbols:
                audit = audit_records(exchange, records(kafka, topics["trade"]), "trade", symbol)
                assert not audit.missing, audit
                assert not audit.disordered, audit
        assert not every(kafka, topics["gap"])


@pytest.mark.full
def test_without_a_topic_of_positions_a_start_begins_with_what_comes_live(tmp_path, kafka, topics):
    topics["positions"] = '""'
    with Exchange(tmp_path, rate=300) as exchange:
        for _ in range(2):
            with streamer(tmp_path, exchange, kafka, topics) as process:
                await_records(exchange, 300)
                assert process.stop() == 0, process.output
        audit = audit_records(exchange, records(kafka, topics["trade"]), "trade", "BTCUSDT")
        assert len(audit.holes) == 1
        assert not every(kafka, topics["gap"])


@pytest.mark.parametrize(
    "signal_number", [pytest.param(signal.SIGTERM, marks=pytest.mark.full), signal.SIGKILL]
)
def test_ids_that_begin_anew_while_it_is_away_are_an_epoch_that_a_restart_goes_on_in(
    tmp_path, kafka, topics, signal_number
):
    with Exchange(tmp_path, rate=300) as exchange:
        with streamer(tmp_path, exchange, kafka, topics) as process:
            await_records(exchange, 500)
            assert process.stop() == 0, process.output
        exchange.happened(exchange.fault("ids_anew")["number"])
        with streamer(tmp_path, exchange, kafka, topics) as process:
            eventually(lambda: process.output.count("began anew") == 6, what="new epochs")
            await_records(exchange, 500)
            process.stop(signal_number)
        with streamer(tmp_path, exchange, kafka, topics) as process:
            await_records(exchange, 500)
            await_caught_up(exchange, kafka, topics)
            assert process.stop() == 0, process.output
            assert process.output.count("began anew") == 6
        declared = records(kafka, topics["gap"], "gap")
        assert sorted((gap["stream"], gap["symbol"]) for gap in declared) == sorted(
            (stream, symbol) for stream in STREAMS for symbol in exchange.symbols
        )
        assert {gap["reason"] for gap in declared} == {"new_epoch"}
        for symbol in exchange.symbols:
            tape = [event["t"] for event in exchange.tape("trade", symbol)]
            numbers = stored(kafka, topics, symbol)
            begins = next(index for index, number in enumerate(numbers) if number < 10**6)
            for ids in (numbers[:begins], list(dict.fromkeys(numbers[begins:]))):
                assert ids == list(range(ids[0], ids[-1] + 1))
                assert set(ids) <= set(tape)
