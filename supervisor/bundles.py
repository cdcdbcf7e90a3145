"""Diagnosis bundles on disk: made in a directory, packed, bounded in number and size."""

from __future__ import annotations

import logging
import os
import shutil
import tarfile
import time as clocks
from itertools import count
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

PREFIX: Final = "diagnosis-"
SUFFIX: Final = ".tar.gz"
KEPT: Final = 10
"""Of one run: twice the restarts that its budget allows in ten minutes."""
KEPT_BYTES: Final = 32 << 20
"""Of one run; a bundle has some hundred kilobytes."""


def begin(place: Path, subject: str, time: float) -> Path:
    """Make a directory (0700) for what is told of a subject at a Unix time. Raises OSError."""
    stamp = clocks.strftime("%Y%m%dT%H%M%SZ", clocks.gmtime(time))
    for number in count(1):
        name = f"{PREFIX}{stamp}-{subject}" + (f"-{number}" if number > 1 else "")
        if not (place / f"{name}{SUFFIX}").exists():
            try:
                (place / name).mkdir(mode=0o700)
            except FileExistsError:
                continue
            return place / name
    raise AssertionError  # count never ends


def pack(directory: Path) -> Path:
    """Make an archive (0600) of a directory in its place; return the archive. Raises OSError."""
    archive = directory.with_name(f"{directory.name}{SUFFIX}")
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    try:
        descriptor = os.open(
            unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as tar:
            for path in sorted(directory.iterdir()):
                tar.add(path, arcname=f"{directory.name}/{path.name}", recursive=False)
        unfinished.replace(archive)
    except OSError:
        unfinished.unlink(missing_ok=True)  # the directory stays: it is evidence, too
        raise
    shutil.rmtree(directory, ignore_errors=True)
    return archive


def remove_oldest(place: Path) -> None:
    """Remove what is more than KEPT bundles or KEPT_BYTES, oldest first, never the newest."""
    archives = sorted(place.glob(f"{PREFIX}*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
    sizes = [path.stat().st_size for path in archives]
    while len(archives) > 1 and (len(archives) > KEPT or sum(sizes) > KEPT_BYTES):
        archives.pop(0).unlink(missing_ok=True)
        sizes.pop(0)
