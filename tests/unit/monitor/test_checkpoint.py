from __future__ import annotations

import stat
from pathlib import Path

import pytest

from monitor import checkpoint


def test_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "profile.json"
    document = {"a": [1, 0.1, None, "é"], "b": {"c": True}}
    checkpoint.write(path, document)
    assert checkpoint.load(path) == document
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("bad", [{"x": float("nan")}, {"x": object()}])
def test_what_cannot_be_written_leaves_the_last_one(tmp_path: Path, bad: dict[str, object]) -> None:
    path = tmp_path / "profile.json"
    checkpoint.write(path, {"good": 1})
    with pytest.raises(checkpoint.CheckpointError, match=r"profile\.json"):
        checkpoint.write(path, bad)
    assert checkpoint.load(path) == {"good": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(checkpoint.CheckpointError, match="cannot be written to"):
        checkpoint.write(blocked / "profile.json", {})


def test_where_a_profile_could_go_is_looked_at_without_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    checkpoint.check_writable(path)
    assert list(tmp_path.iterdir()) == []
    checkpoint.write(path, {"good": 1})
    checkpoint.check_writable(path)
    assert checkpoint.load(path) == {"good": 1}
    for wrong in (tmp_path, Path("/proc/profile.json")):
        with pytest.raises(checkpoint.CheckpointError, match="cannot be written to") as error:
            checkpoint.check_writable(wrong)
        assert "Errno" not in str(error.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00"])
def test_what_is_no_profile_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(content)
    with pytest.raises(checkpoint.CheckpointError, match=r"profile\.json is not a"):
        checkpoint.load(path)


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(checkpoint.CheckpointError, match=r"profile: No such file or directory$"):
        checkpoint.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "recursion"),
        ('{"a": NaN}', "NaN is no finite number"),
        ('{"a": -Infinity}', "-Infinity is no finite number"),
        ('{"a": 1e400}', "1e400 is no finite number"),
        ('{"a": ' + "9" * 5000 + "}", "digits"),
        ("", "Expecting value"),
        ("[]", "expected a JSON object"),
    ],
)
def test_a_hostile_profile_is_refused_with_its_reason(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(checkpoint.CheckpointError, match=why):
        checkpoint.load(path)


def test_a_profile_larger_than_any_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(checkpoint.CheckpointError, match="1073741824 bytes are more than"):
        checkpoint.load(path)
