"""What waits above a gap: runs of ids, and their items in memory, then on disk.

A run of neighbours is two numbers, however long it is, so that hours of waiting cost memory for
the items that are kept there and no more. What is on disk lies in a file without a name: a crash
leaves nothing behind, and loses nothing, since the sink holds none of it and resumes below it.
"""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar

Item = TypeVar("Item")

READ_BACK = 1_000  # items taken from the disk at a time: some 200 kB
_LENGTH_BYTES = 4


@dataclass(slots=True)
class Run:
    """Neighbouring ids that all wait, both ends included, and when the first of them came."""

    first_id: int
    last_id: int
    since: float


class Runs:
    """Which ids wait, as runs in ascending order. Pure."""

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: list[Run] = []

    def __bool__(self) -> bool:
        return bool(self._runs)

    def __contains__(self, event_id: int) -> bool:
        index = self._below(event_id)
        return index >= 0 and event_id <= self._runs[index].last_id

    @property
    def lowest(self) -> Run:
        """The lowest run; there must be one."""
        return self._runs[0]

    def add(self, event_id: int, now: float) -> None:
        """Add an id that is not there yet."""
        index = self._below(event_id)
        below = self._runs[index] if index >= 0 else None
        above = self._runs[index + 1] if index + 1 < len(self._runs) else None
        joins_above = above is not None and above.first_id == event_id + 1
        if below is not None and below.last_id == event_id - 1:
            below.last_id = event_id
            if joins_above:
                assert above is not None  # noqa: S101 - for the type checker: it was compared
                below.last_id = above.last_id
                below.since = min(below.since, above.since)
                del self._runs[index + 1]
        elif joins_above:
            assert above is not None  # noqa: S101 - as above
            above.first_id = event_id
        else:
            self._runs.insert(index + 1, Run(event_id, event_id, now))

    def pop(self) -> int:
        """Remove and return the lowest id; there must be one."""
        lowest = self._runs[0]
        event_id = lowest.first_id
        if event_id == lowest.last_id:
            del self._runs[0]
        else:
            lowest.first_id = event_id + 1
        return event_id

    def suspected_since(self) -> list[tuple[Run, float]]:
        """Return each run, lowest first, and since when what is below it has been missed.

        That is the first arrival of anything in it or above it.
        """
        found: list[tuple[Run, float]] = []
        since = float("inf")
        for run in reversed(self._runs):
            since = min(since, run.since)
            found.append((run, since))
        found.reverse()
        return found

    def _below(self, event_id: int) -> int:
        """Return the index of the last run that begins at the id or below it, or -1."""
        return bisect_right(self._runs, event_id, key=_first_id) - 1


def _first_id(run: Run) -> int:
    return run.first_id


class MemoryStore(Generic[Item]):
    """Items by id, in memory."""

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}

    def __len__(self) -> int:
        return len(self._items)

    def put(self, event_id: int, item: Item) -> bool:
        """Keep an item; False when there is no room for it."""
        self._items[event_id] = item
        return True

    def peek(self, event_id: int) -> Item | None:
        """Return an item without removing it."""
        return self._items.get(event_id)

    def any(self) -> Item | None:
        """Return one of the items without removing it; None where there is none."""
        return next(iter(self._items.values()), None)

    def pop(self, event_id: int) -> Item:
        """Remove and return an item that was put."""
        return self._items.pop(event_id)


class DiskStore(Generic[Item]):
    """Items by id: `limit` of them in memory, what comes later in a file in `directory`.

    Once anything is in the file, everything goes there until it is empty. Items are read back in
    the order in which they came, which is nearly that of their ids, so that few are in memory.
    """

    def __init__(
        self,
        limit: int,
        directory: Path,
        encode: Callable[[Item], bytes],
        decode: Callable[[bytes], tuple[int, Item]],
    ) -> None:
        """`decode` returns the item's id too."""
        self._limit = limit
        self._directory = directory
        self._encode = encode
        self._decode = decode
        self._items: dict[int, Item] = {}
        self._file: IO[bytes] | None = None  # used by its descriptor: a buffer might be torn
        self._unread = 0
        self._read_at = self._write_at = 0

    def __len__(self) -> int:
        return len(self._items) + self._unread

    def put(self, event_id: int, item: Item) -> bool:
        """Keep an item; False when the disk refuses it."""
        if not self._unread and len(self._items) < self._limit:
            self._items[event_id] = item
            return True
        data = self._encode(item)
        data = len(data).to_bytes(_LENGTH_BYTES, "little") + data
        try:
            if self._file is None:
                self._directory.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - stays
            if os.pwrite(self._file.fileno(), data, self._write_at) < len(data):
                return False  # the next one takes the same place
        except OSError:
            return False
        self._write_at += len(data)
        self._unread += 1
        return True

    def peek(self, event_id: int) -> Item | None:
        """Return an item without removing it; None for one that is on the disk."""
        return self._items.get(event_id)

    def any(self) -> Item | None:
        """Return one of the items without removing it; None where none can be read."""
        if not self._items and self._unread:
            try:
                self._read_back()
            except OSError:  # it is told where an item is needed
                return None
        return next(iter(self._items.values()), None)

    def pop(self, event_id: int) -> Item:
        """Remove and return an item that was put. Raises OSError when it cannot be read back."""
        while event_id not in self._items:
            self._read_back()
        return self._items.pop(event_id)

    def _read_back(self) -> None:
        assert self._file is not None  # noqa: S101 - for the type checker: something was written
        descriptor = self._file.fileno()
        for _ in range(min(self._unread, READ_BACK)):
            size = int.from_bytes(os.pread(descriptor, _LENGTH_BYTES, self._read_at), "little")
            data = os.pread(descriptor, size, self._read_at + _LENGTH_BYTES)
            event_id, item = self._decode(data)
            self._read_at += _LENGTH_BYTES + size  # now that nothing can fail any more
            self._items[event_id] = item
            self._unread -= 1
        if not self._unread:
            self._file.close()
            self._file, self._read_at, self._write_at = None, 0, 0
