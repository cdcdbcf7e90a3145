"""The report at the end of a soak and from `judge`; without its library, too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from monitor import checkpoint
from supervisor import command_line
from supervisor.commands import soak
from supervisor.errors import ExitCode
from tests import profiles


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "profile.json"
    checkpoint.write(path, profiles.stopped_hour())
    return path


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch, profile: Path) -> list[str]:
    """Return the command line of a soak that is over at once, with its profile written."""
    monkeypatch.setattr(soak, "carry_out", lambda *_: ExitCode.VERDICT_INCONCLUSIVE)
    return ["soak", "--profile", "1h", "--output", str(profile)]


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)


def test_a_soak_leaves_a_report_beside_its_profile(finished: list[str], profile: Path) -> None:
    assert command_line.run(finished) == ExitCode.VERDICT_INCONCLUSIVE
    assert b"stopped by a person" in profile.with_suffix(".html").read_bytes()


@pytest.mark.usefixtures("without_library")
def test_without_the_library_a_soak_keeps_its_verdict_and_says_what_helps(
    finished: list[str], profile: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert command_line.run(finished) == ExitCode.VERDICT_INCONCLUSIVE
    assert not profile.with_suffix(".html").exists()
    assert "pip install 'plotly>=6'" in caplog.text
    assert f"vigil judge {profile} --report" in caplog.text


def test_a_fault_of_the_report_changes_no_verdict(
    finished: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(soak, "write_report", broken)
    assert command_line.run(finished) == ExitCode.VERDICT_INCONCLUSIVE
    assert "no report could be made" in caplog.text


def test_the_report_does_not_overwrite_the_profile(
    finished: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = command_line.run([*finished[:-1], str(Path(finished[-1]).with_suffix(".html"))])
    assert code == ExitCode.USAGE
    assert "expected .json" in capsys.readouterr().err


def test_judge_makes_the_report_of_the_predecessors_format(tmp_path: Path) -> None:
    old, report = tmp_path / "old.json", tmp_path / "old.html"
    checkpoint.write(old, profiles.predecessors())
    assert command_line.run(["judge", str(old), "--report", str(report)]) == (
        ExitCode.VERDICT_INCONCLUSIVE
    )
    assert b"not recorded" in report.read_bytes()


@pytest.mark.usefixtures("without_library")
def test_judge_says_what_a_report_needs(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.run(["judge", str(profile), "--report", "r.html"]) == ExitCode.USAGE
    assert "pip install 'plotly>=6'" in capsys.readouterr().err


def test_judge_online_tells_people_a_line_and_machines_an_object_per_change(
    profile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.run(["judge", str(profile), "--online"]) == 4
    text = capsys.readouterr().out
    assert text.startswith("  0:24:00  inconclusive  leak score 0.00  first leak score: ")
    assert text.index("first leak score") < text.index("verdict: inconclusive")
    assert command_line.run(["judge", str(profile), "--online", "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert [one["elapsed_seconds"] for one in told["changes"]] == [1440.0]
    assert told["verdict"]["outcome"] == "inconclusive"


def test_a_supervisor_at_work_carries_no_plotting_library() -> None:
    code = (
        "import sys, supervisor.commands.soak, supervisor.commands.judge, supervisor.assembly\n"
        "print([one for one in sys.modules if one.split('.')[0] in ('plotly', 'narwhals')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
