from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import zlib
from functools import cache
from pathlib import Path

import fastavro
import pytest

from streamer.avro import files
from streamer.avro.binary import long
from streamer.config import SinkConfig
from streamer.data.events import GapRecord
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.trade import Trade
from streamer.errors import SinkUnavailable
from streamer.order.positions import Position
from streamer.routes import Routes
from streamer.sinks import avro_writer
from streamer.sinks.files import FLUSH_SECONDS, PENDING_LIMIT, RETRY_SECONDS, FilesSink
from tests.unit.streamer.payloads import NOW_US

ROUTES = Routes(("trade", "bookTicker"), ("BTCUSDT", "ETHUSDT"))
ROUTE = ROUTES.by_name["btcusdt@bookTicker"]
PATIENCE_SECONDS = 10.0


def config(directory: Path, **changes) -> SinkConfig:
    return SinkConfig(**({"directory": directory} | changes))


@pytest.fixture
def opened(tmp_path):
    sinks = []

    def open_(**changes) -> FilesSink:
        sinks.append(FilesSink(config(tmp_path, **changes), ROUTES))
        return sinks[-1]

    yield open_
    for sink in sinks:
        sink.close()


def ticker(update_id: int, symbol: str = "BTCUSDT") -> BookTicker:
    return BookTicker(update_id, symbol, "1.5", "2", "3", "4")


def put(sink: FilesSink, *update_ids: int) -> None:
    for update_id in update_ids:
        sink.put(ROUTE, ticker(update_id), NOW_US)


def stored(directory: Path, kind: str = "bookTicker") -> list[int]:
    """Return the ids that an independent reader finds, in the order of the files' names."""
    ids = []
    for path in sorted((directory / kind).iterdir()):
        with path.open("rb") as file:
            ids += [record["update_id"] for record in fastavro.reader(file)]
    return ids


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "bookTicker").iterdir())


def test_a_record_is_accepted_then_acknowledged(opened, tmp_path):
    sink = opened()
    put(sink, 1, 2)
    sink.poll(0.0)
    assert (sink.counts().accepted_total, sink.counts().acknowledged_total) == (2, 0)
    assert sink.counts().queued == 2

    sink.poll(FLUSH_SECONDS)

    counts = sink.counts()
    assert (counts.accepted_total, counts.acknowledged_total, counts.queued) == (2, 2, 0)
    assert counts.bytes_total > 0
    assert sum(counts.acknowledge_seconds.counts) == 2
    assert counts.acknowledge_seconds.sum_seconds == pytest.approx(2 * FLUSH_SECONDS)
    assert stored(tmp_path) == [1, 2]  # of the file in progress
    assert names(tmp_path)[0].endswith("-000001.avro.open")


def test_closing_completes_the_file(opened, tmp_path):
    sink = opened()
    put(sink, 1, 2, 3)

    assert sink.flush(PATIENCE_SECONDS) == 0
    sink.close()

    assert stored(tmp_path) == [1, 2, 3]
    assert [name.partition(".")[2] for name in names(tmp_path)] == ["avro"]
    assert stored(tmp_path, "trade") == []  # nothing came: no file


def test_files_roll_over_by_size(opened, tmp_path):
    sink = opened(rollover_bytes=3000)
    for i in range(10):
        put(sink, *range(i * 10, i * 10 + 10))
        sink.poll(float(i))
        sink.poll(i + FLUSH_SECONDS)
    sink.flush(PATIENCE_SECONDS)
    sink.close()

    sizes = [path.stat().st_size for path in (tmp_path / "bookTicker").iterdir()]
    assert len(sizes) > 2
    assert all(size < 5000 for size in sizes)
    assert stored(tmp_path) == list(range(100))


def test_files_roll_over_by_time(opened, tmp_path):
    sink = opened(rollover_after=60.0)
    for now in (0.0, 30.0, 61.0, 90.0):
        put(sink, int(now))
        sink.poll(now)
        sink.poll(now + FLUSH_SECONDS)
    sink.close()

    assert len(names(tmp_path)) == 2
    assert stored(tmp_path) == [0, 30, 61, 90]


MIDNIGHT_US = 1_795_046_400_000_000  # 2026-11-19T00:00:00Z
SECOND_US = 1_000_000


class Days:
    """A sink whose wall clock is set by hand, and what its complete files hold."""

    def __init__(self, directory: Path, time_us: int) -> None:
        self.directory = directory
        self.time_us = time_us
        self.polled = 0.0
        self.sink = FilesSink(config(directory), ROUTES, wall_clock=lambda: self.time_us)

    def put(self, update_id: int, at_us: int) -> None:
        self.time_us = max(self.time_us, at_us)
        self.sink.put(ROUTE, ticker(update_id), at_us)

    def poll(self, seconds: float = FLUSH_SECONDS) -> None:
        self.time_us += int(seconds * SECOND_US)
        self.polled += seconds
        self.sink.poll(self.polled)

    def close(self) -> dict[str, list[int]]:
        """Return the ids by the day in each file's name and its number."""
        assert self.sink.flush(PATIENCE_SECONDS) == 0
        self.sink.close()
        found = {}
        for path in sorted((self.directory / "bookTicker").iterdir()):
            with path.open("rb") as file:
                records = list(fastavro.reader(file))
            found[f"{path.name[:8]}-{path.name[17:23]}"] = [one["update_id"] for one in records]
        return found


def test_no_file_spans_midnight(tmp_path):
    """Also when records of both days come between two looks, and the file's block was written."""
    days = Days(tmp_path, MIDNIGHT_US - 10 * SECOND_US)
    days.put(1, MIDNIGHT_US - 9 * SECOND_US)
    days.poll()
    days.poll()
    days.put(2, MIDNIGHT_US - 2)
    days.put(3, MIDNIGHT_US - 1)
    days.put(4, MIDNIGHT_US)
    days.put(5, MIDNIGHT_US + 1)
    days.poll()
    assert names(tmp_path)[0].endswith("-000001.avro") or days.sink.flush(PATIENCE_SECONDS) == 0
    days.put(6, MIDNIGHT_US + SECOND_US)
    assert days.close() == {"20261118-000001": [1, 2, 3], "20261119-000002": [4, 5, 6]}


def test_what_came_before_midnight_is_not_in_the_next_day_s_file_though_none_was_open(tmp_path):
    days = Days(tmp_path, MIDNIGHT_US - 10)
    days.put(1, MIDNIGHT_US - 1)
    days.put(2, MIDNIGHT_US)
    days.poll()
    assert days.close() == {"20261118-000001": [1], "20261119-000002": [2]}


def test_a_day_ends_without_records_and_at_a_stop(tmp_path):
    days = Days(tmp_path, MIDNIGHT_US - SECOND_US)
    days.put(1, MIDNIGHT_US - SECOND_US)
    days.poll()
    days.poll()
    days.poll(2.0)  # midnight
    assert days.sink.flush(PATIENCE_SECONDS) == 0
    assert names(tmp_path)[0].endswith("-000001.avro")
    days.put(2, MIDNIGHT_US + 10 * SECOND_US)
    days.poll()
    days.poll()
    days.put(3, MIDNIGHT_US + 86_400 * SECOND_US)  # the next day's first, and then a stop
    assert days.close() == {
        "20261118-000001": [1], "20261119-000002": [2], "20261120-000003": [3]
    }  # fmt: skip


def test_a_disk_that_refuses_at_midnight_mixes_nothing(tmp_path, monkeypatch):
    days = Days(tmp_path, MIDNIGHT_US - SECOND_US)
    days.put(1, MIDNIGHT_US - 1)
    pwrite = os.pwrite
    monkeypatch.setattr(
        avro_writer.os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "full"))
    )
    days.put(2, MIDNIGHT_US)
    days.poll()
    assert not days.sink.accepting
    days.put(3, MIDNIGHT_US + 1)
    monkeypatch.setattr(avro_writer.os, "pwrite", pwrite)
    days.poll(RETRY_SECONDS)
    assert {name: ids for name, ids in days.close().items() if ids} == {
        "20261118-000002": [1], "20261119-000003": [2, 3]  # the first one could not be begun
    }  # fmt: skip


def test_a_clock_that_was_ahead_ends_a_day_once(tmp_path):
    days = Days(tmp_path, MIDNIGHT_US + 10 * SECOND_US)
    days.put(1, MIDNIGHT_US + 10 * SECOND_US)
    days.poll()
    days.poll()
    days.put(2, MIDNIGHT_US + 40 * 86_400 * SECOND_US)
    days.poll()
    days.time_us = MIDNIGHT_US + 20 * SECOND_US  # it is set
    days.poll()
    days.put(3, MIDNIGHT_US + 21 * SECOND_US)
    days.poll()
    days.poll()
    days.put(4, MIDNIGHT_US + 86_400 * SECOND_US)
    found = days.close()
    in_order = sorted(found, key=lambda name: name[-6:])  # the number: the name has the clock's day
    assert [found[name] for name in in_order] == [[1], [2, 3], [4]]


def test_where_a_stream_ends_is_known_after_midnight(tmp_path):
    days = Days(tmp_path, MIDNIGHT_US - SECOND_US)
    days.put(1, MIDNIGHT_US - SECOND_US)
    days.put(2, MIDNIGHT_US)
    days.poll()
    days.poll()
    days.sink.flush(PATIENCE_SECONDS)
    days.sink.abandon(is_ours=False)  # as if it were killed
    again = FilesSink(config(tmp_path), ROUTES)
    assert again.positions()["btcusdt@bookTicker"].last_id == 2
    again.close()


def test_where_a_quiet_stream_ends_is_known_when_the_day_s_files_are_moved_away(tmp_path):
    quiet, busy = routes = [*Routes(("bookTicker",), ("BTCUSDT", "ETHUSDT"))]
    at_us = MIDNIGHT_US - SECOND_US
    sink = FilesSink(config(tmp_path), routes, wall_clock=lambda: at_us)
    for route, update_id in ((quiet, 7), (busy, 1)):
        route.sequence.start_after(update_id)
        sink.put(route, ticker(update_id, route.symbol), at_us)
        sink.poll(2 * at_us / SECOND_US)
        at_us = MIDNIGHT_US + 10
    assert sink.flush(PATIENCE_SECONDS) == 0
    sink.abandon(is_ours=False)  # as if it were killed
    complete = [*(tmp_path / "bookTicker").glob("*.avro")]
    assert len(complete) == 1
    complete[0].unlink()
    again = FilesSink(config(tmp_path), routes)
    assert {name: one.last_id for name, one in again.positions().items()} == {
        quiet.name: 7,
        busy.name: 1,
    }
    again.close()


def test_a_gap_file_is_complete_before_a_file_that_relies_on_it(tmp_path, monkeypatch):
    completed = []
    complete = avro_writer._complete

    def completing(path: Path) -> None:
        complete(path)
        completed.append(path.parent.name)

    monkeypatch.setattr(avro_writer, "_complete", completing)
    targets = (*ROUTES, *ROUTES.gaps.values())
    sink = FilesSink(config(tmp_path, rollover_after=60.0), targets)
    gap = GapRecord(5, "BTCUSDT", "trade", "lagging", 5, 6, 2)
    put(sink, 1)
    sink.poll(0.0)
    sink.poll(1.0)  # the file of quotes is older than that of gaps, and due earlier
    sink.put(ROUTES.gaps["BTCUSDT"], gap, NOW_US)
    put(sink, 7)
    sink.poll(59.0)
    sink.poll(59.5)
    sink.poll(61.5)
    assert sink.flush(PATIENCE_SECONDS) == 0
    assert completed == ["gap", "bookTicker"]

    sink.put(ROUTES.gaps["BTCUSDT"], gap, NOW_US)
    put(sink, 8)
    sink.flush(PATIENCE_SECONDS)
    sink.close()
    assert completed == ["gap", "bookTicker"] * 2


def test_numbers_go_on_after_a_restart(opened, tmp_path):
    for i in range(3):
        sink = opened()
        put(sink, i)
        sink.flush(PATIENCE_SECONDS)
        sink.close()

    assert [name[-11:-5] for name in names(tmp_path)] == ["000001", "000002", "000003"]
    assert stored(tmp_path) == [0, 1, 2]


def test_deflated_files_are_read_by_any_reader(opened, tmp_path):
    sink = opened(codec="deflate")
    put(sink, *range(500))
    sink.flush(PATIENCE_SECONDS)
    sink.close()

    assert stored(tmp_path) == list(range(500))


def test_a_killed_process_loses_nothing_acknowledged(tmp_path):
    """SIGKILL in mid-stream; the next start completes what it left."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.unit.streamer.sinks.test_files import *\n"
        "sink = FilesSink(config(Path(sys.argv[1])), ROUTES)\n"
        "for i in range(10**9):\n"
        "    put(sink, i); sink.poll(time.monotonic())\n"
        "    if i % 1000 == 0: print(sink.counts().acknowledged_total, flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        acknowledged = 0
        while acknowledged < 5000:
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        acknowledged = int([acknowledged, *process.stdout.read().splitlines()[:-1]][-1])
    (torn,) = (tmp_path / "bookTicker").iterdir()
    with torn.open("ab") as file:
        file.write(b"\x80\x02torn")

    FilesSink(config(tmp_path), ROUTES).close()

    ids = stored(tmp_path)
    assert ids == list(range(len(ids)))
    assert len(ids) >= acknowledged
    assert names(tmp_path)[0].endswith(".avro")


def test_what_holds_no_record_is_removed_and_what_is_foreign_is_set_aside(opened, tmp_path, caplog):
    directory = tmp_path / "bookTicker"
    directory.mkdir()
    (directory / "x-000001.avro.open").write_bytes(b"")
    (directory / "x-000002.avro.open").write_bytes(b"Obj\x01\x04\x16avro.sch")
    (directory / "x-000003.avro.open").write_bytes(b"something else")

    opened()

    assert names(tmp_path) == ["x-000003.avro.open.unreadable"]
    assert "no file of ours, set aside" in caplog.text


@pytest.mark.parametrize(
    ("number", "error_type"),
    [(errno.ENOSPC, "disk_full"), (errno.EROFS, "permission"), (errno.EIO, "io")],
)
def test_a_disk_that_refuses_loses_nothing(opened, tmp_path, monkeypatch, number, error_type):
    """Half of a block goes out, then the disk is full: the block is written again, once."""
    sink = opened()
    put(sink, 1)
    sink.poll(0.0)
    sink.poll(1.0)
    pwrite = os.pwrite
    written = []

    def failing(fd: int, data: memoryview, offset: int) -> int:
        if written:
            raise OSError(number, os.strerror(number))
        written.append(pwrite(fd, data[: len(data) // 2], offset))
        return written[0]

    monkeypatch.setattr(avro_writer.os, "pwrite", failing)
    put(sink, 2, 3)
    sink.poll(2.0)
    sink.poll(3.0)

    assert not sink.accepting
    assert sink.counts().queued == 2
    assert sink.counts().errors_total == 1
    (error,) = sink.take_errors()
    assert error.error_type == error_type
    assert str(tmp_path) in error.error
    sink.poll(3.0 + RETRY_SECONDS / 2)
    assert sink.counts().errors_total == 1  # not before its time
    sink.poll(3.0 + RETRY_SECONDS)
    assert sink.counts().errors_total == 2
    assert sink.take_errors() == []  # the same, told already
    assert stored_up_to_the_tear(tmp_path) == [1]

    monkeypatch.setattr(avro_writer.os, "pwrite", pwrite)
    put(sink, 4)  # a few more are taken
    sink.poll(9.0)
    assert sink.accepting
    assert sink.flush(PATIENCE_SECONDS) == 0
    sink.close()
    assert stored(tmp_path) == [1, 2, 3, 4]


def stored_up_to_the_tear(directory: Path) -> list[int]:
    ids = []
    for path in (directory / "bookTicker").iterdir():
        with path.open("rb") as file, pytest.raises(Exception):  # noqa: B017, PT011 - any reader's
            ids.extend(record["update_id"] for record in fastavro.reader(file))
    return ids


def test_a_directory_that_cannot_take_a_file_is_tried_again(opened, tmp_path):
    sink = opened()
    (tmp_path / "bookTicker").rmdir()
    put(sink, 1)
    sink.poll(0.0)
    sink.poll(1.0)
    assert not sink.accepting
    assert sink.flush(0.0) == 1

    (tmp_path / "bookTicker").mkdir()
    assert sink.flush(PATIENCE_SECONDS) == 0
    assert sink.accepting
    sink.close()
    assert stored(tmp_path) == [1]


def test_pending_records_are_bounded(opened):
    sink = opened()
    put(sink, *range(PENDING_LIMIT - 1))
    assert sink.accepting
    put(sink, PENDING_LIMIT)
    assert not sink.accepting
    sink.poll(0.0)
    assert sink.accepting


def test_a_file_in_the_way_is_a_clear_error(tmp_path):
    (tmp_path / "data").write_text("a file")

    with pytest.raises(SinkUnavailable, match=r"sink\.directory"):
        FilesSink(config(tmp_path / "data"), ROUTES)


@pytest.mark.parametrize("fsync_every", [0.0, 1.0])
def test_syncing_keeps_to_its_policy(opened, monkeypatch, fsync_every):
    sink = opened(fsync_every=fsync_every)
    synced = []
    monkeypatch.setattr(avro_writer.os, "fdatasync", synced.append)
    for now in (0.0, 0.25, 0.5, 0.75):
        put(sink, int(now * 10))
        sink.poll(now)
    deadline = time.monotonic() + PATIENCE_SECONDS
    expected = 2 if fsync_every == 0 else 0
    while len(synced) < expected and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(synced) == expected

    sink.poll(1.25)
    while not synced and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(synced) == (expected or 1)


def test_where_one_ends_is_known_that_was_killed_and_is_not_wanted_at_the_next_start(tmp_path):
    """It had joined and left within seconds, so that no file of positions knew of it."""
    gone, stays = routes = [*Routes(("bookTicker",), ("BTCUSDT", "ETHUSDT"))]
    sink = FilesSink(config(tmp_path), routes)
    for route in (gone, stays):  # the one that stays ends last: a search needs no more than that
        sink.put(route, ticker(7, route.symbol), NOW_US)
        assert sink.flush(PATIENCE_SECONDS) == 0
    sink.abandon(is_ours=False)  # as if it were killed
    earlier = [gone.name, "btcusdt@trade"]
    for told in (earlier, ()):  # once it was found it is noted
        again = FilesSink(config(tmp_path), [stays], earlier=told)
        assert {name: one.last_id for name, one in again.positions().items()} == {
            gone.name: 7,
            stays.name: 7,
        }
        again.close()


def test_a_route_that_joins_opens_the_directory_of_its_kind(opened, tmp_path):
    sink = opened()
    routes = Routes(("aggTrade",), ("BTCUSDT",))
    joining = routes.by_name["btcusdt@aggTrade"]
    sink.add(joining)
    event = AggTrade("aggTrade", NOW_US, "BTCUSDT", 7, "1.5", "2", 1, 3, NOW_US, True)
    sink.put(joining, event, NOW_US)
    assert sink.flush(PATIENCE_SECONDS) == 0
    sink.remove(joining)
    sink.close()
    assert sink.counts().acknowledged_by_stream["aggTrade"] == 1
    [path] = (tmp_path / "aggTrade").iterdir()
    with path.open("rb") as file:
        assert len(list(fastavro.reader(file))) == 1


def test_a_kind_whose_directory_cannot_be_made_does_not_join(opened, tmp_path):
    sink = opened()
    (tmp_path / "aggTrade").write_text("in the way")
    with pytest.raises(SinkUnavailable, match="aggTrade"):
        sink.add(Routes(("aggTrade",), ("BTCUSDT",)).by_name["btcusdt@aggTrade"])
    put(sink, 1)
    assert sink.flush(PATIENCE_SECONDS) == 0


SYNC = b"s" * 16


def container(schema: bytes, *blocks: bytes, codec: bytes = b"null") -> bytes:
    entries = {b"avro.schema": schema, b"avro.codec": codec}
    texts = b"".join(
        long(len(key)) + key + long(len(value)) + value for key, value in entries.items()
    )
    return b"Obj\x01" + long(2) + texts + long(0) + SYNC + b"".join(blocks)


def spoilt(count: int, size: int, data: bytes = b"") -> bytes:
    return long(count) + long(size) + data


@cache
def bomb() -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    data = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(600)) + compressor.flush()
    return spoilt(1, len(data), data) + SYNC


DEEP = b'{"type":"array","items":' * 60 + b'"long"' + b"}" * 60
HOSTILE = {
    "a size near 2^63": lambda: container(b'{"fields":[]}', spoilt(1, (1 << 63) - 1)),
    "a count near 2^63": lambda: container(b'{"fields":[]}', spoilt((1 << 63) - 1, 0) + SYNC),
    "a deep schema": lambda: container(b'{"fields":[{"name":"x","type":' + DEEP + b"}]}"),
    "a very deep schema": lambda: container(b"[" * 100_000),
    "a schema that is none": lambda: container(b"7"),
    "a deflate bomb": lambda: container(b'{"fields":[]}', bomb(), codec=b"deflate"),
    "no deflate": lambda: container(
        b'{"fields":[]}', spoilt(1, 4, b"\xff" * 4) + SYNC, codec=b"deflate"
    ),
    "another codec": lambda: container(b'{"fields":[]}', codec=b"snappy"),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("suffix", [".avro", ".avro.open"])
def test_a_hostile_file_is_told_of_and_the_start_goes_on(opened, tmp_path, caplog, what, suffix):
    first = opened()
    put(first, 1, 2)
    first.flush(PATIENCE_SECONDS)
    first.close()
    shutil.rmtree(tmp_path / "positions")  # so that the files are searched
    (tmp_path / "bookTicker" / f"x-000007{suffix}").write_bytes(HOSTILE[what]())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    sink = opened()
    put(sink, 3)
    sink.flush(PATIENCE_SECONDS)

    assert sink.positions()["btcusdt@bookTicker"].last_id == 2
    if what != "a count near 2^63":  # whose one block holds nothing, and so tells nothing
        assert "x-000007" in caplog.text
    assert sink.counts().acknowledged_total == 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 << 10, "kB"


def test_what_lies_behind_a_spoilt_block_is_kept_aside(opened, tmp_path, caplog):
    first = opened()
    for update_id in (1, 2, 3):
        put(first, update_id)
        first.flush(PATIENCE_SECONDS)
    [path] = (tmp_path / "bookTicker").iterdir()
    first.close()
    [path] = (tmp_path / "bookTicker").iterdir()
    content = bytearray(path.read_bytes())
    sync = content[-16:]
    second = content.index(sync, content.index(sync) + 16) + 16  # where the second block begins
    content[second : second + 2] = b"\x02\x7f"  # another length
    path.rename(path.with_name(path.name + ".open")).write_bytes(content)

    opened()

    aside = path.with_name(path.name + ".open.unreadable")
    assert aside.read_bytes() == content
    assert "a block in the middle is spoilt" in caplog.text
    with path.open("rb") as file:
        assert [record["update_id"] for record in fastavro.reader(file)] == [1]


def test_many_records_become_several_blocks(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_WRITTEN_BLOCK_BYTES", 500)
    sink = opened()
    put(sink, *range(1, 101))
    sink.flush(PATIENCE_SECONDS)
    sink.close()
    [path] = (tmp_path / "bookTicker").iterdir()
    with path.open("rb") as file:
        assert len(list(fastavro.block_reader(file))) > 10
    assert stored(tmp_path) == list(range(1, 101))


def test_what_is_fetched_again_is_not_left_in_the_new_directory(tmp_path):
    routes = Routes(("trade",), ("BTCUSDT",))
    (route,) = routes

    def trades(sink: FilesSink, *ids: int) -> None:
        for number in ids:
            sink.put(
                route, Trade("trade", NOW_US, "BTCUSDT", number, "1", "2", NOW_US, True), NOW_US
            )

    first = FilesSink(config(tmp_path), routes)
    trades(first, 1)
    route.resume(Position(1, NOW_US))  # as the feed would have it by then
    first.flush(PATIENCE_SECONDS)
    first.close()
    sink = FilesSink(config(tmp_path, rollover_after=0.001), routes)
    trades(sink, 2)
    sink.flush(PATIENCE_SECONDS)
    sink.poll(time.monotonic() + 10)  # that file is complete
    sink.flush(PATIENCE_SECONDS)  # and has its name, which another thread gives
    shutil.rmtree(tmp_path / "trade")
    trades(sink, 3)  # no file is in progress
    told = sink.abandon(is_ours=True)
    assert "trade: fetched again from where this streamer began" in told
    assert list((tmp_path / "trade").iterdir()) == []
    again = FilesSink(config(tmp_path), routes)
    assert again.positions()["btcusdt@trade"].last_id == 1
    again.close()


def test_where_streams_end_is_known_when_they_are_added(tmp_path):
    """Which symbols a pattern chooses may not be known at the start."""
    routes = Routes(("trade",), ("BTCUSDT", "ETHUSDT"))
    sink = FilesSink(config(tmp_path), (*routes, *routes.gaps.values()))
    for route in routes:
        route.sequence.start_after(4)
        sink.put(route, Trade("trade", NOW_US, route.symbol, 4, "1.5", "2", NOW_US, True), NOW_US)
    gap = GapRecord(5, "ETHUSDT", "trade", "lagging", 5, 6, 2)
    sink.put(routes.gaps["ETHUSDT"], gap, NOW_US)
    sink.flush(PATIENCE_SECONDS)
    sink.close()

    again = FilesSink(config(tmp_path), ())
    assert again.positions() == {}
    for route in (*routes, *routes.gaps.values()):
        again.add(route)
    ends = {name: position.last_id for name, position in again.positions().items()}
    assert ends == {"btcusdt@trade": 4, "ethusdt@trade": 6}
    again.close()
