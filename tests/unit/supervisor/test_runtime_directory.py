from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.errors import UsageError
from supervisor.runtime_directory import prepare, private


def test_the_setting_comes_first(tmp_path: Path) -> None:
    environment = {"RUNTIME_DIRECTORY": "/a", "XDG_RUNTIME_DIR": "/b"}
    assert prepare(tmp_path / "mine", environment) == tmp_path / "mine"


def test_then_systemd_then_the_session_then_a_fresh_one(tmp_path: Path) -> None:
    environment = {"RUNTIME_DIRECTORY": f"{tmp_path}/one:{tmp_path}/two"}
    assert prepare(None, environment) == tmp_path / "one"
    assert prepare(None, {"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "vigil"
    fresh, another = prepare(None, {}), prepare(None, {})
    assert fresh != another
    for directory in (fresh, another):
        assert directory.stat().st_mode & 0o777 == 0o700
        directory.rmdir()


def test_a_fresh_one_goes_unless_something_is_worth_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with private(None) as directory:
        (directory / "telemetry.lock").touch()
        (directory / "streamer-1.log").touch()
        for name in ("streamer-1.recent.log", "streamer-1.recent.log.1"):
            (directory / name).write_text("in the log itself as well")
    assert not directory.exists()
    with private(None) as directory:
        (directory / "telemetry").touch()
        (directory / "streamer-1.1.stacks").write_text("Current thread")
    assert [path.name for path in directory.iterdir()] == ["streamer-1.1.stacks"]
    (directory / "streamer-1.1.stacks").unlink()
    directory.rmdir()


def test_a_chosen_one_stays(tmp_path: Path) -> None:
    with private(tmp_path / "mine") as directory:
        (directory / "telemetry.lock").touch()
    assert (directory / "telemetry.lock").exists()


def test_it_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    assert prepare(tmp_path / "open", {}).stat().st_mode & 0o777 == 0o700


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"supervisor\.runtime_directory = .*file/x"):
        prepare(tmp_path / "file" / "x", {})


def test_a_foreign_directory_is_refused(tmp_path: Path) -> None:
    foreign = Path("/usr")
    if os.geteuid() == 0:  # root owns /usr, and may give a directory away
        foreign = tmp_path
        os.chown(foreign, 65534, -1)
    with pytest.raises(UsageError, match="belongs to user"):
        prepare(foreign, {})


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o755)
    (tmp_path / "mine").symlink_to(theirs)
    with pytest.raises(UsageError, match=r"is a symbolic link to .*theirs; the directory itself"):
        prepare(tmp_path / "mine", {})
    assert theirs.stat().st_mode & 0o777 == 0o755


def test_a_parent_may_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "run")
    assert prepare(tmp_path / "var" / "vigil", {}) == tmp_path / "run" / "vigil"
