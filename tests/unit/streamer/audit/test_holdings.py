"""What an audit tells of files that were removed or changed after the sink had written them."""

from __future__ import annotations

import json
import shutil
import time
from datetime import UTC, datetime, timedelta

import pytest

from streamer.__main__ import main
from streamer.config import SinkConfig
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.trade import Trade
from streamer.routes import Routes
from streamer.sinks.files import FilesSink
from streamer.sinks.manifest import manifest_path, read

NOW_US = time.time_ns() // 1000
SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture
def directory(tmp_path):
    """Three complete files of each kind, as the sink itself writes them."""
    routes = Routes(("trade", "bookTicker"), SYMBOLS)
    sink = FilesSink(SinkConfig(directory=tmp_path), (*routes, *routes.gaps.values()))
    for number in range(1, 10):
        for symbol in SYMBOLS:
            trade = routes.by_name[f"{symbol.lower()}@trade"]
            event = Trade("trade", NOW_US, symbol, number, "1.25", "2", NOW_US, True)
            if not trade.sequence.advance(number):
                trade.sequence.take(number, (event, NOW_US), 0.0)
            sink.put(trade, event, NOW_US)
            ticker = routes.by_name[f"{symbol.lower()}@bookTicker"]
            if not ticker.sequence.advance(number * 7):
                ticker.sequence.take(number * 7, (event, NOW_US), 0.0)
            sink.put(ticker, BookTicker(number * 7, symbol, "1", "2", "3", "4"), NOW_US)
        if number % 3 == 0:
            sink.flush(5.0)
            for kind in ("trade", "bookTicker"):
                sink._finish(sink._kinds[kind])
    sink.close()
    return tmp_path


def audited(directory, *arguments):
    return main(["audit", str(directory), *arguments])


def files(directory, kind):
    return sorted((directory / kind).glob("*.avro"), key=lambda path: path.name[-11:])


def test_what_the_sink_wrote_is_explained(directory, capsys):
    assert audited(directory, "--symbols", "BTCUSDT,ethusdt") == 0
    assert audited(directory / "trade") == 0
    capsys.readouterr()
    assert audited(directory, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["explained"] is True
    assert (document["problems"], document["not_judged"]) == ([], [])


@pytest.mark.parametrize("kind", ["trade", "bookTicker"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_removed_file_is_told_wherever_it_was(directory, capsys, kind, index):
    path = files(directory, kind)[index]
    path.unlink()
    assert audited(directory) == 3
    assert f"{path}: is gone, with 6 records" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["trade", "bookTicker"])
def test_a_removed_kind_is_told(directory, capsys, kind):
    shutil.rmtree(directory / kind)
    assert audited(directory) == 3
    assert f"{kind} BTCUSDT: no records, though the positions name" in capsys.readouterr().out
    shutil.rmtree(directory / "manifest")
    assert audited(directory) == 3


def test_everything_removed_is_told(directory):
    for kind in ("trade", "bookTicker", "gap"):
        shutil.rmtree(directory / kind)
    assert audited(directory) == 3


def test_a_last_file_that_is_gone_is_told_without_a_manifest_too(directory, capsys):
    shutil.rmtree(directory / "manifest")
    files(directory, "trade")[2].unlink()
    assert audited(directory) == 3
    assert "trade BTCUSDT: ends at 6, though the positions name 9" in capsys.readouterr().out


def test_without_a_manifest_it_is_not_judged_which_is_not_explained(directory, capsys):
    shutil.rmtree(directory / "manifest")
    files(directory, "trade")[0].unlink()
    assert audited(directory) == 4
    said = capsys.readouterr().out
    assert f"not judged: {directory}/bookTicker: there is no manifest" in said
    assert said.rstrip().endswith("what can be judged is explained")


@pytest.mark.parametrize("kind", ["trade", "bookTicker"])
def test_content_that_was_changed_in_place_is_told(directory, capsys, kind):
    path = files(directory, kind)[1]
    content = bytearray(path.read_bytes())
    content[-30] ^= 1  # in the last record: a price, a quantity
    path.write_bytes(content)
    assert audited(directory) == 3
    assert f"{path}: is not what was written" in capsys.readouterr().out


def test_an_id_that_is_not_its_records_is_told_without_a_checksum_too(directory, capsys):
    shutil.rmtree(directory / "manifest")
    path = files(directory, "trade")[1]
    path.write_bytes(path.read_bytes().replace(b"BTCUSDT:trade:5", b"BTCUSDT:trade:4"))
    assert audited(directory) == 3
    assert "trade BTCUSDT: 1 whose record_id is not theirs" in capsys.readouterr().out


def test_a_file_that_the_sink_did_not_write_is_not_judged(directory, capsys):
    first = files(directory, "bookTicker")[0]
    shutil.copy(first, first.with_name("other-000009.avro"))
    assert audited(directory) == 4
    assert "other-000009.avro: has no line in the manifest" in capsys.readouterr().out


def test_a_manifest_that_cannot_be_read_is_not_judged(directory):
    path = manifest_path(directory / "trade")
    path.write_bytes(b"[1]\n" + path.read_bytes())
    assert audited(directory) == 4


def test_half_a_line_at_the_end_is_what_a_crash_leaves(directory):
    path = manifest_path(directory / "trade")
    path.write_bytes(path.read_bytes() + b'{"file": "x')
    assert audited(directory) == 0
    assert len(read(path)[0]) == 3


def test_what_was_moved_away_is_left_out_by_time(directory):
    for kind in ("trade", "bookTicker"):
        for path in files(directory, kind):
            path.unlink()
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert audited(directory) == 3
    assert audited(directory, "--from", tomorrow) == 4  # nothing is left to read


def test_only_the_symbols_and_the_time_that_are_asked_for_are_judged(directory, capsys):
    assert audited(directory, "--symbols", "BTCUSDT,SOLUSDT") == 3
    said = capsys.readouterr().out
    assert "trade SOLUSDT: no records" in said
    assert "ETHUSDT" not in said
    assert audited(directory, "--symbols", "BTCUSDT", "--to", "2020-01-01") == 3
    with pytest.raises(SystemExit) as ended:
        audited(directory, "--from", "soon")
    assert ended.value.code == 2


def test_a_file_that_a_crash_left_gets_its_line_from_the_next_start(directory):
    last = files(directory, "trade")[2]
    content = last.read_bytes()
    last.unlink()
    last.with_name(last.name + ".open").write_bytes(content + b"\x02\x80\x01torn")
    path = manifest_path(directory / "trade")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:20])  # torn, too
    assert audited(directory) == 0  # in progress

    FilesSink(SinkConfig(directory=directory), tuple(Routes(("trade",), SYMBOLS))).close()

    assert last.read_bytes() == content
    entries, spoilt = read(path)
    assert (len(entries), spoilt) == (3, 1)
    assert entries[last.name].records == 6
