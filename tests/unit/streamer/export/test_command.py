from __future__ import annotations

import fcntl
import json
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import fastavro
import polars
import pyarrow.parquet
import pytest

from streamer.__main__ import main
from streamer.avro.files import block, header
from streamer.data.kinds.depth import Depth
from streamer.data.records import load_schema
from streamer.export import job, parquet
from tests.unit.streamer.audit.stored import SYNC, encoded, event, gap, trades, write

FIRST, SECOND, OTHER_DAY = (
    "20261127T000000Z-000001.avro",
    "20261127T010000Z-000002.avro",
    "20261128T000000Z-000003.avro",
)
BTC = "trade/date=2026-11-27/symbol=BTCUSDT/2026-11-27-0.parquet"
CHINESE = "币安人生USDT"
LARGE = "12345678901234567890.5"


@pytest.fixture
def sink(tmp_path) -> Path:
    root = tmp_path / "data"
    write(root, "trade", trades([1, 2]), trades([7, 8], symbol="ETHUSDT"), name=FIRST)
    write(root, "trade", trades([3, 4]), name=SECOND, codec="deflate")
    write(root, "trade", trades([5]), name=OTHER_DAY)
    write(root, "trade", trades([6]), name="20261128T010000Z-000004.avro.open")
    write(root, "gap", [gap(10, 12)], name=FIRST)
    return root


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "parquet"


def exported(sink: Path, target: Path, *more: str) -> int:
    return main(["export", str(sink), "--output", str(target), *more])


def files(target: Path) -> list[str]:
    return sorted(str(path.relative_to(target)) for path in target.rglob("*.parquet"))


def ids(path: Path, name: str = "trade_id") -> list[int]:
    found: list[int] = pyarrow.parquet.read_table(path, partitioning=None).column(name).to_pylist()
    return found


def test_complete_files_become_a_file_for_each_day_and_symbol(sink, target, capsys):
    assert exported(sink, target) == 0
    assert files(target) == [
        "gap/date=2026-11-27/symbol=BTCUSDT/2026-11-27-0.parquet",
        BTC,
        "trade/date=2026-11-27/symbol=ETHUSDT/2026-11-27-0.parquet",
        "trade/date=2026-11-28/symbol=BTCUSDT/2026-11-28-0.parquet",
    ]
    assert ids(target / BTC) == [1, 2, 3, 4]
    assert "trade 2026-11-27: 2 files" in capsys.readouterr().out


def test_every_value_is_the_avro_file_s(sink, target):
    """Also of nested levels; fastavro tells what Avro has, pyarrow what Parquet has."""
    levels = [("1.000000000000000001", "0"), ("99999999999999999999.5", "2")]
    depth = Depth("depthUpdate", 5, "BTCUSDT", 1, 3, levels, levels[:1])
    write(sink, "depth", [depth], name=FIRST)
    assert exported(sink, target, "--partition", "none") == 0
    for kind in ("trade", "depth", "gap"):
        written, read = [], []
        for path in sorted((sink / kind).glob("*.avro")):
            with path.open("rb") as file:
                written += list(fastavro.reader(file))
        for path in sorted((target / kind).glob("*.parquet")):
            read += pyarrow.parquet.read_table(path).to_pylist()
        assert read == written
        assert len(read) > 0


def test_common_readers_take_it_and_its_partitions(sink, target):
    other = trades([9], symbol=CHINESE, price=LARGE)
    write(sink, "trade", other, name="20261129T000000Z-000009.avro")
    assert exported(sink, target) == 0
    pattern = f"{target}/trade/**/*.parquet"
    rows = duckdb.sql(
        f"SELECT symbol, date::VARCHAR, trade_id, price FROM read_parquet('{pattern}', "
        "hive_partitioning = true) ORDER BY ALL"
    ).fetchall()
    assert len(rows) == 8
    assert rows[0] == ("BTCUSDT", "2026-11-27", 1, Decimal("1.5"))
    assert rows[-1] == (CHINESE, "2026-11-29", 9, Decimal(LARGE))
    frame = polars.scan_parquet(pattern, hive_partitioning=True).collect()
    assert frame.sort("trade_id")["price"].to_list()[-1] == Decimal(LARGE)
    assert set(frame["symbol"]) == {"BTCUSDT", "ETHUSDT", CHINESE}
    table = pyarrow.parquet.read_table(target / "trade")
    assert sorted(table.column("trade_id").to_pylist()) == [1, 2, 3, 4, 5, 7, 8, 9]
    metadata = pyarrow.parquet.read_metadata(target / BTC).row_group(0)
    assert {metadata.column(i).compression for i in range(metadata.num_columns)} == {"ZSTD"}


def test_a_second_time_does_nothing_and_new_files_are_compacted(sink, target, capsys):
    assert exported(sink, target) == 0
    before = {name: (target / name).stat().st_mtime_ns for name in files(target)}
    capsys.readouterr()
    assert exported(sink, target) == 0
    assert capsys.readouterr().out == ""
    assert {name: (target / name).stat().st_mtime_ns for name in files(target)} == before

    write(sink, "trade", trades([11]), name="20261127T020000Z-000005.avro")
    assert exported(sink, target) == 0
    assert len(files(target)) == len(before)
    assert ids(target / BTC) == [1, 2, 3, 4, 11]
    state = json.loads((target / "_export" / "trade" / "2026-11-27.json").read_text())
    assert [source["file"][-11:-5] for source in state["sources"]] == ["000001", "000002", "000005"]
    assert {output["file"]: output["records"] for output in state["outputs"]}[BTC] == 5


def test_files_may_be_moved_away_once_they_are_exported(sink, target):
    assert exported(sink, target) == 0
    gone = {name: (sink / "trade" / name).read_bytes() for name in (FIRST, SECOND)}
    for name in gone:
        (sink / "trade" / name).unlink()
    write(sink, "trade", trades([11]), name="20261127T020000Z-000005.avro")
    assert exported(sink, target) == 0
    assert ids(target / BTC) == [1, 2, 3, 4]
    part = BTC.replace("-0.parquet", "-1.parquet")
    assert ids(target / part) == [11]
    assert exported(sink, target) == 0
    assert part in files(target)

    for name, content in gone.items():  # they are back: one file again, and nothing twice
        (sink / "trade" / name).write_bytes(content)
    write(sink, "trade", trades([12]), name="20261127T030000Z-000006.avro")
    assert exported(sink, target) == 0
    assert ids(target / BTC) == [1, 2, 3, 4, 11, 12]
    assert part not in files(target)


class Killed(BaseException):
    """What nothing catches."""


def test_an_export_that_is_killed_before_it_is_noted_is_done_again(sink, target, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(job, "_write_state", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            exported(sink, target, "--kinds", "trade")
    assert list((target / "_export").rglob("*.json")) == []
    (target / "trade" / ".2026-11-27-7.parquet.new").write_bytes(b"of another attempt")
    assert exported(sink, target) == 0
    assert ids(target / BTC) == [1, 2, 3, 4]
    assert len(files(target)) == 4
    assert list(target.rglob("*.new")) == []


@pytest.mark.parametrize("placed", [0, 1])
def test_an_export_that_is_killed_while_files_get_their_names_is_completed(
    sink, target, monkeypatch, placed
):
    done = []

    def killed(path: Path) -> None:
        if len(done) == placed:
            raise Killed
        done.append(path)
        parquet.place(path)

    with monkeypatch.context() as patch:
        patch.setattr(job, "place", killed)
        with pytest.raises(Killed):
            exported(sink, target, "--kinds", "trade")
    assert exported(sink, target) == 0
    assert ids(target / BTC) == [1, 2, 3, 4]
    assert len(files(target)) == 4
    assert list(target.rglob("*.new")) == []


def test_what_was_noted_is_completed_though_it_is_moved_away(tmp_path, target, monkeypatch):
    """Killed as a day with one file more takes the place of what was there, and then moved away."""
    write(tmp_path, "trade", trades([1, 2]), name=FIRST)
    assert exported(tmp_path, target) == 0
    write(tmp_path, "trade", trades([3, 4]), name=SECOND)
    with monkeypatch.context() as patch:
        patch.setattr(job, "place", lambda _: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            exported(tmp_path, target)
    assert ids(target / BTC) == [1, 2]
    (tmp_path / "trade" / FIRST).unlink()
    assert exported(tmp_path, target) == 0
    assert files(target) == [BTC]
    assert ids(target / BTC) == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["trade_id", "record_id"])
def test_a_file_of_another_schema_is_named(tmp_path, target, capsys, name):
    path = write(tmp_path, "trade", trades([1]), name=FIRST)
    path.write_bytes(path.read_bytes().replace(f'"{name}"'.encode(), f'"{name[::-1]}"'.encode()))
    (tmp_path / "manifest" / "trade.jsonl").unlink()
    assert exported(tmp_path, target) == 3
    assert "trade 2026-11-27: not exported: " in capsys.readouterr().err
    assert files(target) == []


def test_an_older_file_has_the_defaults_of_what_it_has_not(tmp_path, target):
    schema = load_schema("trade")
    older = {**schema, "fields": [one for one in schema["fields"] if one["name"] != "source"]}
    (data,) = encoded("trade", trades([1]))
    content = header(older, "null", SYNC) + block([data[:-1]], "null", SYNC)
    (tmp_path / "trade").mkdir()
    (tmp_path / "trade" / FIRST).write_bytes(content)
    assert exported(tmp_path, target) == 0
    assert ids(target / BTC, "source") == ["live"]
    content = header(older, "null", SYNC) + block([data], "null", SYNC)
    (tmp_path / "trade" / SECOND).write_bytes(content)
    assert exported(tmp_path, target) == 3  # a byte is left
    assert ids(target / BTC) == [1]


def test_an_interrupt_is_no_traceback(sink, target, monkeypatch, capsys):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(parquet.os, "replace", interrupted)
    assert exported(sink, target) == 130
    assert "stopped" in capsys.readouterr().err


def test_a_failure_leaves_what_was_there(sink, target, capsys):
    assert exported(sink, target) == 0
    write(sink, "trade", trades([11]), name="20261127T020000Z-000005.avro")
    path = write(sink, "trade", trades([12]), name="20261127T030000Z-000006.avro")
    path.write_bytes(path.read_bytes()[:-1])
    (sink / "manifest" / "trade.jsonl").unlink()  # which would tell it, too
    assert exported(sink, target) == 3
    told = capsys.readouterr().err
    assert "trade 2026-11-27: not exported" in told
    assert "ends within a block" in told
    assert ids(target / BTC) == [1, 2, 3, 4]
    assert list(target.rglob("*.new")) == []


def test_a_file_that_was_changed_is_not_exported(sink, target, capsys):
    path = sink / "trade" / FIRST
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert exported(sink, target) == 3
    assert "is not what was written" in capsys.readouterr().err
    days = {name.split("/")[1] for name in files(target) if name.startswith("trade/")}
    assert days == {"date=2026-11-28"}


@pytest.mark.parametrize(("records", "expected"), [([5, 3, 4], [3, 4, 5]), ([3, 3, 4], [3, 3, 4])])
def test_what_is_out_of_order_is_sorted(tmp_path, target, records, expected):
    write(tmp_path, "trade", trades(records), name=FIRST)
    assert exported(tmp_path, target) == 0
    assert ids(target / BTC) == expected


def test_ids_that_began_anew_come_after_the_others():
    old, new = "binance:spot:A:trade:900", "binance:spot:A:trade:1795784389:1"
    assert parquet.place_of(old)[1] < parquet.place_of(new)[1]
    assert parquet.place_of("binance:spot:A:trade:gap:5-9") == ("A:trade", ())
    later, earlier = "binance:spot:A:kline_1m:60:61", "binance:spot:A:kline_1m:60:7"
    assert parquet.place_of(earlier)[1] < parquet.place_of(later)[1]


def test_partitions_as_the_user_says(sink, target, capsys):
    assert exported(sink, target, "--partition", "date", "--kinds", "trade") == 0
    day = target / "trade" / "date=2026-11-27" / "2026-11-27-0.parquet"
    assert ids(day, "symbol") == ["BTCUSDT"] * 2 + ["ETHUSDT"] * 2 + ["BTCUSDT"] * 2
    assert exported(sink, target, "--partition", "symbol") == 3
    assert "is partitioned by date: expected the same --partition" in capsys.readouterr().err


def test_a_symbol_leaves_no_directory(tmp_path, target):
    write(tmp_path, "trade", trades([1], symbol="../../X"), name=FIRST)
    assert exported(tmp_path, target) == 0
    assert files(target) == ["trade/date=2026-11-27/symbol=..%2F..%2FX/2026-11-27-0.parquet"]


def test_only_whole_days(sink, target, monkeypatch):
    class Clock:
        @staticmethod
        def now(zone):
            return datetime(2026, 11, 28, 12, tzinfo=zone)

    monkeypatch.setattr("streamer.export.command.datetime", Clock)
    assert exported(sink, target, "--whole-days") == 0
    assert {name.split("/")[1] for name in files(target)} == {"date=2026-11-27"}


def test_many_rows_become_row_groups(tmp_path, target, monkeypatch):
    monkeypatch.setattr(parquet, "CONVERTED_BYTES", 1)
    monkeypatch.setattr(parquet, "ROW_GROUP", 100)
    blocks = [[event("trade", n) for n in range(start, start + 25)] for start in range(0, 500, 25)]
    write(tmp_path, "trade", *blocks, name=FIRST)
    assert exported(tmp_path, target) == 0
    assert pyarrow.parquet.read_metadata(target / BTC).num_row_groups == 5
    assert ids(target / BTC) == list(range(500))


def test_what_waits_for_full_row_groups_is_bounded(tmp_path, target, monkeypatch):
    monkeypatch.setattr(parquet, "CONVERTED_BYTES", 1)
    monkeypatch.setattr(parquet, "WAITING_BYTES", 10_000)
    blocks = [[event("trade", n) for n in range(start, start + 25)] for start in range(0, 500, 25)]
    write(tmp_path, "trade", *blocks, name=FIRST)
    assert exported(tmp_path, target) == 0
    assert 2 < pyarrow.parquet.read_metadata(target / BTC).num_row_groups < 20
    assert ids(target / BTC) == list(range(500))


def test_usage_and_nothing(sink, target, tmp_path, capsys, monkeypatch):
    assert exported(tmp_path / "nowhere", target) == 4
    assert "no complete Avro files" in capsys.readouterr().err
    assert exported(sink, target, "--kinds", "trade,quotes") == 2
    assert "--kinds quotes: expected some of trade, aggTrade" in capsys.readouterr().err
    assert exported(sink, target, "--kinds", "ticker") == 4
    assert "no complete Avro files of ticker;" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        exported(sink, target, "--partition", "price")
    assert "expected date, symbol, both or none" in capsys.readouterr().err
    assert exported(sink, target, "--config", str(tmp_path / "none.toml")) == 2
    assert "none.toml" in capsys.readouterr().err
    with (target / "_export" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert exported(sink, target) == 3
    assert "another export writes there" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert exported(sink, tmp_path / "file") == 3
    assert f"{tmp_path / 'file'}" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert exported(sink, target) == 2
    assert "pip install" in capsys.readouterr().err


def test_a_state_that_cannot_be_read_is_told(sink, target, capsys):
    assert exported(sink, target) == 0
    (target / "_export" / "trade" / "2026-11-27.json").write_text("{")
    assert exported(sink, target) == 3
    assert "remove it and the day's files to export it again" in capsys.readouterr().err


def test_files_of_several_streamers_with_the_same_name(tmp_path, target, capsys):
    root = tmp_path / "data"
    write(root, "trade", trades([1, 2]), name=FIRST)
    write(root / "streamer-1", "trade", trades([3]), name=SECOND)
    write(root / "streamer-2", "trade", trades([7], symbol="ETHUSDT"), name=SECOND)
    assert exported(root, target) == 0
    assert ids(target / BTC) == [1, 2, 3]
    assert ids(target / BTC.replace("BTCUSDT", "ETHUSDT")) == [7]
    capsys.readouterr()
    assert exported(root, target) == 0
    assert capsys.readouterr().out == "", "all of it is exported"
    write(root / "streamer-3", "trade", trades([9], symbol="BNBUSDT"), name=SECOND)
    assert exported(root, target) == 0
    assert ids(target / BTC.replace("BTCUSDT", "BNBUSDT")) == [9]
