"""Reading Avro object container files block by block, from the beginning, while they still grow."""

from __future__ import annotations

import os
from pathlib import Path

from streamer.avro.binary import read_long
from streamer.avro.files import SYNC_BYTES, header_length

_HEADER_BYTES = 64 << 10  # more than any header of ours
_BLOCK_HEAD_BYTES = 20  # two longs


class BlockReader:
    """Reads one file. Codec `null` only.

    `header` is the file's beginning; its last 16 bytes are the sync marker.
    """

    def __init__(self, path: Path) -> None:
        """Open a file. Raises OSError, and ValueError when its header is not whole."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            start = os.pread(self._fd, _HEADER_BYTES, 0)
            self.header = start[: header_length(start)]
        except (OSError, ValueError):
            os.close(self._fd)
            raise
        self._position = len(self.header)

    def read(self) -> tuple[int, bytes] | None:
        """Return the next block's number of records, and the records one after another.

        None behind the last whole one. Raises OSError.
        """
        head = os.pread(self._fd, _BLOCK_HEAD_BYTES, self._position)
        try:
            records, start = read_long(head, 0)
            size, start = read_long(head, start)
        except IndexError:
            return None
        if records <= 0 or not 0 <= size <= os.fstat(self._fd).st_size:
            return None
        data = os.pread(self._fd, size + SYNC_BYTES, self._position + start)
        if data[size:] != self.header[-SYNC_BYTES:]:
            return None
        self._position += start + size + SYNC_BYTES
        return records, data[:size]

    def rest(self) -> bytes:
        """Return everything from the next block on, as it lies there. Raises OSError."""
        return os.pread(self._fd, os.fstat(self._fd).st_size - self._position, self._position)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)
