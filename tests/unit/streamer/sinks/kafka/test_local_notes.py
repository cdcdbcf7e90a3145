from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from streamer.config import KafkaConfig
from streamer.data.records import single_object_header
from streamer.order.positions import EpochStart, Position
from streamer.routes import Route, Routes
from streamer.sinks.kafka import KafkaSink
from streamer.sinks.kafka.local_notes import (
    NOTES_FILE,
    NoteKeeper,
    Notes,
    header_key,
    notes_of,
    read_notes,
    write_notes,
)
from streamer.sinks.kafka.overflow import Overflow
from streamer.sinks.kafka.resume import remembered_positions
from tests.unit.streamer.payloads import NOW_US
from tests.unit.streamer.sinks.kafka.test_sink import UNREACHABLE, event

DAY_SECONDS = 86_400.0
ROUTES = Routes(("trade", "bookTicker"), ("BTCUSDT",))
TRADE, BOOK = ROUTES
TOPICS: dict[Route, str] = {TRADE: "t", BOOK: "b", ROUTES.gaps["BTCUSDT"]: "g"}
POSITIONS = {"t:trade:BTCUSDT": Position(7, NOW_US), "b:bookTicker:BTCUSDT": None}


@pytest.mark.parametrize("durable", [True, False])
def test_notes_are_read_as_they_were_written(tmp_path: Path, durable: bool) -> None:
    headers = {header_key("http://registry", "t", b"\x01\x02"): "0000000007"}
    write_notes(tmp_path, notes_of(POSITIONS, headers), durable=durable)
    notes = read_notes(tmp_path, DAY_SECONDS)
    assert notes is not None
    assert (notes.positions, notes.headers) == (POSITIONS, headers)
    assert [path.name for path in tmp_path.iterdir()] == [NOTES_FILE]


def changed(tmp_path: Path, **changes: object) -> None:
    path = tmp_path / NOTES_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_nothing_is_believed_that_was_changed(tmp_path: Path) -> None:
    assert read_notes(tmp_path, DAY_SECONDS) is None
    for change in (
        {"version": 2},
        {"positions": {"t:trade:BTCUSDT": {"last_id": 9_000, "received_us": NOW_US}}},
        {"headers": {"a": "no hexadecimal digits"}},
        {"headers": {"a": "00"}},
        {"epochs": {"t:trade:BTCUSDT": {"epoch": 9, "first_id": 1, "started_us": 1}}},
    ):
        write_notes(tmp_path, notes_of(POSITIONS, {}))
        changed(tmp_path, **change)
        assert read_notes(tmp_path, DAY_SECONDS) is None, change
    (tmp_path / NOTES_FILE).write_bytes(b"\xff{")
    assert read_notes(tmp_path, DAY_SECONDS) is None


def test_notes_that_are_too_old_are_not_used(tmp_path: Path) -> None:
    write_notes(tmp_path, notes_of(POSITIONS, {}))
    changed(tmp_path, as_of_us=int((time.time() - 2 * DAY_SECONDS) * 1e6))
    assert read_notes(tmp_path, DAY_SECONDS) is None
    assert read_notes(tmp_path, 3 * DAY_SECONDS) is not None


def test_a_disk_that_refuses_ends_nothing(tmp_path: Path) -> None:
    NoteKeeper(tmp_path / "absent", {}).write(POSITIONS)
    assert not list(tmp_path.iterdir())


def test_notes_are_due_once_in_a_while(tmp_path: Path) -> None:
    keeper = NoteKeeper(tmp_path, {})
    assert keeper.due(100.0)
    keeper.begin(100.0)
    assert not keeper.due(104.9)
    assert keeper.due(105.0)


EPOCH = EpochStart(1_700_000_000, 3, NOW_US)


def test_an_epoch_is_noted_until_positions_are_of_it(tmp_path: Path) -> None:
    def noted() -> Notes:
        notes = read_notes(tmp_path, DAY_SECONDS)
        assert notes is not None
        return notes

    keeper = NoteKeeper(tmp_path, {})
    keeper.write(POSITIONS)
    keeper.write_news()
    keeper.note_epoch("t:trade:BTCUSDT", EPOCH)
    assert noted().epochs == {}
    keeper.write_news()
    assert (noted().positions, noted().epochs) == (POSITIONS, {"t:trade:BTCUSDT": EPOCH})

    keeper = NoteKeeper(tmp_path, {}, noted())  # of the next run
    keeper.write(POSITIONS | {"t:trade:BTCUSDT": Position(8, NOW_US)})
    assert noted().epochs == keeper.epochs == {"t:trade:BTCUSDT": EPOCH}
    keeper.write(POSITIONS | {"t:trade:BTCUSDT": Position(3, NOW_US, EPOCH.epoch)})
    assert noted().epochs == keeper.epochs == {}


def test_what_waited_for_the_disk_replaces_nothing_later(tmp_path: Path) -> None:
    keeper = NoteKeeper(tmp_path, {})
    early = keeper.begin(100.0)
    later = POSITIONS | {"t:trade:BTCUSDT": Position(9, NOW_US)}
    keeper.write(later)
    keeper.write(POSITIONS, number=early)
    notes = read_notes(tmp_path, DAY_SECONDS)
    assert notes is not None
    assert notes.positions == later


def test_the_first_record_of_a_stream_is_noted_at_once(tmp_path: Path) -> None:
    sink = KafkaSink(
        KafkaConfig(bootstrap_servers=UNREACHABLE, topics={"trade": "t", "bookTicker": "b"}),
        TOPICS,
        {topic: single_object_header(route.kind) for route, topic in TOPICS.items()},
        Overflow(tmp_path / "overflow", 1 << 20),
        {BOOK.name: Position(5, NOW_US)},
        notes=NoteKeeper(tmp_path, {}),
    )
    for route in (TRADE, BOOK):
        for event_id in (50, 51):
            sink.put(route, event(route, event_id), NOW_US + event_id)
    sink.poll(time.monotonic())  # and it is killed
    notes = read_notes(tmp_path, DAY_SECONDS)
    assert notes is not None
    assert notes.positions == {"t:trade:BTCUSDT": Position(49, NOW_US + 50)}


def test_where_a_stream_begins_is_not_undone_by_what_was_gathered_before(tmp_path: Path) -> None:
    keeper = NoteKeeper(tmp_path, {})
    begun = keeper.begin(100.0)
    keeper.note_first("b:bookTicker:BTCUSDT", Position(3, NOW_US))
    keeper.note_first("b:bookTicker:BTCUSDT", Position(4, NOW_US))
    keeper.write(POSITIONS, number=begun)
    notes = read_notes(tmp_path, DAY_SECONDS)
    assert notes is not None
    assert notes.positions == POSITIONS | {"b:bookTicker:BTCUSDT": Position(3, NOW_US)}


def test_notes_of_a_version_that_knew_no_epochs_are_believed(tmp_path: Path) -> None:
    write_notes(tmp_path, notes_of(POSITIONS, {}))
    path = tmp_path / NOTES_FILE
    document = json.loads(path.read_text())
    del document["epochs"]
    path.write_text(json.dumps(document))
    notes = read_notes(tmp_path, DAY_SECONDS)
    assert notes is not None
    assert notes.epochs == {}


def test_a_start_is_told_of_an_epoch_that_was_seen_to_begin_and_not_stored(tmp_path: Path) -> None:
    def opened(positions: dict[str, Position]) -> KafkaSink:
        return KafkaSink(
            KafkaConfig(bootstrap_servers=UNREACHABLE, topics={"trade": "t", "bookTicker": "b"}),
            TOPICS,
            {topic: single_object_header(route.kind) for route, topic in TOPICS.items()},
            Overflow(tmp_path / "overflow", 1 << 20),
            positions,
            notes=NoteKeeper(tmp_path, {}, read_notes(tmp_path, DAY_SECONDS)),
        )

    sink = opened({TRADE.name: Position(7, NOW_US)})
    assert sink.next_epochs() == {}
    sink.renew(TRADE, EPOCH)
    sink.poll(time.monotonic())  # and it is killed

    assert opened({TRADE.name: Position(7, NOW_US)}).next_epochs() == {TRADE.name: EPOCH}
    assert opened({TRADE.name: Position(3, NOW_US, EPOCH.epoch)}).next_epochs() == {}
    assert opened({}).next_epochs() == {}


def overflow_with(directory: Path, *trade_ids: int) -> Overflow:
    """Return an overflow that a predecessor left."""
    from streamer.data.records import encoder

    overflow = Overflow(directory, 1 << 30)
    for trade_id in trade_ids:
        value = encoder("trade", "BTCUSDT")(event(TRADE, trade_id), NOW_US + trade_id)
        overflow.append(("t", value, b"BTCUSDT"))
    overflow.write(0.0)
    overflow.save(0.0)
    overflow.close()
    return Overflow(directory, 1 << 30)


def test_routes_end_where_the_overflow_does_beyond_the_notes(tmp_path: Path) -> None:
    overflow = overflow_with(tmp_path / "overflow", 7, 8, 9)
    found = remembered_positions(POSITIONS, TOPICS, overflow)
    assert found == {"btcusdt@trade": Position(9, NOW_US + 9)}
    overflow.close()


def test_one_that_joined_and_left_between_two_notes_ends_where_the_overflow_says(
    tmp_path: Path,
) -> None:
    overflow = overflow_with(tmp_path / "overflow", 7, 8, 9)
    other = Routes(("trade",), ("ETHUSDT",))
    topics = {next(iter(other)): "t", other.gaps["ETHUSDT"]: "g"}
    found = remembered_positions({"t:trade:ETHUSDT": None}, topics, overflow)
    assert found == {"btcusdt@trade": Position(9, NOW_US + 9)}
    noted = {"t:trade:ETHUSDT": None, "t:trade:BTCUSDT": Position(20, NOW_US)}
    found = remembered_positions(noted, topics, overflow)
    assert found == {"btcusdt@trade": Position(20, NOW_US)}
    overflow.close()


def test_what_lies_between_notes_and_overflow_comes_again(tmp_path: Path) -> None:
    overflow = overflow_with(tmp_path / "overflow", 10, 11)
    found = remembered_positions(POSITIONS, TOPICS, overflow)
    assert found == {"btcusdt@trade": Position(7, NOW_US)}
    overflow.close()


def test_a_route_that_nothing_tells_of_needs_kafka(tmp_path: Path) -> None:
    overflow = Overflow(tmp_path / "overflow", 1 << 30)
    noted = {"t:trade:BTCUSDT": Position(7, NOW_US)}
    assert remembered_positions(noted, TOPICS, overflow) is None
    assert remembered_positions(POSITIONS, TOPICS, overflow) == {
        "btcusdt@trade": Position(7, NOW_US)
    }
    overflow.close()
