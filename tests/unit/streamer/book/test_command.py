"""`python -m streamer book`, on files made by hand."""

from __future__ import annotations

import json

import pytest

from streamer.__main__ import main
from streamer.data.kinds.depth import Depth
from streamer.data.kinds.depth_snapshot import DepthSnapshot
from tests.unit.streamer.audit.stored import write

BEGIN_US = 1_795_780_000_000_000  # 2026-11-27T11:46:40
BIDS, ASKS = [("10.50", "1"), ("9", "2")], [("11", "3")]


def change(first_id, last_id, *bids, symbol="BTCUSDT"):
    time_us = BEGIN_US + last_id * 1_000_000
    return Depth("depthUpdate", time_us, symbol, first_id, last_id, list(bids), [])


@pytest.fixture
def records(tmp_path):
    snapshot = DepthSnapshot(1, "BTCUSDT", "start", 100, BIDS, ASKS)
    write(tmp_path, "depthSnapshot", [snapshot])
    changes = [change(1, 2, ("10.50", "4")), change(3, 4, ("10.50", "0")), change(7, 8)]
    write(tmp_path, "depth@100ms", [*changes, change(1, 9, symbol="ETHUSDT")])
    write(tmp_path, "depth", [change(1, 3, ("10.50", "5"))], name="2-000002.avro")
    return tmp_path


def book(records, *arguments):
    return main(["book", str(records), *arguments])


def test_the_book_at_a_time_is_shown_the_best_prices_first(records, capsys):
    assert book(records, "--symbol", "btcusdt", "--at", "2026-11-27T11:46:43") == 0
    assert capsys.readouterr().out.splitlines() == [
        "BTCUSDT after the update 2 of 2026-11-27T11:46:42.000000Z (depth@100ms)",
        "bid quantity   bid  ask  ask quantity",
        "           4  10.5   11             3",
        "           2     9",
        "2 bids and 1 asks are known",
    ]
    assert book(records, "--symbol", "BTCUSDT", "--stream", "depth", "--levels", "1") == 0
    assert "           5  10.5   11             3\n2 bids" in capsys.readouterr().out


def test_machines_get_every_level(records, capsys):
    assert book(records, "--symbol", "BTCUSDT", "--at", "2026-11-27T11:46:42", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "symbol": "BTCUSDT",
        "stream": "depth@100ms",
        "last_update_id": 2,
        "changed_time": "2026-11-27T11:46:42.000000Z",
        "bids": [["10.5", "4"], ["9", "2"]],
        "asks": [["11", "3"]],
        "bids_limit": None,
        "asks_limit": None,
    }


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("--symbol", "BTCUSDT", "--at", "2026-11-27T11:46:46"), 3, "changes 5 to 6 are missing"),
        (("--symbol", "BTCUSDT"), 3, "changes 5 to 6 are missing, and no snapshot came since"),
        (("--symbol", "BTCUSDT", "--at", "2026-11-28"), 3, "the last change of this book is of"),
        (("--symbol", "ETHUSDT"), 3, "no snapshot is there to begin with"),
        (("--symbol", "NONE"), 4, "no changes of a book of NONE"),
        (("--symbol", "BTCUSDT", "--set", "sink.kind=x"), 2, "sink.kind"),
    ],
)
def test_why_there_is_none_is_said(records, capsys, arguments, code, why):
    assert book(records, *arguments) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert why in told.err


def test_wrong_usage_is_refused(records, capsys):
    for arguments in (["--symbol", "A", "--kafka"], ["--symbol", "A", "--at", "noon"], []):
        with pytest.raises(SystemExit) as ended:
            book(records, *arguments)
        assert ended.value.code == 2
    assert "expected a date or a time" in capsys.readouterr().err


def test_a_directory_that_is_none_has_nothing(tmp_path, capsys):
    assert book(tmp_path / "none", "--symbol", "BTCUSDT") == 4
    assert "no changes of a book" in capsys.readouterr().err


def test_a_block_that_cannot_be_read_is_named(records, capsys):
    path = next((records / "depth").glob("*.avro"))
    path.write_bytes(path.read_bytes()[:-1])
    assert book(records, "--symbol", "BTCUSDT", "--stream", "depth") == 4
    assert capsys.readouterr().err.count("ends within a block") == 1
