"""Where a stream ends by its last records, though a back-fill was the last to write."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition

from streamer.config import KafkaConfig
from streamer.data.kinds.trade import Trade
from streamer.data.records import encoder, single_object_header
from streamer.order.positions import Position
from streamer.routes import Routes
from streamer.sinks.kafka import resume
from streamer.sinks.kafka.resume import WAITED_US_MAX, find_positions
from streamer.sinks.kafka.source_header import SOURCE_HEADER

TOPIC, GAPS, POSITIONS = "trades", "gaps", "positions"
UNKNOWN_RECORDS = 100  # as many as are read at first, here
NOW_US = 1_795_780_000_000_000
_encode = encoder("trade", "BTCUSDT", prefix=single_object_header("trade"))


def message(
    offset: int, trade_id: int, *, backfilled: bool = False, received_us: int = NOW_US
) -> Any:
    event = Trade("trade", NOW_US, "BTCUSDT", trade_id, "1.5", "2", NOW_US, True)
    value = _encode(event, received_us)
    return SimpleNamespace(
        error=lambda: None, topic=lambda: TOPIC, partition=lambda: 0, offset=lambda: offset,
        value=lambda: value, timestamp=lambda: (1, NOW_US // 1000),
        headers=lambda: [(SOURCE_HEADER, b"backfill")] if backfilled else None,
    )  # fmt: skip


def end_of(topic: str) -> Any:
    error = SimpleNamespace(code=lambda: KafkaError._PARTITION_EOF)
    return SimpleNamespace(error=lambda: error, topic=lambda: topic, partition=lambda: 0)


class FakeConsumer:
    """One partition of each topic; `young` is the first offset that is not too old."""

    def __init__(self, messages: list[Any], young: int = 0) -> None:
        self.messages, self.young = messages, young
        self.begun: list[int] = []  # where the topic of trades was read from
        self._left: list[Any] = []

    def list_topics(self, topic: str, timeout: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None})})

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, len(self.messages) if place.topic == TOPIC else 0

    def offsets_for_times(self, asked: list[TopicPartition], timeout: float) -> Any:
        """Nothing is as young as the positions, which are of now."""
        is_now = asked[0].offset / 1000 > time.time() - 3600
        offset = -1 if is_now or asked[0].topic != TOPIC else self.young
        return [SimpleNamespace(partition=0, offset=offset)]

    def assign(self, places: list[TopicPartition]) -> None:
        self._left = []
        for place in places:
            if place.topic == TOPIC:
                self.begun.append(place.offset)
                self._left += self.messages[max(place.offset, 0) :]
            self._left.append(end_of(place.topic))

    def consume(self, count: int, timeout: float) -> list[Any]:
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def unassign(self) -> None: ...

    def close(self) -> None: ...


def found(monkeypatch: pytest.MonkeyPatch, consumer: FakeConsumer) -> dict[str, Position]:
    monkeypatch.setattr(resume, "UNKNOWN_RECORDS", UNKNOWN_RECORDS)
    monkeypatch.setattr(resume, "make_consumer", lambda config, **more: consumer)
    routes = Routes(("trade",), ("BTCUSDT",))
    topics = dict.fromkeys(routes, TOPIC) | {routes.gaps["BTCUSDT"]: GAPS}
    overflow: Any = SimpleNamespace(pass_over=lambda ends: None, recent_is_all=True, recent=list)
    config = KafkaConfig(bootstrap_servers="127.0.0.1:1", positions_topic=POSITIONS)
    return find_positions(
        config, topics, overflow, max_age_seconds=86_400, deadline=time.monotonic() + math.inf
    )


def messages(*parts: tuple[int, bool]) -> list[Any]:
    """Return so many messages after each other, of the stream or of a back-fill; ids ascend."""
    kinds = [backfilled for count, backfilled in parts for _ in range(count)]
    return [message(at, at, backfilled=kind) for at, kind in enumerate(kinds)]


@pytest.mark.parametrize("behind", [10, 2 * UNKNOWN_RECORDS, 9 * UNKNOWN_RECORDS])
def test_the_end_is_found_behind_a_back_fill(monkeypatch, behind):
    consumer = FakeConsumer(messages((500, False), (behind, True)))
    assert found(monkeypatch, consumer) == {"btcusdt@trade": Position(499, NOW_US)}


def test_no_more_is_read_than_is_needed(monkeypatch):
    consumer = FakeConsumer(messages((5 * UNKNOWN_RECORDS, False), (UNKNOWN_RECORDS + 5, True)))
    found(monkeypatch, consumer)
    end = len(consumer.messages)
    assert consumer.begun == [end - UNKNOWN_RECORDS, end - 4 * UNKNOWN_RECORDS]


def test_what_is_too_old_is_not_read(monkeypatch):
    consumer = FakeConsumer(messages((500, False), (3 * UNKNOWN_RECORDS, True)), young=501)
    assert found(monkeypatch, consumer) == {}
    assert min(consumer.begun) == 501


def test_without_a_back_fill_it_is_read_once(monkeypatch):
    consumer = FakeConsumer(messages((3 * UNKNOWN_RECORDS, False)))
    found(monkeypatch, consumer)
    assert len(consumer.begun) == 1


def test_a_topic_of_a_back_fill_alone_is_read_to_its_beginning(monkeypatch):
    consumer = FakeConsumer(messages((5 * UNKNOWN_RECORDS, True)))
    assert found(monkeypatch, consumer) == {}
    assert consumer.begun[-1] == 0
    assert len(consumer.begun) == 3


@pytest.mark.parametrize(
    ("waited_us", "expected"),
    [
        (9_000_000, NOW_US - 9_000_000),
        (-999, NOW_US + 999),
        (-1000, NOW_US),
        (WAITED_US_MAX, NOW_US),
    ],
)
def test_the_last_record_was_received_when_it_says_so(monkeypatch, waited_us, expected):
    """Its message has the time of its hand-over: a process may have been stopped in between."""
    last = message(1, 1, received_us=NOW_US - waited_us)
    consumer = FakeConsumer([message(0, 0), last])
    assert found(monkeypatch, consumer) == {"btcusdt@trade": Position(1, expected)}
