"""Finding the supervisor that runs, by a made-up table of sockets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor import discovery
from supervisor.discovery import listening, only_one
from supervisor.errors import UsageError

HEAD = "Num       RefCount Protocol Flags    Type St Inode Path\n"


def line(path: str, flags: str = "00010000") -> str:
    return f"0000000000000000: 00000002 00000000 {flags} 0001 01 12345 {path}\n"


def table(*directories: Path) -> str:
    return HEAD + "".join(line(f"{one}/{name}") for one in directories for name in NAMES)


NAMES = ("control", "telemetry")


def test_a_supervisor_listens_at_two_sockets() -> None:
    text = (
        HEAD
        + line("/run/vigil/telemetry")
        + line("/run/vigil/control")
        + line("/run/vigil/control", "00000000")  # a connection that was accepted
        + line("/run/other/control")  # of another program
        + line("/run/a b/control")
        + line("/run/a b/telemetry")
        + line("@/tmp/.X11-unix/X0")
        + line("control")
        + line("/run/left/control", "00000000")
        + line("/run/left/telemetry")
        + "0000000000000000: 00000002 00000000 00000000 0002 01 15\n"  # without a name
    )
    assert listening(text) == [Path("/run/a b"), Path("/run/vigil")]


@pytest.fixture
def there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    def put(*directories: Path) -> None:
        (tmp_path / "table").write_text(table(*directories))
        monkeypatch.setattr(discovery, "_TABLE", tmp_path / "table")

    return put


def test_the_only_one_is_meant(there_are: Callable[..., None], tmp_path: Path) -> None:
    there_are(tmp_path, Path("/nowhere/of/another/namespace"))
    assert only_one() == tmp_path


def test_of_several_one_is_asked_for(there_are: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    there_are(tmp_path / "a", tmp_path / "b")
    with pytest.raises(UsageError) as caught:
        only_one()
    for name in "ab":
        assert f"--runtime-directory {tmp_path}/{name} (user " in str(caught.value)


def test_none_is_said(there_are: Callable[..., None]) -> None:
    there_are()
    with pytest.raises(UsageError, match="no supervisor runs here"):
        only_one()


def test_one_of_another_user_is_no_choice_but_for_root(
    there_are: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    there_are(Path("/usr"))
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(UsageError, match=r"of another user: /usr \(user root\)"):
        only_one()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert only_one() == Path("/usr")


def test_one_that_may_not_even_be_looked_at_is_named(
    there_are: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(path: Path) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    there_are(tmp_path)
    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(UsageError, match=f"of another user: {tmp_path};"):
        only_one()
