from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from monitor import checkpoint
from supervisor import command_line
from tests import profiles
from tests.hours import hour
from tests.strict_json import parsed
from tests.unit.monitor.report.test_page import NASTY, Reader


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return runs as the state directory keeps them, and files that are no profiles."""
    runs = tmp_path / "runs"
    documents = {
        "20261101T000000Z/profile.json": hour(1),
        "20261102T000000Z/profile.json": hour(2, rss_mib=56.0),
        "smoke.json": profiles.smoke(),
    }
    for number, (name, document) in enumerate(documents.items(), start=1):
        meta = {**document["test_metadata"], "start_time": f"2026-11-0{number}T00:00:00+00:00"}
        checkpoint.write(runs / name, {**document, "test_metadata": meta})
    (runs / "latest").symlink_to("20261102T000000Z")
    (runs / "broken.json").write_text("{")
    (runs / "20261102T000000Z" / "status.json").write_text('{"streamers": []}')
    (runs / "notes.txt").write_text("no profile at all")
    (runs / ".smoke.json.x1y2").write_text("being written")
    return runs


def test_a_table_with_the_newest_last(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(["history", str(directory)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rule = next(at for at, line in enumerate(lines) if line.startswith("─"))
    runs = [line.split()[0] for line in lines[rule + 1 : -2]]
    assert runs == ["20261101T000000Z/profile.json", "20261102T000000Z/profile.json", "smoke.json"]
    assert re.search(r"1h +pass +1:00:00 .* 55\.9 +100 ", lines[rule + 2])
    assert lines[-2].startswith("skipped 20261102T000000Z/status.json: not a profile")
    assert lines[-1].startswith("skipped broken.json: ")


def test_a_program_reads_the_same(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(["history", str(directory), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["verdict"] for one in found["runs"]] == ["pass", "pass", "pass"]
    assert found["runs"][1]["figures"]["memory"]["value"] == pytest.approx(56, abs=0.5)
    assert [one["source"] for one in found["skipped"]] == [
        "20261102T000000Z/status.json",
        "broken.json",
    ]


def test_a_page_draws_every_figure_that_any_run_has(directory: Path, tmp_path: Path) -> None:
    page = tmp_path / "history.html"
    assert command_line.run(["history", str(directory), "--plot", str(page)]) == 0
    reader = Reader(page.read_bytes())
    assert "3 runs" in reader.text
    assert "20261102T000000Z/profile.json" in reader.text
    figures = json.loads(reader.scripts[0])["figures"]
    assert len(figures) == 9
    (points,) = figures["memory"]["data"]
    assert points["y"][1] == pytest.approx(56, abs=0.5)
    assert points["error_y"]["array"][1] > 0
    identities = {attributes.get("id") for _, attributes in reader.tags}
    assert figures.keys() <= identities


def test_whatever_a_profile_holds_stays_text(tmp_path: Path) -> None:
    document = json.loads(json.dumps(profiles.smoke()))
    document["profile"]["name"] = document["test_metadata"]["start_time"] = NASTY
    checkpoint.write(tmp_path / "<img onerror=x>.json", document)
    page = tmp_path / "history.html"
    assert command_line.run(["history", str(tmp_path), "--plot", str(page)]) == 0
    reader = Reader(page.read_bytes())
    assert "alert(1)" in reader.text
    assert not any(tag == "img" for tag, _ in reader.tags)
    assert len(reader.scripts) == 3


def test_a_profile_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(json.dumps(profiles.smoke()))
    document["profile"]["name"] = "\x1b[2J"
    checkpoint.write(tmp_path / "a.json", document)
    assert command_line.run(["history", str(tmp_path)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_without_profiles_there_is_nothing_to_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text("[]")
    assert command_line.run(["history", str(tmp_path)]) == 2
    complaint = capsys.readouterr().err
    assert "expected a directory with profiles" in complaint
    assert "a.json: " in complaint
    assert command_line.run(["history", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: cannot be read: No such file or directory" in capsys.readouterr().err


def test_without_the_library_there_is_a_table_but_no_page(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert command_line.run(["history", str(directory)]) == 0
    assert command_line.run(["history", str(directory), "--plot", str(directory / "a.html")]) == 2
    assert "pip install 'plotly>=6'" in capsys.readouterr().err


def test_a_name_that_is_no_utf_8_costs_no_answer(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.write(directory / "\udcff.json", profiles.smoke())
    (directory / "\udcfe.json").write_text("{")
    assert command_line.run(["history", str(directory), "--json"]) == 0
    found = parsed(capsys.readouterr().out)
    assert "\\udcff.json" in {one["source"] for one in found["runs"]}
    assert "\\udcfe.json" in {one["source"] for one in found["skipped"]}
