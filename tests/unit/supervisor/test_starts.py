from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.errors import ExitCode
from supervisor.starts import Starts


def test_runs_that_were_killed_or_failed_are_counted(tmp_path: Path) -> None:
    assert Starts(tmp_path).begin() == 0
    failed = Starts(tmp_path)  # the one before was killed: it never told its end
    assert failed.begin() == 1
    failed.ended(ExitCode.RESTART_BUDGET_SPENT)
    assert Starts(tmp_path).begin() == 2


@pytest.mark.parametrize(
    "code", [ExitCode.PASS, ExitCode.USAGE, ExitCode.TERMINATED, ExitCode.INTERRUPTED]
)
def test_an_end_that_a_person_asked_for_or_must_look_at_clears_the_count(
    tmp_path: Path, code: ExitCode
) -> None:
    Starts(tmp_path).begin()
    run = Starts(tmp_path)
    run.begin()
    run.ended(code)
    assert Starts(tmp_path).begin() == 0


def test_a_healthy_life_clears_the_count_once(tmp_path: Path) -> None:
    Starts(tmp_path).begin()
    run = Starts(tmp_path)
    run.begin()
    run.healthy()
    (tmp_path / "failed-runs").unlink()
    run.healthy()  # called at every turn
    assert not (tmp_path / "failed-runs").exists()


@pytest.mark.parametrize("content", [b"", b"many", b"-7", b"\xff\xfe", b"9" * 5000])
def test_a_count_that_is_none_harms_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "failed-runs").write_bytes(content)
    assert 0 <= Starts(tmp_path).begin() < 10**8


def test_a_directory_that_cannot_be_written_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert Starts(tmp_path / "gone").begin() == 0
    assert "failed-runs: cannot be written: No such file" in caplog.text
