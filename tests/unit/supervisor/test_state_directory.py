from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from supervisor import state_directory
from supervisor.errors import UsageError
from supervisor.state_directory import KEPT_RUNS, location, run_directory

NOON = 1_795_780_800.0  # 2026-11-27T12:00:00Z


def test_the_setting_comes_first_then_systemd_then_beside_the_sink(tmp_path: Path) -> None:
    environment = {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}
    assert location(tmp_path, tmp_path / "data", environment) == tmp_path
    assert location(None, tmp_path / "data", environment) == Path("/var/lib/a")
    assert location(None, tmp_path / "data", {}) == tmp_path / "data-state"
    assert location(None, Path("data"), {}) == Path.cwd() / "data-state"


def test_each_start_has_a_directory_of_its_own(tmp_path: Path) -> None:
    kept = []
    for run in ("first", "second"):
        with run_directory(tmp_path, tmp_path, tmp_path, NOON) as directory:
            (directory / "profile.json").write_text(run)
            kept.append(directory)
            assert (tmp_path / "runs" / "latest").resolve() == directory
            assert directory.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in kept] == ["20261127T120000Z", "20261127T120000Z-2"]
    assert [(one / "profile.json").read_text() for one in kept] == ["first", "second"]


def test_an_empty_one_is_removed(tmp_path: Path) -> None:
    with run_directory(tmp_path, tmp_path, tmp_path, NOON) as directory:
        pass
    assert not directory.exists()


def test_the_oldest_are_removed_but_no_run_that_goes_on(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "notes").mkdir()  # a person's own
    with run_directory(tmp_path, tmp_path, tmp_path, NOON) as running:
        (running / "profile.json").touch()
        for second in range(1, KEPT_RUNS + 3):
            with run_directory(tmp_path, tmp_path, tmp_path, NOON + second) as directory:
                (directory / "profile.json").touch()
        left = sorted(path.name for path in (tmp_path / "runs").iterdir())
    # The last thinning saw the running one, which stays, and KEPT_RUNS of the newest.
    assert left.pop() == "notes"
    assert left.pop() == "latest"
    assert left[0] == running.name
    assert left[-1] == "20261127T120022Z"
    assert len(left) == KEPT_RUNS + 1


def test_starts_in_one_second_keep_their_order(tmp_path: Path) -> None:
    for _ in range(KEPT_RUNS + 5):
        with run_directory(tmp_path, tmp_path, tmp_path, NOON) as directory:
            (directory / "profile.json").touch()
    left = {path.name for path in (tmp_path / "runs").iterdir()} - {"latest"}
    assert left == {f"20261127T120000Z-{number}" for number in range(6, KEPT_RUNS + 6)}


def test_a_default_place_that_cannot_be_written_is_no_reason_not_to_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    (tmp_path / "data-state").touch()
    with run_directory(None, tmp_path / "data", tmp_path / "run", NOON) as directory:
        assert directory == tmp_path / "run"
    assert "supervisor.state_directory = " in caplog.text
    assert "using" in caplog.text


def test_a_configured_one_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UsageError, match=r"supervisor\.state_directory = .*file: cannot be used"),
        run_directory(tmp_path / "file", tmp_path, tmp_path, NOON),
    ):
        pass


def test_a_full_disk_is_no_reason_not_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(state_directory, "_runs_in", full)
    with run_directory(tmp_path, tmp_path, tmp_path / "run", NOON) as directory:
        assert directory == tmp_path / "run"
