from __future__ import annotations

import json

import pytest

from streamer.__main__ import main
from streamer.avro.files import header
from streamer.data.records import load_schema
from streamer.head import files
from tests.unit.streamer.audit.stored import SYNC, gap, trades, write


def ids(capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], list[int]]:
    document = json.loads(capsys.readouterr().out)
    return {
        (one["stream"], one["symbol"]): [
            record.get("trade_id", record.get("first_id")) for record in one["records"]
        ]
        for one in document["streams"]
    }


def test_the_last_of_complete_files_and_of_one_in_progress(tmp_path, capsys):
    write(tmp_path, "trade", trades([1, 2]), trades([7], symbol="ETHUSDT"))
    open_file = write(tmp_path, "trade", trades([3]), trades([4]), name="2-000002.avro.open")
    with open_file.open("ab") as file:
        file.write(b"\x02\x90")  # a block that is being written
    write(tmp_path, "gap", [gap(5, 6)])
    assert main(["head", "--json", str(tmp_path)]) == 0
    assert ids(capsys) == {
        ("trade", "BTCUSDT"): [2, 3, 4],
        ("trade", "ETHUSDT"): [7],
        ("gap", "BTCUSDT"): [5],
    }


def test_a_table_for_people(tmp_path, capsys):
    write(tmp_path, "trade", trades([1, 2]))
    assert main(["head", "-n", "1", "--set", f"sink.directory={tmp_path}"]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["stream", "symbol", "trade_id"]
    assert line.split()[:3] == ["trade", "BTCUSDT", "2"]


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_one_kind_s_directory_streams_and_symbols(tmp_path, capsys, codec):
    write(tmp_path, "trade", trades([1]), trades([2], symbol="ETHUSDT"), codec=codec)
    write(tmp_path, "gap", [gap(5, 6)])
    assert main(["head", "--json", str(tmp_path / "trade")]) == 0
    assert set(ids(capsys)) == {("trade", "BTCUSDT"), ("trade", "ETHUSDT")}
    assert main(["head", "--json", "--symbols", "ethusdt, nousdt", str(tmp_path)]) == 0
    assert set(ids(capsys)) == {("trade", "ETHUSDT")}
    assert main(["head", "--json", "--streams", "gap", str(tmp_path)]) == 0
    assert set(ids(capsys)) == {("gap", "BTCUSDT")}
    assert main(["head", "--streams", "ticker", str(tmp_path)]) == 4
    assert f"{tmp_path}: no records of these" in capsys.readouterr().err


def test_no_more_is_read_than_is_needed(tmp_path, capsys, monkeypatch):
    write(tmp_path, "trade", trades([1]))
    write(tmp_path, "trade", trades([2]), name="2-000002.avro")
    (tmp_path / "positions").mkdir()
    positions = {"positions": {"btcusdt@trade": {}}}
    (tmp_path / "positions" / "trade.json").write_text(json.dumps(positions))
    (tmp_path / "trade" / "1-000001.avro").write_bytes(b"spoilt")  # not reached
    assert main(["head", "--json", "-n", "1", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""

    (tmp_path / "positions" / "trade.json").write_text('{"positions": [')  # nothing is known
    monkeypatch.setattr(files, "SEARCHED_BYTES", 10)
    assert main(["head", "--json", "-n", "9", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""


def test_what_cannot_be_read_is_named_and_the_rest_is_shown(tmp_path, capsys):
    good = write(tmp_path, "trade", trades([1]))
    data = good.read_bytes()
    (tmp_path / "trade" / "2-000002.avro").write_bytes(b"something\x1b[2J")
    (tmp_path / "trade" / "3-000003.avro").write_bytes(data[:-1])
    other = load_schema("trade") | {"fields": [{"name": "x", "type": "null"}]}
    body = data[len(header(load_schema("trade"), "null", SYNC)) :]
    (tmp_path / "trade" / "4-000004.avro").write_bytes(header(other, "null", SYNC) + body)
    (tmp_path / "trade" / "5-000005.avro").write_bytes(header({**other, "type": "x"}, "null", SYNC))
    assert main(["head", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    told = captured.err.splitlines()
    assert [line.split(": ")[1].rpartition("/")[2] for line in told] == [
        "5-000005.avro",
        "4-000004.avro",
        "3-000003.avro",
        "2-000002.avro",
    ]
    assert "its schema cannot be used" in told[0]
    assert "it has no fields" in told[1]
    assert "ends within a block" in told[2]
    assert "not an Avro container file" in told[3]


def test_nothing_to_show_has_a_code_and_a_reason(tmp_path, capsys):
    assert main(["head", str(tmp_path / "nowhere")]) == 4
    assert "expected a sink.directory" in capsys.readouterr().err
    assert main(["head", str(tmp_path)]) == 4
    assert f"{tmp_path}: no records" in capsys.readouterr().err
    assert main(["head", "--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--kafka", "data"], "not both"),
        (["-n", "0"], "expected a number from 1 to 1000, not '0'"),
        (["-n", "x"], "expected a number from 1 to 1000, not 'x'"),
    ],
)
def test_usage(capsys, arguments, told):
    with pytest.raises(SystemExit) as exit_:
        main(["head", *arguments])
    assert exit_.value.code == 2
    assert told in capsys.readouterr().err


def test_of_several_streamers_the_last_of_each_symbol_wherever_it_was(tmp_path, capsys):
    write(tmp_path, "trade", trades([1, 2]), name="1-000001.avro")
    write(tmp_path / "streamer-1", "trade", trades([8], symbol="ETHUSDT"), name="1-000004.avro")
    write(tmp_path / "streamer-2", "trade", trades([3, 4]), name="1-000004.avro.open")
    assert main(["head", "--json", "-n", "3", str(tmp_path)]) == 0
    assert ids(capsys) == {("trade", "BTCUSDT"): [2, 3, 4], ("trade", "ETHUSDT"): [8]}
