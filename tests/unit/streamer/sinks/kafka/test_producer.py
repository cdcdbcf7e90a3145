"""When a producer is done with, what it hands back, and what the next one is like."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streamer.config import KafkaConfig
from streamer.errors import SettingsError
from streamer.sinks.delivery import Errors
from streamer.sinks.kafka import producer as producer_module
from streamer.sinks.kafka.overflow_files import Record
from streamer.sinks.kafka.producer import (
    BATCH_AGAIN_SECONDS,
    BATCH_BYTES,
    HEALTHY_SECONDS,
    PAUSE_LIMIT_SECONDS,
    PURGE_SECONDS,
    RestartableProducer,
    prefix_length,
)

BEGAN = 1000.0
TIMED_OUT, FATAL = KafkaError._MSG_TIMED_OUT, KafkaError._FATAL
PURGED, PURGED_UNDER_WAY = KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT
TOO_LARGE = KafkaError.MSG_SIZE_TOO_LARGE
DENIED = KafkaError.TOPIC_AUTHORIZATION_FAILED


def record(number: int, size: int = 0, symbol: str = "BTCUSDT", topic: str = "trades") -> Record:
    record_id = f"binance:spot:{symbol}:trade:{number}".encode()
    return topic, b"\0\0\0\0\1" + bytes([len(record_id) << 1]) + record_id + bytes(size), b"key"


def told_by_librdkafka(*nodenames: str) -> str:
    brokers = {name: {"nodeid": number, "nodename": name} for number, name in enumerate(nodenames)}
    return json.dumps({"brokers": brokers})


class Message:
    def __init__(self, its: Record) -> None:
        self.topic, self.value, self.key = (lambda: its[0]), (lambda: its[1]), (lambda: its[2])


class Client:
    """librdkafka: it calls back when it is polled, with what the test has prepared."""

    def __init__(self, settings: dict[str, Any], on_delivery: Any, error_cb: Any, stats_cb: Any):
        self.settings = settings
        self.error_cb, self.stats_cb = error_cb, stats_cb
        self.queued: list[Record] = []
        self.under_way: list[Record] = []
        self.keeps = False  # nothing that is purged comes back
        self.fatal: KafkaError | None = None  # raised by the next call, as a transaction's would
        self._on_delivery = on_delivery
        self._waiting: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self.queued) + len(self.under_way) + len(self._waiting)

    def produce(self, topic: str, value: bytes, key: bytes) -> None:
        self.queued.append((topic, value, key))

    def returns(self, code: int, its: Record) -> None:
        self._waiting.append(lambda: self._on_delivery(KafkaError(code), Message(its)))

    def poll(self, _seconds: float) -> None:
        if self.fatal is not None:
            error, self.fatal = self.fatal, None
            raise KafkaException(error)
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()

    flush = poll

    def purge(self) -> None:
        if self.keeps:
            return
        for its in self.queued:
            self.returns(PURGED, its)
        for its in self.under_way:
            self.returns(PURGED_UNDER_WAY, its)
        self.queued, self.under_way = [], []


class Stage:
    def __init__(self) -> None:
        self.now = BEGAN
        self.clients: list[Client] = []
        self.unmakable: str | None = None
        self.errors = Errors()
        self.refused: list[tuple[str, bytes, str, str]] = []
        self.told = 0
        self.producer: RestartableProducer

    def open(self, **client: str | int) -> RestartableProducer:
        config = KafkaConfig(client=client)
        self.producer = RestartableProducer(config, self.errors, self._refuse, self._tell)
        return self.producer

    @property
    def client(self) -> Client:
        return self.clients[-1]

    def monotonic(self) -> float:
        self.now += 1e-6
        return self.now

    def make(self, _config: KafkaConfig, **how: Any) -> Client:
        if self.unmakable:
            raise SettingsError(self.unmakable)
        callbacks = {name: how.pop(name) for name in ("on_delivery", "error_cb", "stats_cb")}
        self.clients.append(Client(how, **callbacks))
        return self.client

    def fails(self, code: int = DENIED, its: Record | None = None) -> None:
        self.client.returns(code, its or record(1))
        self.producer.poll()

    def renews(self) -> bool:
        self.producer.take_back()
        self.now = max(self.now, self.producer.renew_at)
        return self.producer.renew(self.now)

    def pause(self) -> float:
        return self.producer.renew_at - self.now

    def _refuse(self, *what: str | bytes) -> None:
        self.refused.append(what)  # type: ignore[arg-type]

    def _tell(self) -> None:
        self.told += 1


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setattr(producer_module, "make_producer", stage.make)
    monkeypatch.setattr(producer_module, "time", stage)
    stage.open()
    return stage


def test_what_is_not_acknowledged_is_counted(stage: Stage) -> None:
    for number in range(3):
        stage.producer.produce(*record(number))
    assert len(stage.producer) == 3
    stage.fails(its=record(7))
    assert len(stage.producer) == 4, "what came back is not in Kafka either"


def test_a_failure_is_told_once_with_its_topic_and_cause(stage: Stage) -> None:
    assert stage.producer.trouble is None
    stage.fails(DENIED, record(1))
    stage.fails(TIMED_OUT, record(2))
    assert stage.producer.trouble is not None
    assert stage.producer.trouble.startswith("trades: ")
    assert "TOPIC_AUTHORIZATION_FAILED" in stage.producer.trouble
    assert stage.producer.failures_total == 1
    [error] = stage.errors.take()
    assert error.error_type == "delivery"
    assert "they are kept, and tried again" in error.error


def test_all_that_was_not_delivered_is_handed_back_in_the_order_of_the_stream(
    stage: Stage,
) -> None:
    stage.client.under_way = [record(2), record(3)]
    stage.client.queued = [record(10), record(11)]
    stage.fails(TIMED_OUT, record(9))
    assert stage.producer.take_back() == [record(number) for number in (2, 3, 9, 10, 11)]
    assert len(stage.producer) == 0
    assert stage.producer.take_back() == []


def test_a_client_that_hands_nothing_back_is_asked_again(stage: Stage) -> None:
    stage.client.keeps = True
    stage.producer.produce(*record(1))
    polls: list[float] = []
    stage.client.poll = polls.append  # type: ignore[method-assign]
    stage.monotonic = lambda: stage.now + 0.4 * len(polls)  # type: ignore[method-assign]
    assert stage.producer.take_back() is None
    assert len(polls) == PURGE_SECONDS / 0.4
    stage.client.queued = []
    assert stage.producer.take_back() == []


def test_pauses_between_failing_producers_grow_to_their_limit(stage: Stage) -> None:
    pauses = []
    for _ in range(8):
        stage.fails()
        pauses.append(round(stage.pause(), 3))
        assert stage.renews()
    assert pauses == [0, 1, 2, 4, 8, 16, PAUSE_LIMIT_SECONDS, PAUSE_LIMIT_SECONDS]
    assert (stage.producer.failures_total, stage.producer.renewals_total) == (8, 8)
    assert len(stage.clients) == 9


def test_records_that_may_be_somebody_elses_after_a_time_are_not_sent_any_more(stage):
    assert "message.timeout.ms" not in stage.client.settings, "as long as it takes"
    stage.producer = RestartableProducer(
        KafkaConfig(), stage.errors, stage._refuse, stage._tell, deliver_within_seconds=4.5
    )
    for _ in range(3):
        assert stage.client.settings["message.timeout.ms"] == 4500
        stage.fails(TIMED_OUT, record(1))
        assert stage.pause() <= 0, "it was tried for that long"
        assert stage.producer.take_back() == [record(1)]
        assert stage.producer.renew(stage.now)
    for _ in range(2):
        stage.fails(DENIED)
        assert stage.renews()
    assert stage.pause() <= 0
    stage.fails(DENIED)
    assert stage.pause() > 0, "other failures pause as ever"


def test_who_acknowledges_nothing_is_done_with_before_the_oldest_records_are_given_up_alone(stage):
    made = stage.producer
    stage.producer = RestartableProducer(
        KafkaConfig(), stage.errors, stage._refuse, stage._tell, deliver_within_seconds=4.5
    )
    for producer in (made, stage.producer):
        producer.expire(0, BEGAN)
        producer.produce(*record(1))
        producer.expire(0, BEGAN + 2.9)
        assert producer.trouble is None
        producer.expire(0, BEGAN + 3.0)
    assert made.trouble is None, "records of a single streamer wait for as long as it takes"
    assert "timed out" in stage.producer.trouble
    assert stage.pause() <= 0
    assert stage.producer.take_back() == [record(1)]
    assert stage.producer.renew(BEGAN + 3.0)
    stage.producer.produce(*record(1))
    stage.producer.expire(0, BEGAN + 5.9)
    assert stage.producer.trouble is None, "the next one has the whole time"
    stage.producer.expire(0, BEGAN + 6.0)
    assert stage.producer.trouble is not None


def test_a_producer_that_has_failed_already_keeps_its_pause(stage):
    stage.producer = RestartableProducer(
        KafkaConfig(), stage.errors, stage._refuse, stage._tell, deliver_within_seconds=4.5
    )
    for _ in range(2):
        stage.fails(DENIED)
        stage.renews()
    stage.fails(DENIED)
    stage.producer.produce(*record(1))
    stage.producer.expire(0, BEGAN + 99.0)
    assert stage.pause() > 0


def test_who_acknowledges_something_or_has_nothing_is_not_done_with(stage):
    stage.producer = RestartableProducer(
        KafkaConfig(), stage.errors, stage._refuse, stage._tell, deliver_within_seconds=4.5
    )
    stage.producer.produce(*record(1))
    for number in range(20):
        stage.producer.expire(number, BEGAN + 2.5 * number)
    stage.client.queued.clear()
    for number in range(20, 40):
        stage.producer.expire(19, BEGAN + 2.5 * number)
    assert stage.producer.trouble is None
    stage.producer.produce(*record(2))
    stage.producer.expire(19, BEGAN + 2.5 * 40)
    assert stage.producer.trouble is None, "it has just been produced"


def test_what_the_kernel_has_of_them_goes_with_the_connections_to_brokers(stage, monkeypatch):
    ports = []
    monkeypatch.setattr(producer_module, "reset_on_close", ports.append)
    told = told_by_librdkafka("one:9092", "[::1]:9093", "", "of-no-port")
    stage.client.stats_cb(told)
    assert ports == [], "it is nobody else's"
    assert stage.client.settings["statistics.interval.ms"] == 5000
    stage.producer = RestartableProducer(
        KafkaConfig(), stage.errors, stage._refuse, stage._tell, deliver_within_seconds=4.5
    )
    stage.client.stats_cb(told)
    assert ports == [{9092, 9093}]
    assert stage.client.settings["statistics.interval.ms"] == 1000, "connections come and go"


def test_after_a_healthy_time_the_next_failure_begins_with_no_pause(stage: Stage) -> None:
    for _ in range(3):
        stage.fails()
        stage.renews()
    stage.now += HEALTHY_SECONDS + 1
    stage.fails()
    assert stage.pause() <= 0


def test_a_new_producer_has_no_trouble_and_says_what_it_follows(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.fails()
    assert stage.renews()
    assert stage.producer.trouble is None
    assert "another producer goes on after: trades: " in caplog.text
    assert stage.producer.produce == stage.client.produce, "of the new one"


def test_a_renewal_without_a_failure_is_none_of_the_counted_ones(stage: Stage) -> None:
    stage.client.under_way, stage.client.queued = [record(1)], [record(2)]
    assert stage.producer.take_back() == [record(1), record(2)]
    assert stage.producer.renew(stage.now)
    assert (stage.producer.failures_total, stage.producer.renewals_total) == (0, 0)


def test_a_producer_that_cannot_be_made_is_tried_again_later(stage: Stage) -> None:
    stage.unmakable = "no threads are left"
    assert not stage.producer.renew(stage.now)
    assert stage.producer.trouble == "no threads are left"
    assert stage.producer.renew_at == stage.now + PAUSE_LIMIT_SECONDS
    assert [one.error for one in stage.errors.take()] == ["no threads are left"]
    stage.unmakable = None
    assert stage.renews()
    assert stage.producer.trouble is None


def test_of_a_fatal_error_the_cause_is_told_when_it_is_known(stage: Stage) -> None:
    stage.client.fatal = KafkaError(FATAL)
    stage.producer.poll()
    assert stage.producer.trouble is not None, "it is done with at once"
    assert stage.errors.take() == []
    stage.fails(PURGED_UNDER_WAY)
    assert "_FATAL" in stage.producer.trouble, "only a consequence"
    stage.fails(DENIED)
    assert "TOPIC_AUTHORIZATION_FAILED" in stage.producer.trouble
    assert stage.producer.failures_total == 1
    assert len(stage.errors.take()) == 1


def test_a_fatal_error_whose_cause_stays_unknown_is_told_as_it_is(stage: Stage) -> None:
    stage.client.fatal = KafkaError(FATAL)
    stage.producer.flush(1.0)
    stage.producer.tell_trouble()
    stage.producer.tell_trouble()
    [error] = stage.errors.take()
    assert "_FATAL" in error.error


def test_a_batch_that_was_too_large_is_made_smaller_without_a_pause(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    assert stage.client.settings["batch.size"] == BATCH_BYTES
    stage.fails()
    stage.renews()
    stage.fails(TOO_LARGE, record(5))
    assert stage.producer.renew_at == 0.0
    assert stage.producer.take_back() == [record(5)], "it may fit into a smaller one"
    assert stage.refused == []
    stage.producer.renew(stage.now)
    assert stage.client.settings["batch.size"] == BATCH_BYTES // 10
    assert "now at most 100000 bytes in one" in caplog.text


def test_a_smaller_batch_is_tried_larger_again_ever_more_rarely(stage: Stage) -> None:
    for waits in (BATCH_AGAIN_SECONDS, 2 * BATCH_AGAIN_SECONDS):
        stage.fails(TOO_LARGE)
        stage.producer.take_back()
        stage.producer.renew(stage.now)
        due = stage.now + waits
        assert not stage.producer.wants_larger_batches(due - 1)
        assert stage.producer.wants_larger_batches(due)
        stage.now = due
        assert stage.renews()
        assert stage.client.settings["batch.size"] == BATCH_BYTES
        assert not stage.producer.wants_larger_batches(stage.now + 1e9)


def test_a_record_that_is_too_large_by_itself_is_refused(stage: Stage) -> None:
    stage.open(**{"batch.size": 200})
    large = record(5, size=200)
    stage.fails(TOO_LARGE, large)
    [(topic, value, error_type, reason)] = stage.refused
    assert (topic, value, error_type) == ("trades", large[1], "refused")
    assert "MSG_SIZE_TOO_LARGE" in reason
    assert stage.producer.take_back() == []
    stage.producer.renew(stage.now)
    assert stage.client.settings["batch.size"] == 200, "other batches were not too large"


def test_what_librdkafka_does_not_take_is_refused_or_kept_by_whose_fault_it_is(
    stage: Stage,
) -> None:
    stage.producer.not_taken(record(1), KafkaError(TOO_LARGE))
    assert [one[0] for one in stage.refused] == ["trades"]
    assert stage.producer.trouble is None
    stage.producer.not_taken(record(2), KafkaError(FATAL))
    assert stage.producer.trouble is not None
    assert stage.producer.take_back() == [record(2)]


def test_troubles_that_librdkafka_works_at_are_told_and_end_nothing(stage: Stage) -> None:
    stage.client.error_cb(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    [error] = stage.errors.take()
    assert error.error_type == "all_brokers_down"
    assert error.error.endswith("; connecting goes on")
    assert stage.producer.trouble is None


def test_statistics_go_on_over_producers(stage: Stage) -> None:
    text = '{"msg_size": 7, "brokers": {"b": {"nodeid": 1, "txretries": %d}}}'
    stage.client.stats_cb(text % 3)
    assert (stage.told, stage.producer.statistics.now.queued_bytes) == (1, 7)
    stage.fails()
    stage.renews()
    stage.client.stats_cb(text % 2)
    assert stage.producer.statistics.retries_total == 5
    every = KafkaConfig().statistics_every
    assert stage.client.settings["statistics.interval.ms"] == every * 1000


def test_at_the_end_what_is_given_up_is_no_failure(stage: Stage) -> None:
    stage.producer.produce(*record(1))
    stage.client.under_way = [record(2)]
    stage.client.returns(TIMED_OUT, record(3))
    stage.client.returns(TOO_LARGE, record(4, size=BATCH_BYTES))
    stage.producer.close()
    assert len(stage.producer) == 0
    assert stage.refused == []
    assert (stage.producer.trouble, stage.producer.failures_total) == (None, 0)
    assert stage.errors.take() == []


@pytest.mark.parametrize("size", ["many", "", 1.5])
def test_a_batch_size_that_is_no_number_is_refused(stage: Stage, size: Any) -> None:
    with pytest.raises(SettingsError, match=r"kafka\.client\.batch\.size = .*number of bytes"):
        stage.open(**{"batch.size": size})


@pytest.mark.parametrize(("first", "length"), [(0xC3, 10), (0x00, 5)])
def test_the_prefix_is_told_by_its_first_byte(first: int, length: int) -> None:
    assert prefix_length(bytes([first]) + bytes(20)) == length
