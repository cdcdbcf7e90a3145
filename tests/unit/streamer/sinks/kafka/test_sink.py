from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fastavro
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from streamer.config import KafkaConfig
from streamer.data.events import GapRecord
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.trade import Trade
from streamer.data.records import load_schema, single_object_header
from streamer.errors import SettingsError, SinkAway, SinkNotReady, SinkUnavailable
from streamer.order.positions import Position
from streamer.routes import Route, Routes
from streamer.sinks.kafka import KafkaSink
from streamer.sinks.kafka.account import STALL_SECONDS
from streamer.sinks.kafka.flow import ROOM_SECONDS
from streamer.sinks.kafka.late_topics import LateTopics
from streamer.sinks.kafka.overflow import Overflow, OverflowBounds
from streamer.sinks.kafka.producer import (
    BATCH_AGAIN_SECONDS,
    BATCH_BYTES,
    PAUSE_LIMIT_SECONDS,
)
from streamer.sinks.kafka.topics import topic_of
from tests.kafka_mock import FaultyMockKafka, MockKafka
from tests.unit.streamer.payloads import NOW_US
from tests.waiting import WITHIN_SECONDS

ROUTES = Routes(("trade", "bookTicker"), ("BTCUSDT", "ETHUSDT", "币安人生USDT"))
PATIENCE_SECONDS = WITHIN_SECONDS
UNREACHABLE = "127.0.0.1:1"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with MockKafka() as brokers:
        yield brokers


def event(route: Route, event_id: int) -> Trade | BookTicker:
    if route.kind == "bookTicker":
        return BookTicker(event_id, route.symbol, "1.5", "2", "3", "4")
    return Trade("trade", NOW_US, route.symbol, event_id, "1.5", "2", NOW_US, True)


@pytest.fixture(autouse=True)
def current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep each test's overflow apart."""
    monkeypatch.chdir(tmp_path)


def sink_of(
    config: KafkaConfig,
    routes: Iterable[Route],
    directory: Path = Path("overflow"),
    clock: Any = time,
    late_topics: LateTopics | None = None,
) -> KafkaSink:
    topics = {route: topic_of(config, route) for route in routes}
    headers = {topic: single_object_header(route.kind) for route, topic in topics.items()}
    overflow = Overflow(directory, config.overflow_bytes)
    return KafkaSink(config, topics, headers, overflow, clock=clock, late_topics=late_topics)


def poll_until(sink: KafkaSink, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        sink.poll(time.monotonic())
        time.sleep(0.005)


def consume(cluster: str, topic: str, count: int) -> list[tuple[bytes, int, dict]]:
    """Return key, partition and record of each message, by an independent reader."""
    consumer = Consumer({"bootstrap.servers": cluster, "group.id": "test"})
    partitions = consumer.list_topics(topic, timeout=60).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
    kind = "trade" if "trade" in topic else "bookTicker"
    schema = fastavro.parse_schema(load_schema(kind))
    found = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found) < count and time.monotonic() < deadline:
        for message in consumer.consume(count, timeout=0.2):
            assert message.error() is None
            value = message.value()
            assert value[:10] == single_object_header(kind)
            record = fastavro.schemaless_reader(io.BytesIO(value[10:]), schema)
            found.append((message.key(), message.partition(), record))
    consumer.close()
    return found


@pytest.mark.parametrize(
    "code", [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART]
)
def test_a_refused_batch_is_not_taken_for_delivered_with_the_one_after_it(code):
    """With two requests under way librdkafka would: what was refused is lost without an error."""
    route = next(iter(ROUTES))
    with (mock := FaultyMockKafka("refusing.trade")) as broker:
        config = KafkaConfig(bootstrap_servers=broker, topics={"trade": "refusing.trade"})
        sink = sink_of(config, [route])
        sink.put(route, event(route, 0), NOW_US)
        poll_until(sink, lambda: sink.counts().acknowledged_total == 1)
        mock.answer(after_seconds=1.0, refuse_next=code)
        for event_id in (1, 2):
            sink.put(route, event(route, event_id), NOW_US)
            asked = time.monotonic() + 0.2  # less than an answer takes, and 40 times linger.ms
            poll_until(sink, lambda asked=asked: time.monotonic() >= asked)
        poll_until(sink, lambda: sink.counts().acknowledged_total == 3)
        mock.answer(after_seconds=0.0)
        found = consume(broker, "refusing.trade", 3)
    assert [record["trade_id"] for _, _, record in found] == [0, 1, 2]


def test_records_arrive_once_in_order_under_their_symbol(cluster):
    topics = {"trade": "whole.trade", "bookTicker": "whole.book"}
    sink = sink_of(KafkaConfig(bootstrap_servers=cluster, topics=topics), ROUTES)
    for event_id in range(300):
        for route in ROUTES:
            sink.put(route, event(route, event_id), NOW_US)
    assert sink.counts().accepted_total == 1800
    poll_until(sink, lambda: sink.counts().acknowledged_total == 1800)
    sink.poll(time.monotonic())

    counts = sink.counts()
    assert (counts.errors_total, counts.queued, counts.kind) == (0, 0, "kafka")
    assert sum(counts.acknowledge_seconds.counts) == 1800
    assert counts.bytes_total > 1800 * 50
    for topic in topics.values():
        messages = consume(cluster, topic, 900)
        assert len(messages) == 900
        for symbol in ("BTCUSDT", "ETHUSDT", "币安人生USDT"):
            own = [message for message in messages if message[0] == symbol.encode()]
            ids = [
                record.get("trade_id", record.get("update_id"))
                for _, _, record in own
                if record["symbol"] == symbol
            ]
            assert ids == list(range(300))
            assert {partition for _, partition, _ in own} == {partition_of(symbol.encode(), 4)}
    sink.close()


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Java's clients choose: murmur2, as its authors describe it."""
    mask, mixer = 0xFFFFFFFF, 0x5BD1E995
    value = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for start in range(0, whole, 4):
        k = int.from_bytes(key[start : start + 4], "little") * mixer & mask
        value = value * mixer & mask ^ ((k ^ k >> 24) * mixer & mask)
    if rest := key[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * mixer & mask
    value = (value ^ value >> 13) * mixer & mask
    return ((value ^ value >> 15) & 0x7FFFFFFF) % partitions


def test_a_full_queue_stops_the_feed_and_keeps_the_order(cluster):
    topics = {"trade": "full.trade", "bookTicker": "full.book"}
    config = KafkaConfig(bootstrap_servers=cluster, topics=topics, queue_bytes=4096)
    sink = sink_of(config, ROUTES)
    route = ROUTES.by_name["btcusdt@trade"]
    accepted = 0
    while sink.accepting:
        sink.put(route, event(route, accepted), NOW_US)
        accepted += 1
    for _ in range(5):  # what the feed still has in hand
        sink.put(route, event(route, accepted), NOW_US)
        accepted += 1
    assert sink.counts().queued >= 5

    assert sink.flush(PATIENCE_SECONDS) == 0

    assert sink.accepting
    assert sink.counts().acknowledged_total == accepted
    ids = [record["trade_id"] for _, _, record in consume(cluster, "full.trade", accepted)]
    assert ids == list(range(accepted))
    sink.close()


STOPPED = SimpleNamespace(monotonic=lambda: 1000.0, sleep=time.sleep)
"""A clock that stands still, however busy the machine is."""


def test_who_waits_for_kafka_hears_of_it():
    sink = sink_of(KafkaConfig(bootstrap_servers=UNREACHABLE), ROUTES, clock=STOPPED)
    route = ROUTES.by_name["btcusdt@trade"]
    sink.put(route, event(route, 1), NOW_US)
    sink.poll(1009.0)
    assert "stalled" not in {error.error_type for error in sink.take_errors()}
    sink.poll(1011.0)
    (told,) = [error for error in sink.take_errors() if error.error_type == "stalled"]
    assert told.error.startswith("Kafka has acknowledged nothing for 11 s; ")
    sink.close()


def test_nothing_overtakes_what_the_full_queue_refused(monkeypatch):
    sink = sink_of(KafkaConfig(bootstrap_servers=UNREACHABLE), ROUTES)
    route = ROUTES.by_name["btcusdt@trade"]
    produced: list[bytes] = []
    refusals = [BufferError]

    def produce(topic: str, value: bytes, key: bytes) -> None:
        if refusals:
            raise refusals.pop()
        produced.append(value)

    monkeypatch.setattr(sink._sending, "produce", produce)
    for event_id in (1, 2, 3):  # refused; then there would be room
        sink.put(route, event(route, event_id), NOW_US)
    assert not sink.accepting
    sink.poll(0.0)

    assert sink.accepting
    schema = fastavro.parse_schema(load_schema("trade"))
    records = [fastavro.schemaless_reader(io.BytesIO(value[10:]), schema) for value in produced]
    assert [record["trade_id"] for record in records] == [1, 2, 3]
    sink.close()


def test_without_a_broker_records_wait_and_the_log_says_so(caplog, monkeypatch):
    # The filter that holds repetitions back may remember another test's broker.
    monkeypatch.setattr(logging.getLogger("streamer.librdkafka"), "filters", [])
    sink = sink_of(KafkaConfig(bootstrap_servers=UNREACHABLE), ROUTES)
    route = ROUTES.by_name["btcusdt@trade"]
    sink.put(route, event(route, 1), NOW_US)
    errors = []

    def told() -> bool:
        errors.extend(sink.take_errors())
        down = any(error.error_type == "all_brokers_down" for error in errors)
        return down and "Connection refused" in caplog.text  # either may be said first

    with caplog.at_level(logging.ERROR, "streamer.librdkafka"):
        poll_until(sink, told)
    assert all("connecting goes on" in error.error for error in errors)
    assert len(errors) == len({error.error_type for error in errors})  # each once in a while
    assert sink.flush(0.05) == 1
    counts = sink.counts()
    assert (counts.queued, counts.acknowledged_total, counts.errors_total) == (1, 0, 0)
    assert sink.accepting
    sink.close()


def test_librdkafka_does_not_write_to_stderr(capfd):
    sink = sink_of(KafkaConfig(bootstrap_servers=UNREACHABLE), ROUTES)
    poll_until(sink, lambda: bool(sink.take_errors()))
    sink.close()

    assert capfd.readouterr() == ("", "")


def test_a_record_that_is_too_large_is_given_up_and_named(cluster):
    topics = {"trade": "small.trade", "bookTicker": "small.book"}
    client = {"message.max.bytes": 1000}
    config = KafkaConfig(bootstrap_servers=cluster, topics=topics, client=client)
    routes = Routes(("trade",), ("X" * 2000, "BTCUSDT"))
    sink = sink_of(config, routes)
    large, small = routes
    sink.put(large, event(large, 1), NOW_US)
    sink.put(small, event(small, 2), NOW_US)

    assert sink.accepting
    assert sink.flush(PATIENCE_SECONDS) == 0
    counts = sink.counts()
    assert (counts.accepted_total, counts.acknowledged_total, counts.refused_total) == (2, 1, 1)
    assert (counts.errors_total, counts.acknowledged_by_stream) == (1, {"trade": 1})
    assert [error.error_type for error in sink.take_errors()] == ["refused"]
    (refused,) = sink.take_refused()
    assert (refused.topic, refused.error_type) == ("small.trade", "refused")
    assert "too large" in refused.error
    assert b"X" * 2000 in refused.content
    assert sink.take_refused() == []
    sink.close()


def test_an_event_that_cannot_be_encoded_is_given_up_and_named(cluster):
    topics = {"trade": "odd.trade", "bookTicker": "odd.book"}
    sink = sink_of(KafkaConfig(bootstrap_servers=cluster, topics=topics), ROUTES)
    route = ROUTES.by_name["btcusdt@trade"]
    odd = Trade("trade", NOW_US, "BTCUSDT", 7, "one and a half", "2", NOW_US, True)
    sink.put(route, odd, NOW_US)
    sink.put(route, event(route, 8), NOW_US)

    assert sink.flush(PATIENCE_SECONDS) == 0
    counts = sink.counts()
    assert (counts.accepted_total, counts.acknowledged_total, counts.refused_total) == (2, 1, 1)
    (refused,) = sink.take_refused()
    assert refused.error_type == "encoding"
    assert b"one and a half" in refused.content
    sink.close()


def test_the_client_tells_about_itself_and_each_stream_is_accounted_for(cluster):
    topics = {"trade": "told.trade", "bookTicker": "told.book"}
    config = KafkaConfig(bootstrap_servers=cluster, topics=topics, statistics_every=0.05)
    sink = sink_of(config, ROUTES)
    trades, books = ROUTES.by_name["btcusdt@trade"], ROUTES.by_name["btcusdt@bookTicker"]
    for event_id in range(200):
        sink.put(trades, event(trades, event_id), NOW_US)
    for event_id in range(100):
        sink.put(books, event(books, event_id), NOW_US)
    assert sink.counts().acknowledged_by_stream == {"trade": 0, "bookTicker": 0}

    # Of the latest interval: one without a request says nothing of a broker.
    poll_until(sink, lambda: list(sink.counts().broker_latency_seconds) == [cluster])
    poll_until(sink, lambda: sink.counts().queued == 0)
    counts = sink.counts()
    assert counts.acknowledged_by_stream == {"trade": 200, "bookTicker": 100}
    assert (counts.queued_bytes, counts.serializer_cache_size) == (0, 2)
    sink.close()


def trade_ids(cluster: str, topic: str, count: int) -> list[int]:
    return [record["trade_id"] for _, _, record in consume(cluster, topic, count)]


def test_a_kafka_that_acknowledges_nothing_sends_everything_through_the_disk(cluster, tmp_path):
    topics = {"trade": "stalled.trade", "bookTicker": "stalled.book"}
    config = KafkaConfig(bootstrap_servers=UNREACHABLE, topics=topics)
    route = ROUTES.by_name["btcusdt@trade"]
    sink = sink_of(config, ROUTES, tmp_path / "overflow")
    for number in range(100):
        sink.put(route, event(route, number), NOW_US)
    now = time.monotonic() + STALL_SECONDS + 1
    sink.poll(now)
    sink.poll(now)
    for number in range(100, 150):
        sink.put(route, event(route, number), NOW_US)
    assert sink.accepting
    sink.poll(now + 1)
    assert sink.counts().queued >= 150  # errors of the brokers count there, too
    assert sink.flush(0.2) >= 150
    assert sink.keep() == str(tmp_path / "overflow")
    counts = sink.counts()
    assert (counts.overflow_records, counts.acknowledged_total) == (150, 0)
    sink.close()

    config = KafkaConfig(bootstrap_servers=cluster, topics=topics)
    again = sink_of(config, ROUTES, tmp_path / "overflow")
    assert again.counts().accepted_total == 150
    for number in range(150, 200):
        again.put(route, event(route, number), NOW_US)
    assert again.flush(PATIENCE_SECONDS) == 0
    counts = again.counts()
    assert (counts.acknowledged_total, counts.overflow_records) == (200, 0)
    assert counts.acknowledged_by_stream["trade"] == 200
    poll_until(again, lambda: not list((tmp_path / "overflow").iterdir()))
    again.put(route, event(route, 200), NOW_US)  # at once, now
    assert again.flush(PATIENCE_SECONDS) == 0
    assert again.keep() is None
    again.close()
    assert trade_ids(cluster, "stalled.trade", 201) == list(range(201))


def test_a_full_queue_that_stays_full_goes_to_disk(tmp_path):
    config = KafkaConfig(bootstrap_servers=UNREACHABLE, queue_bytes=4096)
    sink = sink_of(config, ROUTES, tmp_path / "overflow", STOPPED)
    route = ROUTES.by_name["btcusdt@trade"]
    number = 0
    while sink.accepting:
        sink.put(route, event(route, number), NOW_US)
        number += 1
    sink.poll(1000.0)
    assert not sink.accepting
    sink.poll(1000.0 + ROOM_SECONDS)
    assert sink.accepting
    counts = sink.counts()
    assert counts.overflow_records == number
    assert counts.producers_replaced_total == 0  # none has failed
    sink.close()


class WithGaps:
    """A sink for trades and gaps of a symbol."""

    def __init__(self, brokers: str, name: str, directory: Path) -> None:
        topics = {"trade": f"{name}.trade", "gap": f"{name}.gap"}
        self.trades = ROUTES.by_name["btcusdt@trade"]
        self.gaps = ROUTES.gaps["BTCUSDT"]
        config = KafkaConfig(bootstrap_servers=brokers, topics=topics)
        self.sink = sink_of(config, [self.trades, self.gaps], directory)

    def put(self, *ids: int | tuple[int, int]) -> None:
        """Put trades, and gaps: pairs."""
        for one in ids:
            if isinstance(one, int):
                self.sink.put(self.trades, event(self.trades, one), NOW_US)
            else:
                gap = GapRecord(one[0], "BTCUSDT", "trade", "too_old", *one, one[1] - one[0] + 1)
                self.sink.put(self.gaps, gap, NOW_US)
            assert self.sink.accepting


def test_what_comes_after_a_gap_is_sent_when_the_gap_is_acknowledged(
    cluster, tmp_path, monkeypatch
):
    some = WithGaps(cluster, "gaps", tmp_path)
    sink = some.sink
    seen: list[tuple[str, bool]] = []
    really = sink._sending.produce

    def produce(topic: str, value: bytes, key: bytes) -> None:
        seen.append((topic.partition(".")[2], len(sink._producer) == 0))
        really(topic, value, key)

    monkeypatch.setattr(sink._sending, "produce", produce)
    some.put(1, (2, 4), 5, (6, 6), (7, 8), 9, 10)
    assert [kind for kind, _ in seen] == ["trade", "gap"]
    poll_until(sink, lambda: len(seen) == 7)
    assert [kind for kind, _ in seen] == ["trade", "gap", "trade", "gap", "gap", "trade", "trade"]
    assert seen[2][1], "the first gap is acknowledged"
    assert seen[5][1], "all gaps are acknowledged; the third came with the second"
    assert sink.flush(PATIENCE_SECONDS) == 0
    some.put(11)
    assert len(seen) == 8, "nothing waits any more"
    assert sink.flush(PATIENCE_SECONDS) == 0
    assert sink.counts().acknowledged_total == 8
    sink.close()
    assert trade_ids(cluster, "gaps.trade", 5) == [1, 5, 9, 10, 11]


def test_gaps_that_come_all_the_time_hold_nothing_up_for_long(cluster, tmp_path):
    some = WithGaps(cluster, "often", tmp_path)
    some.put(1, (2, 2))
    for number in range(3, 43, 2):
        some.put(number, (number + 1, number + 1))
        waiting = len(some.sink._overflow)
        assert waiting <= 4, "at most what came since the look before the last one"
        poll_until(some.sink, lambda: len(some.sink._overflow) < waiting)  # noqa: B023 - at once
    assert some.sink.flush(PATIENCE_SECONDS) == 0
    some.sink.close()
    assert trade_ids(cluster, "often.trade", 21) == list(range(1, 43, 2))


def test_what_waits_for_a_gap_that_nobody_takes_goes_to_disk_in_order(tmp_path):
    some = WithGaps(UNREACHABLE, "away", tmp_path)
    some.put(1, (2, 4), 5)
    for seconds in (0.0, ROOM_SECONDS, STALL_SECONDS):
        some.sink.poll(time.monotonic() + seconds)
        assert some.sink.counts().overflow_records == 0, "a broker that restarts takes as long"
    some.sink.poll(time.monotonic() + STALL_SECONDS)
    assert some.sink.counts().overflow_records == 3
    some.put((6, 7), 8)
    assert some.sink.keep() == str(tmp_path)
    some.sink.close()
    topics = [topic for topic, _, _ in Overflow(tmp_path, 1 << 30).recent()]
    assert topics == ["away.trade", "away.gap", "away.trade", "away.gap", "away.trade"]


def test_what_waits_for_a_gap_goes_to_disk_when_no_more_may_wait(tmp_path):
    some = WithGaps(UNREACHABLE, "away", tmp_path)
    some.put((1, 1))
    for number in range(OverflowBounds().tail_records):
        some.sink.put(some.trades, event(some.trades, number + 2), NOW_US)
    assert not some.sink.accepting
    some.sink.poll(time.monotonic() + ROOM_SECONDS)
    assert some.sink.accepting
    assert some.sink.counts().overflow_records == OverflowBounds().tail_records + 1
    some.sink.close()


def test_a_smaller_batch_is_tried_larger_again(cluster, monkeypatch):
    topics = {"trade": "again.trade", "bookTicker": "again.book"}
    sink = sink_of(KafkaConfig(bootstrap_servers=cluster, topics=topics), ROUTES)
    producer = sink._producer
    producer._batch_too_large = True
    producer.renew(100.0)
    sink._sending.produce = producer.produce
    assert producer._batch_bytes == BATCH_BYTES // 10
    sink.poll(100.0)
    assert producer._batch_bytes == BATCH_BYTES // 10
    sink.poll(100.0 + BATCH_AGAIN_SECONDS)
    assert producer._batch_bytes == BATCH_BYTES
    route = ROUTES.by_name["btcusdt@trade"]
    sink.put(route, event(route, 1), NOW_US)
    assert sink.flush(PATIENCE_SECONDS) == 0
    sink.close()


def test_a_producer_that_cannot_be_replaced_is_tried_again(cluster, monkeypatch):
    topics = {"trade": "tried.trade", "bookTicker": "tried.book"}
    sink = sink_of(KafkaConfig(bootstrap_servers=cluster, topics=topics), ROUTES)
    producer = sink._producer
    producer._batch_again_at = 100.0  # due: there is no trouble but this

    def out_of_memory() -> None:
        raise SettingsError("no memory")

    with monkeypatch.context() as patched:
        patched.setattr(producer, "_make", out_of_memory)
        sink.poll(100.0)
    assert not sink.accepting
    sink.poll(100.0 + PAUSE_LIMIT_SECONDS)
    assert sink.accepting
    route = ROUTES.by_name["btcusdt@trade"]
    sink.put(route, event(route, 1), NOW_US)
    assert sink.flush(PATIENCE_SECONDS) == 0
    sink.close()


def test_what_is_put_while_the_sink_is_held_is_produced_when_it_is_released(cluster):
    route = next(iter(ROUTES))
    config = KafkaConfig(bootstrap_servers=cluster, topics={"trade": "held.trade"})
    sink = sink_of(config, [route])
    sink.put(route, event(route, 0), NOW_US)
    poll_until(sink, lambda: sink.counts().acknowledged_total == 1)
    sink.hold()
    for event_id in (1, 2):
        sink.put(route, event(route, event_id), NOW_US)
    poll_until(sink, lambda: sink.counts().overflow_records == 2)
    sink.hold()
    assert sink.accepting
    assert sink.flush(0.3) == 2
    sink.release(time.monotonic())
    poll_until(sink, lambda: sink.counts().acknowledged_total == 3)
    assert [record["trade_id"] for _, _, record in consume(cluster, "held.trade", 3)] == [0, 1, 2]
    sink.close()


def test_a_route_that_is_handed_over_writes_no_position_and_delivers_nothing_more(cluster):
    routes = [route for route in ROUTES if route.kind == "trade"]
    config = KafkaConfig(bootstrap_servers=cluster, topics={"trade": "handed.trade"})
    sink = sink_of(config, routes)
    sink.hold()
    for route in routes:
        sink.put(route, event(route, 1), NOW_US)
    gone, *others = routes
    sink.positions()[gone.name] = Position(0, NOW_US)
    sink.discard([gone])
    sink.hand_over(gone)
    assert gone.name not in sink.positions()
    sink.release(time.monotonic())
    poll_until(sink, lambda: not sink.counts().queued)
    found = consume(cluster, "handed.trade", len(others))
    assert {record["symbol"] for _, _, record in found} == {route.symbol for route in others}
    assert sink.counts().acknowledged_total == len(routes), "somebody else stores it"

    sink.add(gone)
    sink.take_over({gone.name: Position(7, NOW_US)})
    assert sink.positions()[gone.name] == Position(7, NOW_US)
    sink.put(gone, event(gone, 8), NOW_US)
    poll_until(sink, lambda: not sink.counts().queued)
    assert gone.symbol in {
        record["symbol"] for _, _, record in consume(cluster, "handed.trade", len(routes))
    }
    sink.close()


def test_what_kafka_has_not_taken_when_the_sink_is_held_waits_on_disk_too():
    """While a member is cut off: whoever has its shards by then has stored what came since."""
    route = next(iter(ROUTES))
    sink = sink_of(KafkaConfig(bootstrap_servers="127.0.0.1:1", topics={"trade": "t"}), [route])
    for event_id in (1, 2, 3):
        sink.put(route, event(route, event_id), NOW_US)
    assert len(sink._producer) >= 3
    sink.hold()
    poll_until(sink, lambda: not len(sink._producer))  # it counts errors that it has to tell, too
    assert sink.counts().overflow_records == 3
    sink.put(route, event(route, 4), NOW_US)
    assert not sink._sending.is_direct
    sink.discard([route])
    sink.release(time.monotonic())
    poll_until(sink, lambda: not sink.counts().queued)
    assert sink.counts().acknowledged_total == 4, "somebody else stores it"
    sink.close()


def test_what_the_producer_gives_back_of_a_route_that_is_discarded_is_not_delivered():
    route = next(iter(ROUTES))
    sink = sink_of(KafkaConfig(bootstrap_servers="127.0.0.1:1", topics={"trade": "t"}), [route])
    for event_id in (1, 2, 3):
        sink.put(route, event(route, event_id), NOW_US)
    assert sink._sending.is_direct
    sink.discard([route])
    sink.hold()  # as when it gives up what it could not deliver in time
    poll_until(sink, lambda: not len(sink._producer))
    sink.release(time.monotonic())
    poll_until(sink, lambda: not sink.counts().queued)
    assert sink.counts().acknowledged_total == 3, "somebody else stores it"
    sink.close()


def test_a_route_that_comes_back_without_a_known_end_is_delivered_from_where_it_begins(cluster):
    """Such as of a symbol that was listed while Kafka was away: no topic has a record of it."""
    route = next(iter(ROUTES))
    config = KafkaConfig(bootstrap_servers=cluster, topics={"trade": "back.trade"})
    sink = sink_of(config, [route])
    sink.hold()
    sink.put(route, event(route, 1), NOW_US)
    sink.discard([route])
    sink.hand_over(route)
    sink.add(route)
    sink.take_over({})
    for event_id in (2, 3):
        sink.put(route, event(route, event_id), NOW_US)
    sink.release(time.monotonic())
    poll_until(sink, lambda: not sink.counts().queued)
    assert [record["trade_id"] for _, _, record in consume(cluster, "back.trade", 2)] == [2, 3]
    sink.close()


def test_a_topic_that_was_not_prepared_is_prepared_before_its_stream_joins(cluster):
    routes = list(Routes(("trade",), ("BTCUSDT", "ETHUSDT")))
    config = KafkaConfig(bootstrap_servers=cluster, topics={"trade": "late.trade.{symbol}"})
    without = sink_of(config, routes[:1], Path("without"))
    with pytest.raises(SinkUnavailable, match=r"kafka\.create_topics = true") as refused:
        without.add(routes[1])
    assert not isinstance(refused.value, SinkNotReady)
    without.close()

    asked, may_answer = [], threading.Event()

    def prepare(kinds):
        asked.append(dict(kinds))
        assert may_answer.wait(PATIENCE_SECONDS)
        return {topic: single_object_header(kind) for topic, kind in kinds.items()}

    sink = sink_of(config, routes[:1], late_topics=LateTopics(prepare))
    reasons = []
    for _ in range(2):
        with pytest.raises(SinkNotReady, match=r"late\.trade\.ETHUSDT is being prepared") as found:
            sink.add(routes[1])
        reasons.append(found.value)
    sink.put(routes[0], event(routes[0], 1), NOW_US)  # others do not wait
    poll_until(sink, lambda: sink.counts().acknowledged_total == 1)
    assert not any(reason.is_over() for reason in reasons)
    may_answer.set()
    poll_until(sink, lambda: all(reason.is_over() for reason in reasons))
    assert asked == [{"late.trade.ETHUSDT": "trade"}]
    sink.add(routes[1])
    sink.put(routes[1], event(routes[1], 7), NOW_US)
    poll_until(sink, lambda: sink.counts().acknowledged_total == 2)
    assert sink.counts().acknowledged_by_stream == {"trade": 2}
    [(key, _, record)] = consume(cluster, "late.trade.ETHUSDT", 1)
    assert (key, record["trade_id"]) == (b"ETHUSDT", 7)
    sink.close()


def test_kinds_that_come_with_their_topics_are_counted(cluster):
    """At a first start it is not known yet after which symbols topics are to be named."""
    config = KafkaConfig(bootstrap_servers=cluster, topics={"trade": "first.trade.{symbol}"})
    [route] = Routes(("trade",), ("BTCUSDT",))
    late_topics = LateTopics(
        lambda kinds: {topic: single_object_header(kind) for topic, kind in kinds.items()}
    )
    sink = sink_of(config, [], late_topics=late_topics)
    with pytest.raises(SinkNotReady) as found:
        sink.add(route)
    poll_until(sink, found.value.is_over)
    sink.add(route)
    sink.put(route, event(route, 1), NOW_US)
    poll_until(sink, lambda: sink.counts().acknowledged_by_stream == {"trade": 1})
    sink.close()


def test_while_a_late_topic_cannot_be_prepared_errors_tell_of_it():
    routes = list(Routes(("trade",), ("BTCUSDT", "ETHUSDT")))
    config = KafkaConfig(bootstrap_servers=UNREACHABLE, topics={"trade": "t.{symbol}"})

    def prepare(kinds):
        raise SinkAway("no broker answered")

    sink = sink_of(config, routes[:1], late_topics=LateTopics(prepare, pause_seconds=0.01))
    with pytest.raises(SinkNotReady):
        sink.add(routes[1])
    told = []

    def is_told():
        told.extend(error.error for error in sink.take_errors())
        return any("no broker answered; tried again" in error for error in told)

    poll_until(sink, is_told)
    sink.close()
