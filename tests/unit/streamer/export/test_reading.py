"""The audit of exported Parquet files."""

from __future__ import annotations

import json
import sys

import pyarrow.parquet
import pytest

from streamer.__main__ import main
from streamer.data.kinds.depth import Depth
from streamer.data.kinds.depth_snapshot import DepthSnapshot
from streamer.export.job import STATE
from tests.unit.streamer.audit.stored import gap, trades, write

FIRST, SECOND = "20261127T000000Z-000001.avro", "20261128T000000Z-000002.avro"
CHINESE = "币安人生USDT"
LEVELS = [("10.5", "1"), ("9.000000000000000001", "2")]


@pytest.fixture
def sink(tmp_path):
    """Two days with a recorded gap, a copy, two streams of a kind, and a book."""
    root = tmp_path / "data"
    write(root, "trade", trades([1, 2, 2, 3]), trades([7, 8], symbol=CHINESE), name=FIRST)
    write(root, "trade", trades([6, 7]), name=SECOND)
    write(root, "gap", [gap(4, 5)], name=FIRST)
    change = Depth("depthUpdate", 9, "BTCUSDT", 1, 3, LEVELS, [])
    write(root, "depth", [change], name=FIRST)
    write(root, "depth@100ms", [change], name=SECOND)
    write(
        root, "depthSnapshot", [DepthSnapshot(1, "BTCUSDT", "start", 100, LEVELS, [])], name=FIRST
    )
    return root


def audited(path, capsys):
    capsys.readouterr()
    code = main(["audit", str(path), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("partition", ["date,symbol", "symbol", "none"])
def test_it_finds_what_it_finds_in_the_avro_files(sink, tmp_path, capsys, partition):
    target = tmp_path / "parquet"
    arguments = ["export", str(sink), "--output", str(target), "--partition", partition]
    assert main(arguments) == 0
    _, expected = audited(sink, capsys)
    code, found = audited(target, capsys)
    assert code == 0
    assert found["streams"] == expected["streams"]
    assert found["books"] == expected["books"]
    assert found["records"] == expected["records"] == 11
    assert len(found["streams"]) == 5


@pytest.fixture
def target(sink, tmp_path):
    path = tmp_path / "parquet"
    assert main(["export", str(sink), "--output", str(path)]) == 0
    return path


def test_a_file_that_is_gone_is_named(target, capsys):
    (path,) = target.glob("trade/date=2026-11-28/*/*.parquet")
    path.unlink()
    code, found = audited(target, capsys)
    assert (code, found["unreadable"]) == (3, [f"{path}: No such file or directory"])


def test_a_file_of_others_is_named(target, capsys):
    (path,) = target.glob("trade/date=2026-11-28/*/*.parquet")
    table = pyarrow.parquet.read_table(path, partitioning=None)
    pyarrow.parquet.write_table(table.slice(1), path)
    code, found = audited(target, capsys)
    assert code == 3
    assert "were exported" in found["unreadable"][0]
    state = target / STATE / "trade" / "2026-11-28.json"
    noted = json.loads(state.read_text())
    noted["outputs"][0]["bytes"] = path.stat().st_size
    state.write_text(json.dumps(noted))
    code, found = audited(target, capsys)
    assert (code, found["unreadable"]) == (3, [f"{path}: has 1 rows, and 2 were exported"])


@pytest.mark.parametrize("spoilt", ["{", '{"partition": [], "superseded": []}'])
def test_notes_that_say_too_little_are_named(target, capsys, spoilt):
    state = target / STATE / "trade" / "2026-11-28.json"
    state.write_text(spoilt)
    code, found = audited(target, capsys)
    assert code == 3
    assert found["unreadable"][0].startswith(f"{state}: ")


def test_a_column_that_is_not_there_is_named(target, capsys):
    (path,) = target.glob("trade/date=2026-11-28/*/*.parquet")
    table = pyarrow.parquet.read_table(path, partitioning=None)
    pyarrow.parquet.write_table(table.drop_columns(["price"]), path)
    state = target / STATE / "trade" / "2026-11-28.json"
    noted = json.loads(state.read_text())
    noted["outputs"][0]["bytes"] = path.stat().st_size
    state.write_text(json.dumps(noted))
    code, found = audited(target, capsys)
    assert code == 3
    assert found["unreadable"][0].startswith(f"{path}: ")


def test_without_pyarrow_it_is_said(target, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "streamer.export.reading", raising=False)
    assert main(["audit", str(target)]) == 4
    assert "pip install 'pyarrow>=21'" in capsys.readouterr().err


def test_avro_files_beside_it_are_what_is_read(sink, capsys):
    assert main(["export", str(sink), "--output", str(sink)]) == 0
    (path,) = sink.glob("trade/date=2026-11-28/*/*.parquet")
    path.unlink()
    code, found = audited(sink, capsys)
    assert (code, found["unreadable"], found["records"]) == (0, [], 11)
