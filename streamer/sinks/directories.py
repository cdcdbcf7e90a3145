"""Directories that records are kept in: names that survive a power cut, errors for people."""

from __future__ import annotations

import os
from pathlib import Path

from streamer.errors import SinkUnavailable

BACKFILL_DIRECTORY = "backfill"
"""Below sink.directory: what `python -m streamer backfill` wrote, by kind as above it."""
OVERFLOW_DIRECTORY = "overflow"
"""Below sink.directory: what waits for Kafka on disk."""


def sync_directory(directory: Path) -> None:
    """Make names in a directory survive a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole: whatever happens, the old or the new one is there. Durable."""
    beside = path.with_name(path.name + ".new")
    fd = os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)  # noqa: PTH105 - the atomic one
    sync_directory(path.parent)


def unavailable(directory: Path, error: OSError) -> SinkUnavailable:
    """Return what to say when `sink.directory` cannot be used."""
    return SinkUnavailable(
        f"sink.directory {directory}: {error.strerror or error}"
        f" ({error.filename or directory}); expected a directory that this user can write"
    )
