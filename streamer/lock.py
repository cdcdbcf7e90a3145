"""One streamer at a time writes a shard: it holds a lock, and its successor waits for it.

The lock is the kernel's, so that it ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamer.errors import SinkUnavailable
from streamer.sinks.directories import sync_directory, unavailable

LOCK_FILE = ".lock"
LOCK_MARGIN_SECONDS = 5.0
"""A predecessor ends within its `stop_within`; this much more is for the machine."""
_POLL_SECONDS = 0.05


class ShardLock:
    """The lock of a shard whose state is in `directory`, while it is held."""

    def __init__(self, directory: Path, descriptor: int) -> None:
        self._directory = directory
        self._descriptors = [descriptor]

    def is_in_place(self) -> bool:
        """Return whether what is locked is still what others find at the directory's path.

        The kernel's lock belongs to the file, not to its name: when the directory is removed, or
        another one is put in its place, somebody else can lock that one.
        """
        held = os.fstat(self._descriptors[-1])
        try:
            found = (self._directory / LOCK_FILE).stat()
        except OSError:
            return False
        return os.path.samestat(held, found)

    def take_again(self) -> bool:
        """Lock what is at the path now, which is made if need be; False when others have it."""
        try:
            self._descriptors.append(_take(self._directory, 0.0))
        except SinkUnavailable:
            return False
        return True

    def release(self) -> None:
        """Leave it to a successor."""
        for descriptor in self._descriptors:
            os.close(descriptor)


@contextmanager
def shard_lock(directory: Path, within_seconds: float) -> Iterator[ShardLock]:
    """Hold the lock of a shard, whose state is in `directory`, which is made if need be.

    Waits for a predecessor. Raises SinkUnavailable.
    """
    lock = ShardLock(directory, _take(directory, within_seconds))
    try:
        yield lock
    finally:
        lock.release()


def _take(directory: Path, within_seconds: float) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        sync_directory(directory.parent)
        lock = os.open(directory / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unavailable(directory, error) from error
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(lock)
                raise SinkUnavailable(
                    f"sink.directory {directory}: another streamer writes there, and did not end"
                    f" within {within_seconds:g} s; give each one a directory of its own"
                ) from None
            time.sleep(_POLL_SECONDS)
        else:
            return lock
