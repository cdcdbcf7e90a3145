"""One Avro container file after another in a directory: the mechanism without the policy.

A file in progress is `20261122T220012Z-000042.avro.open`; it loses `.open` when it is complete.
The number goes on over restarts, so that names are unique whatever the clock does.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from streamer.avro.container_schema import container_schema
from streamer.avro.files import SYNC_BYTES, Codec, Intact, blocks, header, intact
from streamer.sinks.directories import sync_directory
from streamer.sinks.manifest import record

OPEN_SUFFIX = ".avro.open"
UNREADABLE_SUFFIX = ".unreadable"
_COPIED_BYTES = 1 << 20  # at once


class Background(Protocol):
    """Where slow calls go: a thread of its own, which does one after the other."""

    def submit(self, function: Any, /, *arguments: Any) -> Future[Any]:  # noqa: ANN401 - any call
        """Call later; the future tells the outcome."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A file to which no more is written, open and without its final name."""

    fd: int
    path: Path
    size_bytes: int  # whole blocks only


class AvroWriter:
    """Writes blocks into a file, and begins another one when told to finish it."""

    def __init__(
        self,
        directory: Path,
        schema: dict[str, Any],
        codec: Codec,
        background: Background,
        *,
        first_number: int = 0,
        keeps_manifest: bool = False,
    ) -> None:
        """`first_number` is for directories whose files may all have been moved away.

        With `keeps_manifest` each complete file is recorded (`streamer.sinks.manifest`).
        """
        self.directory = directory
        self.size_bytes = 0  # of the file in progress, whole blocks only
        self._schema = container_schema(schema)
        self._codec: Codec = codec
        self._background = background
        self._keeps_manifest = keeps_manifest
        self._fd: int | None = None
        self._path = directory
        self._sync = b""
        self._number = max(last_number(directory), first_number - 1)

    @property
    def number(self) -> int:
        """The number of the file in progress, or of the last one."""
        return self._number

    @property
    def is_open(self) -> bool:
        """Whether a file is in progress."""
        return self._fd is not None

    @property
    def path(self) -> Path:
        """The file in progress, or the one before; it loses `.open` when it is complete."""
        return self._path

    def append(self, records: Sequence[bytes], begun_us: int | None = None) -> int:
        """Hand a block of records to the operating system; return its length in bytes.

        `begun_us` is for the name of a file that begins with it, Unix microseconds; None: now.
        After an OSError nothing counts as written, and the next block takes the same place.
        """
        if self._fd is None:
            self._begin(time.time_ns() // 1000 if begun_us is None else begun_us)
        assert self._fd is not None  # noqa: S101 - for the type checker: it was just opened
        data = blocks(records, self._codec, self._sync)
        _write_all(self._fd, data, self.size_bytes)
        self.size_bytes += len(data)
        return len(data)

    def is_in_place(self) -> bool:
        """Return whether the file in progress, if there is one, still has a name."""
        return self._fd is None or os.fstat(self._fd).st_nlink > 0

    def rescue(self) -> Path | None:
        """Write a copy of the file in progress, whose name was removed, complete under its name.

        Returns where it is; None when nothing was in progress, or has its name still, wherever
        that is by now: the next start there completes it. Raises OSError.
        """
        if self._fd is None or os.fstat(self._fd).st_nlink > 0:
            return None
        path = self._path.with_suffix("")
        copy = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        try:
            copied = 0
            while copied < self.size_bytes:
                ahead = min(_COPIED_BYTES, self.size_bytes - copied)
                data = os.pread(self._fd, ahead, copied)
                if not data:
                    raise OSError(errno.EIO, "it is shorter than what was written")
                _write_all(copy, data, copied)
                copied += len(data)
            os.fsync(copy)
        finally:
            os.close(copy)
        sync_directory(path.parent)
        record(path, path.name)
        return path

    def abandon(self) -> None:
        """Forget the file in progress, and leave it as it is."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self.size_bytes = 0

    def sync(self) -> Future[None] | None:
        """Make what was written so far survive a power cut; None when no file is in progress."""
        return None if self._fd is None else self._background.submit(os.fdatasync, self._fd)

    def finish(
        self,
        when_safe: Callable[[], None] | None = None,
        ends: Mapping[str, int] | None = None,
    ) -> Future[None] | None:
        """Complete the file in progress, in the background; the next block begins another.

        `when_safe` is called there once its records are on the disk, before it has its final name;
        `ends` are the last ids of its routes, for the manifest.
        """
        unfinished = self.set_apart()
        return None if unfinished is None else self.complete(unfinished, when_safe, ends)

    def set_apart(self) -> Unfinished | None:
        """Begin another file with the next block; return the one in progress, for `complete`."""
        if self._fd is None:
            return None
        unfinished = Unfinished(self._fd, self._path, self.size_bytes)
        self._fd = None
        self.size_bytes = 0
        return unfinished

    def complete(
        self,
        unfinished: Unfinished,
        when_safe: Callable[[], None] | None = None,
        ends: Mapping[str, int] | None = None,
    ) -> Future[None]:
        """Complete a file that was set apart, as `finish` does."""
        told = dict(ends or {}) if self._keeps_manifest else None
        return self._background.submit(_finish, unfinished, when_safe, told)

    def _begin(self, begun_us: int) -> None:
        self._number += 1
        stamp = datetime.fromtimestamp(begun_us // 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
        path = self.directory / f"{stamp}-{self._number:06d}{OPEN_SUFFIX}"
        # Read only to be rescued, should its name be removed.
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o644)
        self._sync = os.urandom(SYNC_BYTES)
        start = header(self._schema, self._codec, self._sync)
        try:
            _write_all(fd, start, 0)
            sync_directory(self.directory)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        self._fd, self._path, self.size_bytes = fd, path, len(start)


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        if not written:
            raise OSError(errno.EIO, "nothing could be written")
        offset += written
        view = view[written:]


def _finish(
    unfinished: Unfinished,
    when_safe: Callable[[], None] | None,
    ends: Mapping[str, int] | None,
) -> None:
    fd, path = unfinished.fd, unfinished.path
    try:
        os.ftruncate(fd, unfinished.size_bytes)  # a block that failed half-way may lie behind
        os.fsync(fd)
    finally:
        os.close(fd)
    try:
        if when_safe is not None:
            when_safe()
    finally:
        if ends is not None:
            record(path, path.stem, ends)
        _complete(path)


def _complete(path: Path) -> None:
    path.rename(path.with_suffix(""))
    sync_directory(path.parent)


def file_number(path: Path) -> int:
    """Return the number in a file's name, 0 when it has none."""
    number = path.name.partition(".")[0].rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def last_number(directory: Path) -> int:
    """Return the highest number of a file in the directory, 0 when there is none."""
    return max(map(file_number, directory.glob("*.avro*")), default=0)


def repair(directory: Path) -> list[str]:
    """Complete the files that a crash left in progress, up to their last whole block.

    Returns a sentence for each, for the log. Raises OSError.
    """
    told = []
    for path in sorted(directory.glob(f"*{OPEN_SUFFIX}")):
        size_bytes = path.stat().st_size
        try:
            whole = intact(path)
        except ValueError as error:
            aside = _set_aside(path)
            told.append(f"{path}: no file of ours, set aside as {aside.name}: {error}")
            continue
        torn = size_bytes - whole.length_bytes
        if whole.length_bytes and _goes_on(path, whole):
            aside = _set_aside(path, copy=True)
            told.append(f"{path}: a block in the middle is spoilt; all of it is in {aside.name}")
        if whole.records:
            with path.open("r+b") as file:
                file.truncate(whole.length_bytes)
                os.fsync(file.fileno())
            record(path, path.stem)
            _complete(path)
            told.append(f"{path}: {whole.records} records kept, {torn} torn bytes cut off")
        else:
            path.unlink()
            told.append(f"{path}: removed, it contained no complete block ({size_bytes} bytes)")
    return told


def _goes_on(path: Path, whole: Intact) -> bool:
    """Return whether blocks end behind the whole part: a crash cuts a file off at its end only."""
    overlap = b""
    with path.open("rb") as file:
        file.seek(whole.length_bytes - SYNC_BYTES)
        sync = file.read(SYNC_BYTES)
        while data := file.read(_COPIED_BYTES):
            if sync in overlap + data:
                return True
            overlap = data[-SYNC_BYTES:]
    return False


def _set_aside(path: Path, *, copy: bool = False) -> Path:
    """Give a file, or a copy of it, a name that nobody takes for records."""
    aside = path.with_name(path.name + UNREADABLE_SUFFIX)
    if copy:
        shutil.copyfile(path, aside)
    else:
        path.rename(aside)
    sync_directory(path.parent)
    return aside
