from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streamer.data.events import GapRecord
from streamer.data.kinds.trade import Trade
from streamer.data.records import encoder
from streamer.routes import Routes
from streamer.sinks.kafka.overflow import FLUSH_SECONDS, HOLD_SECONDS, Overflow, OverflowBounds
from streamer.sinks.kafka.overflow_files import Record, decode, encode
from tests.unit.streamer.payloads import NOW_US

LIMIT_BYTES = 1 << 30


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for the disk of a busy machine: no power is cut here."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _: None)


def record(number: int, symbol: str = "BTCUSDT") -> Record:
    return "trades", b"\xc3\x01" + b"f" * 8 + b"%d" % number, symbol.encode()


def number_of(one: Record) -> int:
    return int(one[1][10:])


def opened(directory: Path, limit_bytes: int = LIMIT_BYTES, file_bytes: int = 4 << 20) -> Overflow:
    return Overflow(directory / "overflow", limit_bytes, OverflowBounds(file_bytes=file_bytes))


def closed(one: Overflow) -> None:
    one.close()
    one._files._background.shutdown(wait=True)  # what was begun is done


def put(one: Overflow, numbers: Sequence[int]) -> None:
    for number in numbers:
        one.append(record(number))
    one.write(0.0)


def drain(one: Overflow) -> list[int]:
    """Take everything that is on disk, each slice acknowledged at once."""
    drained: list[int] = []
    while taken := one.take(7, 0.0):
        drained += map(number_of, taken)
        one.settle()
    return drained


@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=300), st.binary(max_size=300), st.binary()),
        max_size=20,
    )
)
def test_a_block_is_read_as_it_was_written(records: list[Record]) -> None:
    assert decode(len(records), b"".join(map(encode, records))) == records


def test_any_avro_tool_can_look_into_the_files(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.append(("trades", b"\xc3\x01and so on", "币安人生USDT".encode()))
    one.save(0.0)
    closed(one)
    (path,) = (tmp_path / "overflow").iterdir()
    with path.open("rb") as file:
        assert list(fastavro.reader(file)) == [
            {"topic": "trades", "key": "币安人生USDT", "value": b"\xc3\x01and so on"}
        ]


def test_what_waits_is_drained_in_order_and_leaves_no_file(tmp_path: Path) -> None:
    one = opened(tmp_path, file_bytes=3_000)
    put(one, range(1000))
    assert len(one) == one.stored == 1000
    put(one, range(1000, 1500))
    assert drain(one) == list(range(1500))
    assert one.end() == []
    closed(one)
    assert not any((tmp_path / "overflow").glob("*"))


def test_small_blocks_are_taken_many_at_once(tmp_path: Path) -> None:
    one = opened(tmp_path)
    for number in range(30):
        put(one, [number])
    assert [number_of(it) for it in one.take(20, 0.0)] == list(range(20))


def test_nothing_is_taken_beyond_a_file_that_is_not_settled(tmp_path: Path) -> None:
    one = opened(tmp_path, file_bytes=1)
    put(one, [1, 2])
    put(one, [3])
    assert [number_of(it) for it in one.take(10, 0.0)] == [1, 2]
    assert one.take(10, 0.0) == []
    one.settle()
    assert [number_of(it) for it in one.take(10, 0.0)] == [3]


def test_what_comes_last_is_held_for_a_moment_and_needs_no_disk(tmp_path: Path) -> None:
    one = opened(tmp_path)
    put(one, [1])
    one.take(10, 0.0)
    one.append(record(2))
    one.poll(10.0)
    one.poll(10.01 + FLUSH_SECONDS)
    assert one.stored == 0
    assert one.end() is None  # 1 is not acknowledged
    one.settle()
    assert [number_of(it) for it in one.end() or []] == [2]
    assert len(one) == 0


def test_what_is_held_for_too_long_goes_to_the_disk(tmp_path: Path) -> None:
    one = opened(tmp_path)
    put(one, [1])
    one.take(10, 0.0)
    one.append(record(2))
    one.poll(10.0)
    one.poll(10.01 + HOLD_SECONDS)
    assert one.stored == 1
    assert drain(one) == [2]


def test_while_something_waits_on_disk_what_comes_goes_there_soon(tmp_path: Path) -> None:
    one = opened(tmp_path)
    put(one, [1])
    one.append(record(2))
    one.poll(10.0)
    assert one.stored == 1
    one.poll(10.01 + FLUSH_SECONDS)
    assert one.stored == 2


def test_a_full_disk_is_no_loss_and_accepts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = opened(tmp_path)
    put(one, [1])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(one._files._writer, "append", full)
        put(one, [2])
        assert not one.accepting
        one.append(record(3))  # what the feed had in hand
        one.poll(0.5)
        assert [error.error_type for error in one.errors.take()] == ["disk_full"]
        assert one.errors_total == 1
        one.poll(1.5)
        assert one.errors_total == 2
    one.poll(3.0)
    assert one.accepting
    assert drain(one) == [1, 2, 3]


def test_the_limit_is_the_limit_until_there_is_room(tmp_path: Path) -> None:
    one = opened(tmp_path, limit_bytes=10_000, file_bytes=2_000)
    number = 0
    while one.accepting:
        put(one, [number])
        number += 1
    assert 10_000 <= one.size_bytes < 11_000
    before = one.size_bytes
    while not one.accepting:
        one.take(10, 0.0)
        one.settle()
    assert one.size_bytes < before * 7 / 8
    closed(one)
    assert not opened(tmp_path, limit_bytes=100).accepting


def test_a_file_that_somebody_has_spoilt_is_kept_and_passed_over(tmp_path: Path) -> None:
    one = opened(tmp_path, file_bytes=1)
    put(one, [1, 2])
    put(one, [3])
    one.save(0.0)
    closed(one)
    first = min((tmp_path / "overflow").glob("*.avro"))
    data = bytearray(first.read_bytes())
    again = opened(tmp_path)
    data[-20:] = bytes(20)
    first.write_bytes(data)
    assert again.take(10, 0.0) == []
    again.settle()
    assert drain(again) == [3]
    assert again.damaged_total == 2
    closed(again)
    assert [path.suffix for path in (tmp_path / "overflow").iterdir()] == [".damaged"]


def test_what_a_stop_leaves_is_exactly_what_was_not_acknowledged(tmp_path: Path) -> None:
    one = opened(tmp_path)
    put(one, range(10))
    taken = one.take(6, 0.0)
    one.give_back(taken[4:])  # the other four are acknowledged
    one.append(record(10))
    one.save(0.0)
    assert len(one) == 7
    closed(one)
    again = opened(tmp_path)
    assert len(again) == 7
    assert [number_of(it) for it in again.recent()] == list(range(4, 11))
    assert drain(again) == list(range(4, 11))
    assert again.inherited_of == {"trades": 7}
    closed(again)


def test_counts_by_topic_follow_what_waits(tmp_path: Path) -> None:
    one = opened(tmp_path)
    put(one, range(5))
    assert one.waiting_of == {"trades": 5}
    one.give_back(one.take(3, 0.0)[1:])
    assert one.waiting_of == {"trades": 4}


def test_what_kafka_has_all_the_same_is_passed_over(tmp_path: Path) -> None:
    routes = Routes(["trade"], ["BTCUSDT", "ETHUSDT"])

    def trade(number: int, symbol: str, epoch: int = 0) -> Record:
        event = Trade("trade", NOW_US, symbol, number, "1", "2", NOW_US, True)
        prefix = b"\xc3\x01" + b"f" * 8
        value = encoder("trade", symbol, prefix=prefix, epoch=epoch)(event, NOW_US)
        return "trades", value, symbol.encode()

    gap = GapRecord(2, "BTCUSDT", "trade", "too_old", 2, 3, 2)
    gap_record: Record = ("gaps", encoder("gap", "BTCUSDT")(gap, NOW_US), b"BTCUSDT")
    left = [
        trade(1, "BTCUSDT"), gap_record, trade(4, "BTCUSDT"), trade(1, "ETHUSDT"),
        trade(2, "BTCUSDT", epoch=1),  # ids that began anew
    ]  # fmt: skip
    one = opened(tmp_path)
    for each in left:
        one.append(each)
    one.save(0.0)
    closed(one)

    again = opened(tmp_path)
    btcusdt = next(route.name for route in routes if route.symbol == "BTCUSDT")
    again.pass_over({("trades", btcusdt): (0, 3)})
    assert again.take(10, 0.0) == left[1:]
    assert again.inherited_of == {"trades": 4, "gaps": 1}, "what was passed over was accepted"
    again.settle()
    assert (len(again), again.end()) == (0, [])


def test_what_a_predecessor_left_of_symbols_that_are_elsewhere_by_now_is_passed_over(
    tmp_path: Path,
) -> None:
    left: list[Record] = [("trades", b"1", b"BTCUSDT"), ("trades", b"2", "币安人生USDT".encode())]
    one = opened(tmp_path)
    for each in left:
        one.append(each)
    one.save(0.0)
    closed(one)

    again = opened(tmp_path)
    again.discard_inherited(lambda symbol: symbol == "币安人生USDT")
    ours: Record = ("trades", b"3", left[1][2])  # whose shard has come here since
    again.append(ours)
    again.write(0.0)
    assert again.take(10, 0.0) == left[:1]
    assert again.inherited_of == {"trades": 2}, "what was passed over was accepted"
    again.settle()
    assert again.take(10, 0.0) == [ours]


def test_what_somebody_else_stores_is_not_delivered_until_it_comes_back(tmp_path: Path) -> None:
    routes = Routes(("trade",), ("BTCUSDT", "ETHUSDT"))
    encoders = {route.name: encoder("trade", route.symbol) for route in routes}

    def trade(number: int, name: str) -> Record:
        symbol = name.partition("@")[0].upper()
        event = Trade("trade", NOW_US, symbol, number, "1", "2", NOW_US, True)
        value = b"\xc3\x01" + b"f" * 8 + encoders[name](event, NOW_US)
        return "trades", value, symbol.encode()

    one = opened(tmp_path)
    waiting = [trade(1, "btcusdt@trade"), trade(1, "ethusdt@trade"), trade(2, "btcusdt@trade")]
    for each in waiting:
        one.append(each)
    one.write(0.0)
    one.discard([("trades", "btcusdt@trade")])
    one.keep([("trades", "btcusdt@trade", (0, 5)), ("trades", "ethusdt@trade", (0, 9))])
    kept = [trade(6, "btcusdt@trade"), trade(2, "ethusdt@trade")]
    for each in kept:
        one.append(each)
    one.write(0.0)
    assert one.take(10, 0.0) == [waiting[1], *kept]
    one.settle()
    assert one.end() == []
    again = trade(5, "btcusdt@trade")
    one.append(again)
    assert one.end() == [again], "what was discarded is forgotten with the last that waited"


def test_a_route_that_comes_back_without_a_place_is_delivered_from_where_it_begins(
    tmp_path: Path,
) -> None:
    routes = Routes(("trade",), ("BTCUSDT",))
    encode = encoder("trade", next(iter(routes)).symbol)

    def trade(number: int) -> Record:
        event = Trade("trade", NOW_US, "BTCUSDT", number, "1", "2", NOW_US, True)
        return "trades", b"\xc3\x01" + b"f" * 8 + encode(event, NOW_US), b"BTCUSDT"

    one = opened(tmp_path)
    for number in (1, 5, 6):
        one.append(trade(number))
    one.begin("trades", "btcusdt@trade", (0, 9))  # it was not discarded
    one.discard([("trades", "btcusdt@trade")])
    one.begin("trades", "btcusdt@trade", (0, 4))
    one.begin("trades", "btcusdt@trade", (0, 5))
    assert one.end() == [trade(5), trade(6)]
    one.append(trade(1))
    one.discard([("trades", "btcusdt@trade")])
    one.keep([("trades", "btcusdt@trade", (0, 0))])
    one.begin("trades", "btcusdt@trade", (0, 4))  # it goes on after the place that was told
    assert one.end() == [trade(1)]


class AnyOrderOfEvents(RuleBasedStateMachine):
    """Puts, takes, acknowledgements, returns, full disks, stops and crashes in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())

    @initialize()
    def begin(self) -> None:
        self.overflow = opened(self.directory, file_bytes=400)
        self.next = 0
        self.producer: list[int] = []  # taken and not acknowledged
        self.acknowledged: list[int] = []
        self.lost_from: int | None = None
        self.now = 0.0
        self.crashed = False

    @rule(count=st.integers(1, 6))
    def come(self, count: int) -> None:
        for _ in range(count):
            self.overflow.append(record(self.next))
            self.next += 1

    @rule(seconds=st.floats(0.01, 2.0))
    def poll(self, seconds: float) -> None:
        self.now += seconds
        self.overflow.poll(self.now)

    @rule(limit=st.integers(1, 9))
    def take(self, limit: int) -> None:
        self.producer += map(number_of, self.overflow.take(limit, self.now))

    @rule()
    def acknowledge_all(self) -> None:
        self.acknowledged += self.producer
        self.producer.clear()
        self.overflow.settle()

    @rule(count=st.integers(1, 9))
    def acknowledge_some(self, count: int) -> None:
        self.acknowledged += self.producer[:count]
        del self.producer[:count]

    @rule()
    def come_back(self) -> None:
        self.overflow.give_back([record(number) for number in self.producer])
        self.producer.clear()

    @rule()
    def end(self) -> None:
        if not self.producer and (tail := self.overflow.end()) is not None:
            self.acknowledged += map(number_of, tail)

    @rule()
    def disk_refuses(self) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "full")

        kept, self.overflow._files.write = self.overflow._files.write, full  # type: ignore[method-assign]
        self.poll(1.0)
        self.overflow._files.write = kept  # type: ignore[method-assign]

    @rule()
    def stop(self) -> None:
        self.come_back()
        self.overflow.save(self.now)
        assert all(error.error_type == "disk_full" for error in self.overflow.errors.take())
        closed(self.overflow)
        self.open_again(lost=0)

    @rule()
    def crash(self) -> None:
        self.overflow._files._background.shutdown(wait=True)
        self.open_again(lost=len(self.overflow) - self.overflow.stored)
        self.crashed = True

    def open_again(self, lost: int) -> None:
        """Begin anew with what is on disk; what was in memory comes again, as REST would bring."""
        self.overflow._files._background.shutdown(wait=True)
        self.producer.clear()
        self.next -= lost
        self.overflow = opened(self.directory, file_bytes=400)

    @invariant()
    def first_occurrences_are_in_order(self) -> None:
        if not hasattr(self, "acknowledged"):
            return
        first = list(dict.fromkeys(self.acknowledged))
        assert first == list(range(len(first)))
        if not self.crashed:
            assert len(first) == len(self.acknowledged), "copies come of crashes alone"
            waiting = len(self.overflow)
            assert len(first) + len(self.producer) + waiting == self.next

    def teardown(self) -> None:
        if not hasattr(self, "acknowledged"):
            return
        self.come_back()
        self.overflow.settle()  # the producer has nothing under way
        self.overflow.write(self.now)
        self.acknowledged += drain(self.overflow)
        assert set(self.acknowledged) == set(range(self.next))
        first = list(dict.fromkeys(self.acknowledged))
        assert first == list(range(self.next))
        closed(self.overflow)
        shutil.rmtree(self.directory)


TestAnyOrder = AnyOrderOfEvents.TestCase
TestAnyOrder.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
