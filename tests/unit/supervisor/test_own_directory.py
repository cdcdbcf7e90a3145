from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.own_directory import write_private


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / "status.json").symlink_to(tmp_path / "theirs")
    write_private(tmp_path / "status.json", "{}")
    assert (tmp_path / "theirs").read_text() == "precious"
    assert not (tmp_path / "status.json").is_symlink()
    assert (tmp_path / "status.json").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "status.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_private(tmp_path / "status.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
