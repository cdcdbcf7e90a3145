"""Where the files sink goes on: what it writes down, and what it finds without that."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from streamer.config import SinkConfig
from streamer.data.events import GapRecord
from streamer.data.kinds.trade import Trade
from streamer.order.positions import Position
from streamer.routes import Routes
from streamer.sinks import file_positions
from streamer.sinks.files import FilesSink
from tests.unit.streamer.payloads import NOW_US

BTC, ETH, BNB = "btcusdt@trade", "ethusdt@trade", "bnbusdt@trade"
PATIENCE_SECONDS = 10.0


class Run:
    """A sink as the feed drives it: ids go through the sequences."""

    def __init__(self, directory: Path, **changes) -> None:
        self.routes = Routes(("trade",), ("BTCUSDT", "ETHUSDT", "BNBUSDT"))
        targets = (*self.routes, *self.routes.gaps.values())
        max_age_seconds = changes.pop("max_age_seconds", 3600.0)
        config = SinkConfig(directory=directory, **changes)
        self.sink = FilesSink(config, targets, max_age_seconds=max_age_seconds)
        for name, position in self.sink.positions().items():
            if name in self.routes.by_name:
                self.routes.by_name[name].resume(position)

    def put(self, name: str, *numbers: int) -> None:
        route = self.routes.by_name[name]
        for number in numbers:
            event = Trade("trade", NOW_US, route.symbol, number, "1", "2", NOW_US, True)
            if not route.sequence.advance(number):
                assert route.sequence.take(number, (event, NOW_US), 0.0)
            self.sink.put(route, event, NOW_US + number)
            route.received_us = NOW_US + number

    def declare(self, symbol: str, first_id: int, last_id: int) -> None:
        event = GapRecord(first_id, symbol, "trade", "empty", first_id, last_id, 1)
        self.sink.put(self.routes.gaps[symbol], event, NOW_US)

    def write(self) -> None:
        assert self.sink.flush(PATIENCE_SECONDS) == 0

    def kill(self) -> None:
        """Leave everything as it is on the disk."""
        for pending in self.sink._kinds.values():
            pending.writer._fd = None

    def stop(self) -> None:
        self.write()
        self.sink.close()


def found(directory: Path, **changes) -> dict[str, Position]:
    run = Run(directory, **changes)
    run.sink.close()
    return run.sink.positions()


def at(number: int) -> Position:
    return Position(number, NOW_US + number)


def remove_files(directory: Path) -> None:
    for path in directory.glob("*/*.avro"):
        path.unlink()


def test_an_empty_directory_has_no_positions_and_gets_none(tmp_path):
    assert found(tmp_path) == {}
    assert not (tmp_path / "positions").exists()


@pytest.mark.parametrize("end", [Run.stop, Run.kill])
def test_the_last_record_of_each_route_is_found(tmp_path, end):
    run = Run(tmp_path)
    run.put(BTC, 1, 2, 3)
    run.put(ETH, 70)
    run.write()
    run.put(BTC, 4)
    run.write()
    end(run)

    assert found(tmp_path) == {BTC: at(4), ETH: at(70)}


def test_after_a_stop_the_files_are_not_needed(tmp_path):
    run = Run(tmp_path)
    run.put(BTC, 1, 2, 3)
    run.stop()
    remove_files(tmp_path)

    assert found(tmp_path) == {BTC: at(3)}


def test_each_completed_file_may_be_moved_away(tmp_path):
    run = Run(tmp_path, rollover_after=0.001)
    run.put(ETH, 70)
    for number in range(1, 4):
        run.put(BTC, number)
        run.write()
        run.sink.poll(time.monotonic() + 1)  # another file is due
    run.sink._settle(time.monotonic() + PATIENCE_SECONDS)
    remove_files(tmp_path)
    run.put(BTC, 4)
    run.write()
    run.kill()

    again = Run(tmp_path)
    assert again.sink.positions() == {BTC: at(4), ETH: at(70)}
    again.stop()
    names = [path.name for path in (tmp_path / "trade").iterdir()]
    assert [name.endswith("-000004.avro") for name in names] == [True]


def test_numbers_go_on_when_all_files_are_gone(tmp_path):
    run = Run(tmp_path)
    run.put(BTC, 1)
    run.stop()
    remove_files(tmp_path)
    run = Run(tmp_path)
    run.put(BTC, 2)
    run.write()
    run.kill()

    assert [path.name.rpartition("-")[2] for path in (tmp_path / "trade").iterdir()] == [
        "000002.avro.open"
    ]
    assert found(tmp_path) == {BTC: at(2)}


def test_what_was_not_written_does_not_count(tmp_path):
    run = Run(tmp_path)
    run.put(BTC, 1)
    run.write()
    run.put(BTC, 2)
    run.sink.close()

    assert found(tmp_path) == {BTC: at(1)}


def test_a_torn_end_does_not_count(tmp_path):
    run = Run(tmp_path)
    run.put(BTC, 1)
    run.write()
    run.put(BTC, 2)
    run.write()
    run.kill()
    (path,) = (tmp_path / "trade").iterdir()
    os.truncate(path, path.stat().st_size - 1)

    assert found(tmp_path) == {BTC: at(1)}


def test_a_declared_gap_counts_when_nothing_lies_below_it(tmp_path):
    run = Run(tmp_path)
    run.put(BTC, 1)
    run.put(ETH, 70)
    run.declare("BTCUSDT", 2, 5)
    run.declare("ETHUSDT", 72, 75)  # 71 was on its way
    run.write()
    run.kill()

    assert found(tmp_path) == {BTC: Position(5, NOW_US + 1), ETH: at(70)}


def test_a_gap_is_in_its_file_before_what_follows_it(tmp_path, monkeypatch):
    run = Run(tmp_path)
    run.put(BTC, 1)
    run.declare("BTCUSDT", 2, 5)
    written = []
    for pending in run.sink._kinds.values():
        append = pending.writer.append
        monkeypatch.setattr(
            pending.writer, "append",
            lambda *block, kind=pending.kind, append=append: (
                written.append(kind), append(*block)
            )[1],
        )  # fmt: skip
    run.write()
    assert written == ["gap", "trade"]
    run.sink.close()


def test_while_a_gap_cannot_be_written_nothing_that_follows_is(tmp_path, monkeypatch):
    run = Run(tmp_path)
    run.put(BTC, 1)
    run.declare("BTCUSDT", 2, 5)

    def refuse(*_block):
        raise OSError(28, "full")

    monkeypatch.setattr(run.sink._kinds["gap"].writer, "append", refuse)
    run.sink.poll(time.monotonic())
    run.sink.poll(time.monotonic() + 1)
    assert run.sink.counts().acknowledged_total == 0
    run.sink.close()
    assert found(tmp_path) == {}


def test_without_positions_the_latest_files_are_searched(tmp_path):
    run = Run(tmp_path)
    run.put(ETH, 70)
    run.stop()
    (old,) = (tmp_path / "trade").iterdir()
    run = Run(tmp_path)
    run.put(BTC, 1)
    run.stop()
    positions = tmp_path / "positions" / "trade.json"
    positions.write_text("nothing of ours")
    assert found(tmp_path) == {BTC: at(1), ETH: at(70)}

    positions.unlink()
    os.utime(old, (time.time() - 7200,) * 2)
    assert found(tmp_path) == {BTC: at(1)}


def test_the_search_has_an_end(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(file_positions, "SEARCHED_BYTES", 1)
    for name in (ETH, BTC):
        run = Run(tmp_path)
        run.put(name, 1)
        run.stop()
    (tmp_path / "positions" / "trade.json").unlink()

    assert found(tmp_path) == {BTC: at(1)}
    assert "only the latest files are searched" in caplog.text


def test_a_spoilt_file_is_passed_over_and_told_of(tmp_path, caplog):
    run = Run(tmp_path)
    run.put(BTC, 1)
    run.stop()
    (tmp_path / "positions" / "trade.json").unlink()
    (tmp_path / "trade" / "x-000002.avro").write_text("no Avro")

    assert found(tmp_path) == {BTC: at(1)}
    assert "cannot be read, as if it were not there" in caplog.text


def test_a_route_that_left_goes_on_where_it_ended(tmp_path):
    run = Run(tmp_path)
    run.put(BTC, 1)
    run.put(ETH, 70, 71)
    eth = run.routes.by_name[ETH]
    run.sink.remove(eth)
    assert run.sink.positions()[ETH] == at(71)
    run.put(BTC, 2)
    run.write()
    run.kill()

    assert found(tmp_path) == {BTC: at(2), ETH: at(71)}


def test_positions_that_cannot_be_written_cost_only_time(tmp_path, caplog):
    run = Run(tmp_path)
    run.put(BTC, 1)
    run.stop()
    (tmp_path / "positions" / "trade.json").unlink()
    (tmp_path / "positions").rmdir()
    (tmp_path / "positions").write_text("in the way")

    run = Run(tmp_path)
    assert "cannot be" in caplog.text
    run.put(BTC, 2)
    run.stop()
    assert [path.name[-5:] for path in (tmp_path / "trade").iterdir()] == [".avro"] * 2
    assert found(tmp_path) == {BTC: at(2)}


def test_the_file_says_what_it_is(tmp_path):
    run = Run(tmp_path)
    run.put(BTC, 1)
    run.stop()

    document = json.loads((tmp_path / "positions" / "trade.json").read_text())
    assert len(document.pop("sha256")) == 64
    assert document == {
        "version": 1,
        "next_file": 2,
        "positions": {BTC: {"last_id": 1, "received_us": NOW_US + 1, "epoch": 0}},
    }


def edited(tmp_path, **changes) -> None:
    """Change what is written down, and leave its checksum unless it is among the changes."""
    path = tmp_path / "positions" / "trade.json"
    document = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not ...}))


FAR = {BTC: {"last_id": 9 * 10**18, "received_us": NOW_US}}
FAR_CHECKSUM = file_positions._checksum(2, {BTC: Position(9 * 10**18, NOW_US)})


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": FAR},  # the checksum does not fit
        {"positions": FAR, "sha256": ...},  # there is none: the last record contradicts
        {
            "positions": FAR,
            "sha256": file_positions._checksum(2, {BTC: Position(*FAR[BTC].values())}),
        },
        {"next_file": 9 * 10**18, "sha256": ...},
        {"positions": {BTC: {"last_id": 10**30, "received_us": 1}}, "sha256": ...},
        {"positions": {BTC: {"last_id": -5, "received_us": 1}}, "sha256": ...},
        {"positions": {BTC: {"last_id": 5, "received_us": 9 * 10**18}}, "sha256": ...},
        {"positions": 7},
        {"positions": {}},
    ],
)
def test_what_is_written_down_is_believed_only_where_nothing_contradicts(tmp_path, caplog, changes):
    run = Run(tmp_path)
    run.put(BTC, 1, 2, 3)
    run.stop()
    edited(tmp_path, **changes)

    assert found(tmp_path) == {BTC: at(3)}
    assert any(record.levelname == "ERROR" for record in caplog.records)


def test_a_position_at_the_end_of_a_declared_gap_is_believed(tmp_path, caplog):
    run = Run(tmp_path)
    run.put(BTC, 1, 2, 3)
    run.declare("BTCUSDT", 4, 9)
    run.declare("BTCUSDT", 10, 12)
    run.stop()
    route = {BTC: {"last_id": 12, "received_us": NOW_US}}
    edited(tmp_path, positions=route, sha256=...)

    assert found(tmp_path)[BTC].last_id == 12
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_positions_of_before_there_were_checksums_are_believed(tmp_path, caplog):
    run = Run(tmp_path)
    run.put(BTC, 1, 2, 3)
    run.stop()
    edited(tmp_path, sha256=...)
    remove_files(tmp_path)

    assert found(tmp_path) == {BTC: at(3)}
    assert not caplog.records
