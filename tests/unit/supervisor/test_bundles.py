from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from supervisor import bundles


def make(place: Path, time: float, size: int = 10) -> Path:
    directory = bundles.begin(place, "streamer-1.1", time)
    (directory / "a.txt").write_bytes(os.urandom(size))
    archive = bundles.pack(directory)
    os.utime(archive, (time, time))
    return archive


def test_a_bundle_is_an_archive_of_its_own(tmp_path: Path) -> None:
    first, second = make(tmp_path, 0.0), make(tmp_path, 0.0)
    assert first.name == "diagnosis-19700101T000000Z-streamer-1.1.tar.gz"
    assert second.name == "diagnosis-19700101T000000Z-streamer-1.1-2.tar.gz"
    with tarfile.open(first) as tar:
        assert tar.getnames() == ["diagnosis-19700101T000000Z-streamer-1.1/a.txt"]
    assert {one.name for one in tmp_path.iterdir()} == {first.name, second.name}


def test_they_are_bounded_in_number(tmp_path: Path) -> None:
    made = [make(tmp_path, float(n)) for n in range(bundles.KEPT + 3)]
    (tmp_path / "profile.json").touch()
    bundles.remove_oldest(tmp_path)
    assert set(tmp_path.glob("*.tar.gz")) == set(made[3:])
    assert (tmp_path / "profile.json").exists()


def test_they_are_bounded_in_size_but_the_newest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "KEPT_BYTES", 25_000)
    made = [make(tmp_path, float(n), size=10_000) for n in range(4)]
    bundles.remove_oldest(tmp_path)
    assert set(tmp_path.iterdir()) == set(made[2:])
    monkeypatch.setattr(bundles, "KEPT_BYTES", 1)
    bundles.remove_oldest(tmp_path)
    assert set(tmp_path.iterdir()) == {made[3]}


def test_what_cannot_be_packed_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    directory = bundles.begin(tmp_path, "streamer-1.1", 0.0)
    (directory / "a.txt").touch()
    monkeypatch.setattr(tarfile, "open", refuse)
    with pytest.raises(OSError, match="No space"):
        bundles.pack(directory)
    assert list(tmp_path.iterdir()) == [directory]
