"""Where each of several streamers of one machine keeps what is its own, below `sink.directory`.

A single one has `sink.directory` itself. Of several each has a directory of its name in it, with
the same layout, so that whoever reads records finds them in both. Pure, but for a look at names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NAME: Final = "streamer-"


def name_of(shard: int) -> str:
    """Return the name of the streamer of a shard: in directories, logs and metrics."""
    return f"{_NAME}{shard + 1}"


def directory_of(root: Path, shard: int, count: int) -> Path:
    """Return the directory of a shard of `count`, where `root` is `sink.directory`."""
    return root if count == 1 else root / name_of(shard)


def directories(root: Path) -> Iterator[Path]:
    """Yield `root` and every directory of a streamer in it, whatever their number is now."""
    yield root
    found = [path for path in root.glob(f"{_NAME}*") if _number(path) and path.is_dir()]
    yield from sorted(found, key=_number)


def _number(path: Path) -> int:
    """Return the number in a streamer's name, 0 where it is none."""
    digits = path.name.removeprefix(_NAME)
    return int(digits) if digits.isdecimal() and digits[0] != "0" else 0
