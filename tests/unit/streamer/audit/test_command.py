from __future__ import annotations

import json
import subprocess
import sys

import pytest

from streamer.__main__ import main
from tests.streaming import ROOT
from tests.unit.streamer.audit.stored import event, gap, trades, write


def test_an_explained_sink_passes(tmp_path, capsys):
    write(tmp_path, "trade", trades([1, 2, 5]), trades([5]))
    write(tmp_path, "gap", [gap(3, 4)])
    assert main(["audit", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "stream", "symbol", "first", "id", "last", "id", "records", "missing", "copies",
        "disorder", "back-filled", "gaps",
    ]  # fmt: skip
    assert lines[1].split() == ["trade", "BTCUSDT", "1", "5", "4", "0", "1", "0", "0", "%", "1"]
    assert lines[2] == "trade BTCUSDT: 1 recorded gap(s), lagging, 2 ids"
    assert lines[3].endswith("all is explained")
    assert main(["audit", "--no-copies", str(tmp_path)]) == 3


@pytest.mark.parametrize(
    "content", [trades([1, 3]), trades([1, 3, 2]), [*trades([1]), event("trade", 1, price="7")]]
)
def test_what_is_not_explained_fails(tmp_path, content):
    write(tmp_path, "trade", content)
    assert main(["audit", str(tmp_path)]) == 3


def test_an_unreadable_file_fails_and_is_named(tmp_path, capsys):
    write(tmp_path, "trade", trades([1]))
    (tmp_path / "other.avro").write_bytes(b"something")
    assert main(["audit", str(tmp_path)]) == 3
    assert f"unreadable: {tmp_path}/other.avro: no Avro container file" in capsys.readouterr().out


def test_for_machines(tmp_path, capsys):
    write(tmp_path, "trade", trades([1, 2, 4]))
    assert main(["audit", "--json", "--set", f"sink.directory={tmp_path}"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["explained"] is False
    (found,) = document["streams"]
    assert (found["stream"], found["symbol"], found["missing"]) == ("trade", "BTCUSDT", 1)
    assert found["missing_ranges"] == [[3, 3]]


def test_nothing_to_read_has_a_code_and_a_reason(tmp_path, capsys):
    assert main(["audit", str(tmp_path)]) == 4
    assert f"{tmp_path} holds no Avro files" in capsys.readouterr().err
    assert main(["audit", str(tmp_path / "nowhere")]) == 4
    assert "is no directory" in capsys.readouterr().err
    write(tmp_path, "trade")
    assert main(["audit", str(tmp_path)]) == 4
    assert "no records" in capsys.readouterr().err


def test_a_period_that_ends_before_it_begins_is_refused(tmp_path, capsys):
    """It holds nothing, which would be explained."""
    period = ["--from", "2026-11-28", "--to", "2026-11-27"]
    with pytest.raises(SystemExit) as ended:
        main(["audit", str(tmp_path), *period])
    assert ended.value.code == 2
    assert "--from must be before --to" in capsys.readouterr().err


def test_a_name_that_cannot_be_is_named(capsys):
    assert main(["audit", "9" * 300]) == 4
    assert "File name too long" in capsys.readouterr().err


def test_usage(tmp_path, capsys):
    assert main(["audit", "--set", "sink.kind=nonsense"]) == 2
    assert "sink.kind" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--kafka", str(tmp_path)])
    assert ended.value.code == 2


def test_the_streamer_itself_loads_none_of_it():
    code = "import sys, streamer.run; print([name for name in sys.modules if 'audit' in name])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
