from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.disk import DiskSpace, DiskWatch, space_of
from tests.waiting import eventually


def test_the_space_of_a_directory_also_before_it_is_made(tmp_path: Path) -> None:
    size = os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize
    for directory in (tmp_path, tmp_path / "data" / "deeper"):
        found = space_of(directory)
        assert found is not None
        assert found.size_bytes == size
        assert 0 <= found.free_bytes <= size


def test_a_directory_that_cannot_be_read_has_no_space(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "statvfs", refused)
    assert space_of(Path("/any")) is None


def test_nothing_at_all_has_no_space(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(os, "statvfs", gone)
    assert space_of(Path("/any")) is None


def test_the_watch_tells_the_latest_and_never_blocks(tmp_path: Path) -> None:
    watch = DiskWatch(tmp_path)
    assert watch.latest is None
    watch.start()
    eventually(lambda: watch.latest)
    assert isinstance(watch.latest, DiskSpace)
    watch.close()
