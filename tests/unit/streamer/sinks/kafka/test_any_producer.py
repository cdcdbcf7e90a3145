"""The sink with a producer that does whatever producers may do, by seed; time is the test's.

At any moment, were the process killed: no record is in Kafka or on disk without the gap records
before it, and first occurrences are in order. At the end everything is there.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streamer.config import KafkaConfig
from streamer.data.events import GapRecord
from streamer.data.kinds.trade import Trade
from streamer.data.records import record_place, single_object_header
from streamer.routes import Route, Routes
from streamer.sinks.kafka.overflow import Overflow, OverflowBounds
from streamer.sinks.kafka.overflow_files import Record
from streamer.sinks.kafka.producer import prefix_length
from streamer.sinks.kafka.sending import DrainBounds
from streamer.sinks.kafka.sink import KafkaSink
from streamer.sinks.kafka.topics import topic_of
from tests.unit.streamer.payloads import NOW_US

QUEUE_RECORDS = 60
STEPS = 300
OVERFLOW = OverflowBounds(block_records=20, file_bytes=8_000, hold_records=50, tail_records=200)
DRAIN = DrainBounds(slice_records=15, ahead_records=40)
"""Small, so that some hundred records fill all of it."""

Identity = tuple[bytes, bool, int]
"""Key, whether it is a gap's record, and the number of its id."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


class AnyProducer:
    """Stands in for `RestartableProducer`: acknowledges each key on its own, as partitions do."""

    def __init__(self, random: Random, clock: Clock) -> None:
        now = SimpleNamespace(queued_bytes=0, queued_by_topic={}, latency_seconds=None)
        self.statistics = SimpleNamespace(now=now, retries_total=0, timeouts_total=0)
        self.trouble: str | None = None
        self.renew_at = 0.0
        self.failures_total = self.renewals_total = 0
        self.is_away = self.gives_back_at_once = False
        self.acknowledged: list[Record] = []
        self._random, self._clock = random, clock
        self._queues: dict[tuple[str, bytes], list[Record]] = {}
        self._returned: list[Record] = []

    def __len__(self) -> int:
        return sum(map(len, self._queues.values())) + len(self._returned)

    def produce(self, topic: str, value: bytes, key: bytes) -> None:
        if len(self) >= QUEUE_RECORDS:
            raise BufferError
        if self._random.random() < 0.002 and self.trouble is None:
            raise KafkaException(KafkaError(KafkaError._FATAL))
        self._queues.setdefault((topic, key), []).append((topic, value, key))

    def poll(self) -> None:
        self._acknowledge(self._random.choice([0, 0, 3, 30, 100]))

    def expire(self, acknowledged_total: int, now: float) -> None:
        """Records do not age."""

    def flush(self, within_seconds: float) -> None:
        self._clock.sleep(within_seconds)
        self._acknowledge(1000)

    def not_taken(self, record: Record, error: KafkaError) -> None:
        self._returned.append(record)
        self.fail()

    def fail(self) -> None:
        if self.trouble is None:
            self.trouble = "some"
            self.failures_total += 1
            self.renew_at = self._clock.now + self._random.choice([0.0, 0.0, 1.0])

    def take_back(self) -> list[Record] | None:
        if not self.gives_back_at_once and self._random.random() < 0.2:
            return None
        returned = [record for queue in self._queues.values() for record in queue]
        returned += self._returned
        for queue in self._queues.values():  # what was under way may have arrived all the same
            self.acknowledged += queue[: self._random.choice([0, 0, len(queue) // 2])]
        self._queues, self._returned = {}, []
        self._random.shuffle(returned)
        returned.sort(key=number_of)
        return returned

    def renew(self, now: float) -> bool:
        if self.trouble is not None:
            if self._random.random() < 0.1:
                self.renew_at = now + 1.0
                return False
            self.renewals_total += 1
        self.trouble = None
        return True

    def wants_larger_batches(self, now: float) -> bool:
        return False

    def tell_trouble(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _acknowledge(self, count: int) -> None:
        for _ in range(count):
            waiting = [queue for queue in self._queues.values() if queue]
            if self.is_away or self.trouble is not None or not waiting:
                return
            self.acknowledged.append(self._random.choice(waiting).pop(0))


def number_of(record: Record) -> int:
    return record_place(record[1], prefix_length(record[1]))[1]


class World:
    """A feed of two symbols that puts trades and gaps, and remembers them in their order."""

    def __init__(self, random: Random, directory: Path, gap_share: float) -> None:
        self.random, self.clock, self.gap_share = random, Clock(), gap_share
        self.directory = directory / "overflow"
        self.copy = directory / "copy"
        self.routes = Routes(["trade"], ["BTCUSDT", "ETHUSDT"])
        self.put: dict[Route, list[Identity]] = {route: [] for route in self.routes}
        self.sink: KafkaSink
        self.producer: AnyProducer
        self._next = dict.fromkeys(self.routes, 1)

    def open(self) -> None:
        config = KafkaConfig(positions_topic="")
        routes = (*self.routes, *self.routes.gaps.values())
        topics = {route: topic_of(config, route) for route in routes}
        headers = {topic: single_object_header(route.kind) for route, topic in topics.items()}
        self._gap_topic = topics[self.routes.gaps["BTCUSDT"]]
        self.producer = AnyProducer(self.random, self.clock)
        stand_in: Any = self.producer
        self.sink = KafkaSink(
            config,
            topics,
            headers,
            Overflow(self.directory, 1 << 30, OVERFLOW),
            make_producer=lambda *_: stand_in,
            clock=self.clock,
            bounds=DRAIN,
        )

    @property
    def total(self) -> int:
        return sum(map(len, self.put.values()))

    def feed(self) -> None:
        for _ in range(self.random.choice([0, 1, 5, 30])):
            route = self.random.choice(list(self.routes))
            key = route.symbol.encode()
            number = self._next[route]
            if self.random.random() < self.gap_share:
                last = number + self.random.choice([0, 4])
                gap = GapRecord(number, route.symbol, "trade", "too_old", number, last, 1)
                self.sink.put(self.routes.gaps[route.symbol], gap, NOW_US)
                self.put[route].append((key, True, number))
                number = last + 1
            trade = Trade("trade", NOW_US, route.symbol, number, "1", "2", NOW_US, True)
            self.sink.put(route, trade, NOW_US)
            self.put[route].append((key, False, number))
            self._next[route] = number + 1

    def identity(self, record: Record) -> Identity:
        return record[2], record[0] == self._gap_topic, number_of(record)

    def on_disk(self) -> set[Identity]:
        """What the next start would find in the overflow, were this one killed now."""
        if not self.directory.is_dir():
            return set()
        self.sink._overflow._files._background.submit(int).result()  # removals are done
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.directory, self.copy)
        found = Overflow(self.copy, 1 << 30)
        identities = {self.identity(record) for record in found.recent()}
        found.close()
        return identities

    def look(self) -> None:
        """Check what a kill at this moment would leave."""
        first_at: dict[Identity, int] = {}
        for at, record in enumerate(self.producer.acknowledged):
            first_at.setdefault(self.identity(record), at)
        on_disk = self.on_disk()
        for identities in self.put.values():
            last_at, open_gap = -1, None
            for identity in identities:
                at = first_at.get(identity)
                if identity[1]:
                    if at is None and identity not in on_disk:
                        open_gap = identity
                elif at is not None:
                    assert open_gap is None, f"{identity} is there without {open_gap}"
                    assert at > last_at, f"{identity} comes after a later one"
                    last_at = at


@pytest.mark.parametrize("gap_share", [0.1, 0.5])
@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(n, marks=pytest.mark.full) for n in range(4, 60))]
)
def test_nothing_is_lost_or_overtakes_whatever_the_producer_does(tmp_path, seed, gap_share):
    random = Random(f"{seed} {gap_share}")
    world = World(random, tmp_path, gap_share)
    world.open()
    sink, producer, clock = world.sink, world.producer, world.clock
    for step in range(STEPS):
        clock.sleep(random.choice([0.001, 0.1, 0.1, 1.5]))
        if random.random() < 0.03:
            producer.is_away = not producer.is_away
        if random.random() < 0.01:
            producer.fail()
        if sink.accepting:
            world.feed()
        if random.random() < 0.7:
            sink.poll(clock.now)
        if random.random() < 0.05:
            sink.flush(random.choice([0.0, 0.2]))
        counts = sink.counts()
        assert counts.acknowledged_total + counts.queued == counts.accepted_total == world.total
        if step % 7 == 0:
            world.look()

    producer.is_away = False
    wanted = {identity for identities in world.put.values() for identity in identities}
    if random.random() < 0.3:  # a stop, in the middle of whatever it is
        producer.gives_back_at_once = True
        sink.keep()
    else:
        for _ in range(3_000):
            if sink.accepting and not sink.counts().queued:
                break
            clock.sleep(0.1)
            sink.poll(clock.now)
        counts = sink.counts()
        assert counts.acknowledged_total == world.total, "it goes on when Kafka does"
        assert sum(counts.acknowledged_by_stream.values()) == world.total
    world.look()
    left = world.on_disk()
    sink.close()
    assert {world.identity(record) for record in producer.acknowledged} | left == wanted
