"""What is known of symbols follows them when the number of streamers changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.config import ShardConfig, SinkConfig, StreamerConfig
from streamer.errors import SinkUnavailable
from streamer.lock import shard_lock
from streamer.order.positions import EpochStart, Position
from streamer.removed_streams import FILE as DEPARTURES_FILE
from streamer.removed_streams import Departures, RemovedStreams, departures_content, read_departures
from streamer.shards import count as module
from streamer.shards.assignment import shard_of
from streamer.shards.count import COUNT_FILE, confirm, recorded_count, settle, undelivered
from streamer.shards.directories import directory_of
from streamer.sinks.directories import OVERFLOW_DIRECTORY
from streamer.sinks.file_positions import (
    POSITIONS,
    KindPositions,
    find_positions,
    next_file_of,
    write_positions,
)
from streamer.sinks.kafka.local_notes import notes_of, read_notes, write_notes

SYMBOLS = tuple(f"A{number}USDT" for number in range(12))


@pytest.fixture(autouse=True)
def no_power_cuts() -> Iterator[None]:
    """Wait for no disk: hundreds of files are written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


def config(root: Path, shard: int, count: int) -> StreamerConfig:
    return StreamerConfig(
        shard=ShardConfig(index=shard, count=count),
        sink=SinkConfig(directory=directory_of(root, shard, count)),
        stop_within=-4.9,  # nobody is waited for
    )


def note(root: Path, count: int, ids: dict[str, int], left: tuple[str, ...] = ()) -> None:
    """Note where trades end, each in the directory of the streamer that has its symbol."""
    for shard in range(count):
        directory = directory_of(root, shard, count)
        (directory / "trade").mkdir(parents=True, exist_ok=True)
        own = {
            f"{symbol.lower()}@trade": Position(last_id, 1)
            for symbol, last_id in ids.items()
            if shard_of(symbol, count) == shard
        }
        path = directory / POSITIONS / "trade.json"
        write_positions(path, KindPositions(next_file_of(path), own))
        gone = {f"{symbol.lower()}@trade": None for symbol in left}
        mine = Departures(own, {n: p for n, p in gone.items() if n in own}, sorted(own))
        (directory / DEPARTURES_FILE).write_bytes(departures_content(mine))


def found(root: Path, count: int) -> dict[str, int]:
    """Return where the streams end by what each streamer finds of its own symbols."""
    ends: dict[str, int] = {}
    for shard in range(count):
        directory = directory_of(root, shard, count)
        known = find_positions(directory / POSITIONS / "trade.json", directory / "trade", (), 1e9)
        for name, position in known.positions.items():
            assert shard_of(name.partition("@")[0].upper(), count) == shard
            assert name not in ends
            ends[name] = position.last_id
    return ends


def wanted(ids: dict[str, int]) -> dict[str, int]:
    return {f"{symbol.lower()}@trade": last_id for symbol, last_id in ids.items()}


@settings(max_examples=15, deadline=None)
@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_every_stream_goes_on_where_it_ended_whatever_the_numbers_were(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int]
) -> None:
    root = tmp_path_factory.mktemp("records")
    before, last_number = 1, 0
    for turn, count in enumerate(counts):
        ids = {symbol: 1000 * turn + number for number, symbol in enumerate(SYMBOLS)}
        note(root, before, ids)
        for shard in reversed(range(count)):  # the first one that comes does it
            settle(config(root, shard, count))
            confirm(config(root, shard, count))
        assert found(root, count) == wanted(ids)
        if count != before:
            numbers = {
                next_file_of(directory_of(root, shard, count) / POSITIONS / "trade.json")
                for shard in range(count)
            }
            assert len(numbers) == 1
            assert min(numbers) > last_number
            last_number = min(numbers)
        before = count
    assert recorded_count(root) == before


def test_one_alone_since_ever_leaves_nothing_behind(tmp_path: Path) -> None:
    settle(config(tmp_path / "records", 0, 1))
    confirm(config(tmp_path / "records", 0, 1))
    assert not (tmp_path / "records").exists()


def test_files_go_on_with_numbers_above_all_others(tmp_path: Path) -> None:
    note(tmp_path, 1, {"BTCUSDT": 1})
    (tmp_path / "trade" / "20261128T000000Z-000041.avro").touch()
    settle(config(tmp_path, 0, 2))
    for name in ("streamer-1", "streamer-2"):
        for kind in ("trade", "gap", "depthSnapshot"):
            assert next_file_of(tmp_path / name / POSITIONS / f"{kind}.json") == 43


def test_what_another_streamer_wrote_there_once_does_not_count(tmp_path: Path) -> None:
    """Files are searched where positions are lost, and hold what moved away since."""
    (tmp_path / COUNT_FILE).write_text('{"count": 2}')
    ids = dict.fromkeys(SYMBOLS, 100)
    note(tmp_path, 2, ids)
    for shard in range(2):
        path = directory_of(tmp_path, shard, 2) / POSITIONS / "trade.json"
        own = find_positions(path, path.parent.parent / "trade", (), 1e9).positions
        stale = {name: Position(50, 1) for name in wanted(ids)}
        write_positions(path, KindPositions(0, {**stale, **own}))
    settle(config(tmp_path, 0, 3))
    assert found(tmp_path, 3) == wanted(ids)


def test_a_crash_in_between_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = module.write_atomically
    ids = dict(zip(SYMBOLS, range(12), strict=True))
    for crash_at in (0, 1, 2, 9, 20):
        root = tmp_path / str(crash_at)
        root.mkdir()
        (root / COUNT_FILE).write_text('{"count": 2}')
        note(root, 2, ids)
        calls = iter(range(1000))

        def crashing(path: Path, content: bytes, crash_at: int = crash_at, calls=calls) -> None:
            if next(calls) == crash_at:
                raise KeyboardInterrupt
            write(path, content)

        monkeypatch.setattr(module, "write_atomically", crashing)
        with pytest.raises(KeyboardInterrupt):
            settle(config(root, 0, 3))
        monkeypatch.setattr(module, "write_atomically", write)
        # Whoever starts next, and with whatever number.
        settle(config(root, 0, 4))
        assert found(root, 4) == wanted(ids)


def test_who_had_left_is_known_where_it_belongs_now_and_nowhere_else(tmp_path: Path) -> None:
    note(tmp_path, 1, dict.fromkeys(SYMBOLS, 7), left=SYMBOLS[:6])
    settle(config(tmp_path, 0, 3))
    for shard in range(3):
        own = {s for s in SYMBOLS if shard_of(s, 3) == shard}
        departures = read_departures(directory_of(tmp_path, shard, 3) / DEPARTURES_FILE)
        assert departures is not None
        assert set(departures.streamed) == {f"{symbol.lower()}@trade" for symbol in own}
        assert set(departures.left) == {f"{s.lower()}@trade" for s in own if s in SYMBOLS[:6]}


def test_who_moved_away_and_comes_back_has_never_left(tmp_path: Path) -> None:
    """Kafka tells of all streams: those of another streamer must not count as removed here."""
    symbol = next(s for s in SYMBOLS if shard_of(s, 2) == 0 and shard_of(s, 3) == 2)
    name = f"{symbol.lower()}@trade"
    for turn, count in enumerate((2, 3, 2)):
        settle(config(tmp_path, 0, count))
        owner = shard_of(symbol, count)
        for shard in range(count):
            wanted_here = [name] if shard == owner else []
            removed = RemovedStreams(directory_of(tmp_path, shard, count), wanted_here)
            removed.take_stored({name: Position(100 * turn, 1)}, shared=True)
            assert not removed.returning
            assert (removed.take(name) is not None) == (shard == owner)


def test_notes_of_what_is_in_kafka_follow_the_symbols(tmp_path: Path) -> None:
    def key(symbol: str) -> str:
        return f"trades:trade:{symbol}"

    (tmp_path / COUNT_FILE).write_text('{"count": 2}')
    for shard in range(2):
        directory = directory_of(tmp_path, shard, 2)
        directory.mkdir()
        own = [symbol for symbol in SYMBOLS if shard_of(symbol, 2) == shard]
        positions = {key(symbol): Position(5, 1) for symbol in own} | {key(own[0]): None}
        epochs = {key(own[1]): EpochStart(1, 3, 4)}
        notes = notes_of(positions, {"registry": "00"}, epochs)
        notes = msgspec.structs.replace(notes, as_of_us=notes.as_of_us - shard * 1_000_000)
        write_notes(directory, notes)
        (directory / "kafka-topics.json").write_text(f'{{"shard": {shard}}}')
        (directory / "symbols.json").write_text(f'{{"trading": ["A{shard}"]}}')
    as_of_us = notes.as_of_us
    settle(config(tmp_path, 1, 3))
    seen: dict[str, Position | None] = {}
    begun = 0
    for shard in range(3):
        directory = directory_of(tmp_path, shard, 3)
        dealt = read_notes(directory, 1e9)
        assert dealt is not None
        assert {shard_of(one.rpartition(":")[2], 3) for one in dealt.positions} <= {shard}
        assert dealt.as_of_us == as_of_us, "the oldest of those that it was made of"
        assert dealt.headers == {"registry": "00"}
        seen |= dealt.positions
        begun += len(dealt.epochs)
        assert (directory / "kafka-topics.json").read_text() == '{"shard": 0}'
        assert (directory / "symbols.json").exists()
    assert set(seen) == {key(symbol) for symbol in SYMBOLS}
    assert list(seen.values()).count(None) == begun == 2
    (directory_of(tmp_path, 1, 3) / "kafka-notes.json").unlink()
    settle(config(tmp_path, 0, 1))
    assert read_notes(tmp_path, 1e9) is None, "not all is known: Kafka has to be asked"


def test_records_that_wait_for_kafka_keep_the_number(tmp_path: Path) -> None:
    note(tmp_path, 1, {"BTCUSDT": 1})
    waiting = tmp_path / OVERFLOW_DIRECTORY
    waiting.mkdir()
    (waiting / "20261128T000000Z-000001.avro.open.unreadable").touch()
    assert undelivered(tmp_path, 1) == []
    (waiting / "20261128T000000Z-000001.avro").touch()
    assert undelivered(tmp_path, 1) == [waiting]
    with pytest.raises(SinkUnavailable, match=r"start with streamers\.count = 1 until they are"):
        settle(config(tmp_path, 0, 2))
    assert recorded_count(tmp_path) == 1


def test_it_waits_for_every_streamer_that_there_was(tmp_path: Path) -> None:
    settle(config(tmp_path, 0, 2))
    with (
        shard_lock(tmp_path / "streamer-2", 0.0),
        pytest.raises(SinkUnavailable, match="streamer-2: another streamer writes there"),
    ):
        settle(config(tmp_path, 0, 3))
    assert recorded_count(tmp_path) == 2


def test_who_was_overtaken_by_another_number_does_not_begin(tmp_path: Path) -> None:
    settle(config(tmp_path, 0, 2))
    settle(config(tmp_path, 0, 3))
    with pytest.raises(SinkUnavailable, match="3 streamers share it by now, not 2"):
        confirm(config(tmp_path, 1, 2))


@pytest.mark.parametrize("content", ["", "[]", '{"count": 0}', '{"count": "x"}', "\xff"])
def test_a_number_that_cannot_be_read_stops_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / COUNT_FILE).write_text(content, encoding="latin-1")
    with pytest.raises(SinkUnavailable, match=COUNT_FILE):
        recorded_count(tmp_path)


def test_a_file_in_the_place_of_the_directory_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SinkUnavailable, match=r"Not a directory; expected a sink\.directory"):
        recorded_count(tmp_path / "data")


def test_a_plan_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "streamers.plan.json").write_text("{")
    with pytest.raises(SinkUnavailable, match=r"streamers\.plan\.json: cannot be read"):
        settle(config(tmp_path, 0, 2))


def test_a_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "records").touch()
    with pytest.raises(SinkUnavailable, match="records"):
        settle(config(tmp_path / "records" / "below", 0, 2))
