"""Avro object container files: what is written, and how much of a torn file is whole.

A file is a header and blocks; each block tells its number of records and its length, and ends
with the file's 16-byte sync marker. Whatever is cut off at the end can only spoil the last block.
"""

from __future__ import annotations

import json
import os
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from streamer.avro.binary import long, read_long, string

Codec = Literal["null", "deflate"]

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
_HEADER_BYTES = 1 << 20  # most of it the schema, of which 10 kB are much
_TOGETHER_BYTES = 1 << 19  # read at once; a block of 2,000 trades has 200 kB
_LONGS_BYTES = 20  # a block's count and length at most


def header(schema: dict[str, Any], codec: Codec, sync: bytes) -> bytes:
    """Return the beginning of a file whose blocks end with the 16 bytes of `sync`."""
    metadata = {"avro.schema": json.dumps(schema, ensure_ascii=False), "avro.codec": codec}
    entries = b"".join(string(key) + string(value) for key, value in metadata.items())
    return MAGIC + long(len(metadata)) + entries + long(0) + sync


def block(records: Sequence[bytes], codec: Codec, sync: bytes) -> bytes:
    """Return a block of encoded records."""
    data = b"".join(records)
    if codec == "deflate":
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)  # Avro wants it without zlib's header
        data = compressor.compress(data) + compressor.flush()
    return b"".join((long(len(records)), long(len(data)), data, sync))


@dataclass(frozen=True, slots=True)
class Intact:
    """The whole part of a file, from its beginning."""

    length_bytes: int  # 0 when not even the header is whole
    records: int


def intact(path: Path) -> Intact:
    """Return how much of a container file is whole.

    Raises ValueError when it begins as something else, OSError when it cannot be read.
    """
    with ContainerFile(path) as file:
        return Intact(file.length_bytes, file.records)


class ContainerFile:
    """A container file being read, which may be torn: its schema, and its whole blocks.

    Only the blocks' headers are read until a block is asked for, and nothing is mapped: a file of
    any size costs 16 bytes of memory a block.
    """

    def __init__(self, path: Path) -> None:
        """Find the whole blocks.

        Raises ValueError when it begins as something else, OSError when it cannot be read.
        """
        self.schema: Any = None  # None when not even the header is whole
        self.records = 0
        self.length_bytes = 0  # of the whole part
        self._codec = "null"
        self._places = array("Q")  # offset and size of each block's data
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._find()
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> ContainerFile:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._fd)

    def newest_first(self) -> Iterator[bytes]:
        """Yield the records, not compressed any more, the last blocks first.

        Small blocks come together, with what is between them. Raises zlib.error for data that is
        no compressed data.
        """
        index = len(self._places)
        while index > 0:
            index -= 2
            offset, size = self._places[index], self._places[index + 1]
            if self._codec == "deflate":
                yield zlib.decompress(os.pread(self._fd, size, offset), -zlib.MAX_WBITS)
                continue
            end = offset + size
            while index > 0 and end - self._places[index - 2] <= _TOGETHER_BYTES:
                index -= 2
                offset = self._places[index]
            yield os.pread(self._fd, end - offset, offset)

    def _find(self) -> None:
        begin = os.pread(self._fd, _HEADER_BYTES, 0)
        if not MAGIC.startswith(begin[:4]):
            raise ValueError("not an Avro container file")
        try:
            metadata, length = _read_header(begin)
        except IndexError:
            return
        self.schema = json.loads(metadata.get("avro.schema", b"null"))
        self._codec = metadata.get("avro.codec", b"null").decode()
        sync = begin[length - SYNC_BYTES : length]
        offset, size, count = length - SYNC_BYTES, 0, 0
        while True:
            # The sync marker that ends a block and the next block's two longs come with one call.
            ahead = os.pread(self._fd, SYNC_BYTES + _LONGS_BYTES, offset + size)
            if ahead[:SYNC_BYTES] != sync:
                return
            if count:
                self._places.extend((offset, size))
                self.records += count
            self.length_bytes = offset + size + SYNC_BYTES
            try:
                count, position = read_long(ahead, SYNC_BYTES)
                size, position = read_long(ahead, position)
            except IndexError:
                return
            if count <= 0 or size < 0:
                return
            offset = self.length_bytes - SYNC_BYTES + position


def header_length(begin: bytes) -> int:
    """Return where the first block of a file that begins so is. Raises ValueError."""
    if not begin.startswith(MAGIC):
        raise ValueError("not an Avro container file")
    try:
        return _read_header(begin)[1]
    except IndexError:
        raise ValueError("the header is cut off") from None


def _read_header(data: bytes) -> tuple[dict[str, bytes], int]:
    """Return the metadata and where the first block begins. Raises IndexError when cut off."""
    metadata: dict[str, bytes] = {}
    position = len(MAGIC)
    while True:
        entries, position = read_long(data, position)
        if entries == 0:
            break
        if entries < 0:  # the other form, with its length in bytes
            entries = -entries
            _, position = read_long(data, position)
        for _ in range(entries):
            key, position = _read_bytes(data, position)
            metadata[key.decode(errors="replace")], position = _read_bytes(data, position)
    if position + SYNC_BYTES > len(data):
        raise IndexError(position)
    return metadata, position + SYNC_BYTES


def _read_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    size, position = read_long(data, position)
    end = position + size
    if size < 0 or end > len(data):
        raise IndexError(end)
    return data[position:end], end
