"""Archives as the exchange offers them, and broken ones."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from streamer.backfill.archive import Archive
from streamer.backfill.archive_name import parse_name

DAY_US = 1_795_737_600_000_000  # 2026-11-27
NAME = "BTCUSDT-trades-2026-11-27.zip"


def trade_row(number: int, *, price: str = "1.50", quantity: str = "2.00000000") -> str:
    return f"{number},{price},{quantity},3.0,{DAY_US + number * 1000},True,True"


def write(directory: Path, rows: list[str], name: str = NAME, *, member: str | None = None) -> Path:
    """Write an archive and its checksum."""
    path = directory / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        text = "".join(f"{row}\n" for row in rows)
        archive.writestr(member or name.replace(".zip", ".csv"), text)
    checksum(path)
    return path


def checksum(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".CHECKSUM").write_text(f"{digest}  {path.name}\n")


def opened(path: Path) -> Archive:
    name = parse_name(path.name)
    assert name is not None
    return Archive(path, name)
