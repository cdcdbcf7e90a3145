"""The whole command on files, from archives: no process, no socket."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from streamer.__main__ import main as streamer
from streamer.audit.command import main as audit
from streamer.backfill.command import FILLED, LEFT, main
from streamer.backfill.plan import Holding
from streamer.backfill.stop import Stop, Stopped
from streamer.backfill.target import FilesTarget
from streamer.config import SinkConfig
from streamer.data.events import GapRecord
from streamer.data.kinds.trade import Trade
from streamer.routes import Routes
from streamer.sink_command import NOTHING, USAGE
from streamer.sinks.files import FilesSink

_spec = importlib.util.spec_from_file_location("archives", Path(__file__).with_name("archives.py"))
archives = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(archives)
DAY_US, NAME, trade_row, write = (
    archives.DAY_US, archives.NAME, archives.trade_row, archives.write
)  # fmt: skip
LOST = range(11, 6_000)  # declared missing: more than two blocks


def trade(number: int, source: Any = "live", price: str = "1.5") -> Trade:
    time_us = DAY_US + number * 1000
    return Trade("trade", time_us, "BTCUSDT", number, price, "2", time_us, True, source)


@pytest.fixture
def data(tmp_path) -> Path:
    """A sink with 20 trades, and a declared gap between them."""
    directory = tmp_path / "data"
    routes = Routes(("trade",), ("BTCUSDT",))
    (route,) = routes
    sink = FilesSink(SinkConfig(directory=directory), (*routes, *routes.gaps.values()))
    for number in (*range(1, 11), *range(6_000, 6_010)):
        if number == 6_000:
            gap = GapRecord(11, "BTCUSDT", "trade", "lagging", 11, 5_999, len(LOST))
            sink.put(routes.gaps["BTCUSDT"], gap, DAY_US)
        sink.put(route, trade(number), DAY_US + number * 1000)
    assert sink.flush(10.0) == 0
    sink.close()
    return directory


@pytest.fixture
def store(tmp_path) -> Path:
    directory = tmp_path / "archives"
    directory.mkdir()
    write(directory, [trade_row(number) for number in range(1, 6_010)])
    return directory


def records(data: Path, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted((data / "backfill" / kind).glob("*.avro"), key=lambda path: path.name[-11:]):
        with path.open("rb") as file:
            found += fastavro.reader(file)
    return found


def run(data: Path, store: Path, *more: str) -> int:
    return main(["--from-archive", str(store), "--gaps", "--set", f"sink.directory={data}", *more])


def audited(data: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    code = audit([str(data), "--json", "--no-copies"])
    outcome = json.loads(capsys.readouterr().out)
    assert (code, outcome["explained"]) == (0, True), outcome
    return outcome["streams"][0]


def test_a_gap_is_filled_and_closed_once(data, store, capsys):
    assert run(data, store) == FILLED
    found = records(data, "trade")
    assert [one["trade_id"] for one in found] == list(LOST)
    assert {one["source"] for one in found} == {"archive"}
    (closing,) = records(data, "gap")
    assert closing["record_id"] == "binance:spot:BTCUSDT:trade:gap:filled:11-5999"
    assert (closing["reason"], closing["missing"]) == ("filled", len(LOST))
    assert run(data, store) == FILLED  # nothing is done again
    assert (len(records(data, "trade")), len(records(data, "gap"))) == (len(LOST), 1)
    finding = audited(data, capsys)
    assert (finding["filled"], finding["declared_missing"]) == (len(LOST), 0)


@pytest.mark.parametrize("torn_bytes", [0, 100])
def test_a_killed_run_is_gone_on_with(data, store, capsys, torn_bytes):
    target = FilesTarget(SinkConfig(directory=data), print)
    holding = Holding("trade", "BTCUSDT")
    for number in list(LOST)[:2_500]:  # one block is written, the rest is not
        target.put(holding, trade(number, "archive"))
    target.close()
    (left,) = (data / "backfill" / "trade").iterdir()
    assert left.name.endswith(".avro.open")
    with left.open("ab") as file:
        file.write(b"\xc8\x01" * (torn_bytes // 2))
    assert run(data, store) == FILLED
    assert [one["trade_id"] for one in records(data, "trade")] == list(LOST)
    assert audited(data, capsys)["filled"] == len(LOST)


def test_a_run_that_is_killed_before_the_gap_is_closed_has_it_closed_by_the_next(data, store):
    target = FilesTarget(SinkConfig(directory=data), print)
    for number in LOST:
        target.put(Holding("trade", "BTCUSDT"), trade(number, "archive"))
    target.finish()
    target.close()
    assert not records(data, "gap")
    assert run(data, store) == FILLED
    assert [one["missing"] for one in records(data, "gap")] == [len(LOST)]


def test_whoever_asks_to_stop_keeps_what_is_stored(data, store, capsys, monkeypatch):
    checks = iter(range(1 << 30))

    def check(self: Stop) -> None:
        if next(checks) == 9_000:  # while it is written
            raise Stopped

    monkeypatch.setattr(Stop, "check", check)
    assert run(data, store) == 130
    some = len(records(data, "trade"))
    assert 0 < some < len(LOST)
    assert run(data, store) == FILLED
    assert [one["trade_id"] for one in records(data, "trade")] == list(LOST)
    assert sum(one["missing"] for one in records(data, "gap")) == len(LOST)


def test_a_time_is_taken_from_an_archive_and_the_rest_is_left(data, store):
    begin, end = "2026-11-27T00:00:00.020", "2026-11-27T00:00:00.030"
    arguments = ["--from-archive", str(store), "--from", begin, "--to", end]
    assert main([*arguments, "--set", f"sink.directory={data}"]) == FILLED
    assert [one["trade_id"] for one in records(data, "trade")] == list(range(20, 30))


def test_an_archive_that_contradicts_what_is_stored_leaves_nothing(data, store, capsys):
    write(store, [trade_row(number, price="1.6") for number in range(1, 6_010)])
    assert run(data, store) == LEFT
    assert "price is not what the stream told" in capsys.readouterr().err
    assert not list((data / "backfill").rglob("*.avro*"))


def test_a_bad_line_at_the_end_leaves_nothing_and_the_next_archive_is_taken(data, store, capsys):
    write(store, [*map(trade_row, range(1, 6_010)), "nonsense"])
    rows = [f"{number},1.5,2,3,{DAY_US + number * 1000},True,True" for number in LOST]
    write(store, rows, "ETHUSDT-trades-2026-11-27.zip")
    assert run(data, store) == LEFT
    assert f"{NAME}: line 6010: 1 columns; expected 7" in capsys.readouterr().err
    assert not list((data / "backfill").rglob("*.avro*"))
    (store / NAME).unlink()
    assert main(["--from-archive", str(store), "--set", f"sink.directory={data}"]) == FILLED
    assert {one["symbol"] for one in records(data, "trade")} == {"ETHUSDT"}


def test_two_at_once_are_one_too_many(data, store, capsys):
    target = FilesTarget(SinkConfig(directory=data), print)
    assert run(data, store) == LEFT
    assert "another back-fill is at work" in capsys.readouterr().err
    target.close()


def test_a_sink_that_cannot_be_read_is_not_written_to(data, store, capsys):
    (path,) = (data / "trade").glob("*.avro")
    path.write_bytes(path.read_bytes()[:-30])
    assert run(data, store) == LEFT
    assert "audit` lists all of it" in capsys.readouterr().err
    assert not list((data / "backfill").rglob("*.avro*"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--symbol", "BTCUSDT"], "expected --gaps, --from-archive, or --stream, --from, --to"),
        (["--gaps", "--stream", "depth"], "expected trade, aggTrade or kline_"),
        (["--gaps", "--from", "2026-11-27"], "not for --gaps over REST"),
        (["--from-archive", ".", "--from", "2026-11-28", "--to", "2026-11-27"], "before --to"),
        (["--from-archive", ".", "--from", "noon"], "expected a date"),
    ],
)
def test_usage(arguments, expected, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == USAGE
    assert expected in capsys.readouterr().err


def test_what_is_not_there_is_said(data, store, tmp_path, capsys):
    assert run(tmp_path / "none", store) == NOTHING
    assert "no such directory; expected a sink.directory" in capsys.readouterr().err
    assert run(data, tmp_path / "none") == NOTHING
    assert "no such directory; expected one of archives" in capsys.readouterr().err
    assert run(data, store, "--symbol", "ETHUSDT") == LEFT
    assert "no archive of what is asked for" in capsys.readouterr().err
    (store / "x.zip").write_bytes(b"")
    assert run(data, store) == FILLED
    assert "x.zip: passed over" in capsys.readouterr().err
    assert streamer(["backfill", "--gaps", "--set", "sink.kind=null"]) == USAGE


def test_days_and_gaps_that_no_archive_is_of_are_named(data, store, capsys):
    time = ["--from", "2026-11-26", "--to", "2026-11-28", "--symbol", "BTCUSDT"]
    arguments = ["--from-archive", str(store), *time, "--set", f"sink.directory={data}"]
    assert main(arguments) == LEFT
    named = "trade BTCUSDT: no archive of 2026-11-26 00:00:00 to 2026-11-26 23:59:59"
    assert named in capsys.readouterr().err
    write(store, [trade_row(number) for number in range(1, 5_000)])
    for path in (data / "backfill").rglob("*.avro"):
        path.unlink()
    assert run(data, store) == LEFT
    assert "1,000 of recorded gaps are in no archive" in capsys.readouterr().err
