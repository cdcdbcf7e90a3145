"""What the files sink wrote, file by file: so that an audit can tell what was removed or changed.

`manifest/KIND.jsonl` beside the kinds' directories has a line for each complete file. It is only
ever appended to, before a file gets its final name, so that complete files may be moved away and
their lines stay. Of several lines for a file the last one counts.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from streamer.avro.files import intact
from streamer.sinks.directories import sync_directory

MANIFEST = "manifest"
_READ_BYTES = 1 << 20  # hashed at once: long enough to let other threads run meanwhile

_log = logging.getLogger(__name__)


class Entry(msgspec.Struct, frozen=True):
    """A complete file: its name, what is in it, when it was completed, where its routes end."""

    file: str
    bytes: int
    records: int
    sha256: str
    completed_us: int  # Unix microseconds
    ends: dict[str, int] = {}


def manifest_path(directory: Path) -> Path:
    """Return the manifest of a kind's directory."""
    return directory.parent / MANIFEST / f"{directory.name}.jsonl"


def record(path: Path, name: str, ends: Mapping[str, int] | None = None) -> None:
    """Append a line for a file that gets this name; durable. What goes wrong is only logged.

    A file without a line is one that an audit cannot judge, which is no reason to lose it.
    """
    try:
        content = msgspec.json.encode(
            Entry(
                file=name,
                bytes=path.stat().st_size,
                records=intact(path).records,
                sha256=checksum(path),
                completed_us=time.time_ns() // 1000,
                ends=dict(ends or {}),
            )
        )
        _append(manifest_path(path.parent), content)
    except (OSError, ValueError) as error:
        _log.warning("%s: no line in the manifest, an audit cannot judge it: %s", path, error)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
    return digest.hexdigest()


def read(path: Path) -> tuple[dict[str, Entry], int]:
    """Return the entries by file name, and how many lines cannot be read. Raises OSError."""
    entries: dict[str, Entry] = {}
    spoilt = 0
    *lines, torn = path.read_bytes().split(b"\n")  # a crash may leave half a line at the end
    for line in filter(None, [*lines, torn]):
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            spoilt += line is not torn
        else:
            entries[entry.file] = entry
    return entries, spoilt


def _append(path: Path, line: bytes) -> None:
    is_new = not path.exists()
    path.parent.mkdir(exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(fd).st_size
        is_torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        os.write(fd, (b"\n" if is_torn else b"") + line + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
    if is_new:
        sync_directory(path.parent)
