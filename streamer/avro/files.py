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
BLOCK_MAX_BYTES = 64 << 20
"""Of a block's records, not compressed: four times what is ever written as one. More is refused, so
that a file, or what it inflates to, takes no more memory than this."""
_WRITTEN_BLOCK_BYTES = 16 << 20
_SCHEMA_DEPTH = 32  # lists and objects in each other; ours have seven
_CODECS = ("null", "deflate")


def header(schema: dict[str, Any], codec: Codec, sync: bytes) -> bytes:
    """Return the beginning of a file whose blocks end with the 16 bytes of `sync`."""
    metadata = {"avro.schema": json.dumps(schema, ensure_ascii=False), "avro.codec": codec}
    entries = b"".join(string(key) + string(value) for key, value in metadata.items())
    return MAGIC + long(len(metadata)) + entries + long(0) + sync


def blocks(records: Sequence[bytes], codec: Codec, sync: bytes) -> bytes:
    """Return encoded records as one block, or as several when they are as many as after a stop."""
    parts: list[list[bytes]] = [[]]
    size = 0
    for record in records:
        if size + len(record) > _WRITTEN_BLOCK_BYTES and parts[-1]:
            parts.append([])
            size = 0
        parts[-1].append(record)
        size += len(record)
    return b"".join(block(part, codec, sync) for part in parts)


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

        Raises ValueError when it begins as something else, or with a schema that is none, OSError
        when it cannot be read.
        """
        self.schema: Any = None  # None when not even the header is whole
        self.records = 0
        self.torn_bytes = 0  # behind the last whole block
        self.unreadable = 0  # blocks that `newest_first` has passed over
        self.length_bytes = 0  # of the whole part
        self._codec = "null"
        self._places = array("Q")  # offset and size of each block's data
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._find()
            self.torn_bytes = os.fstat(self._fd).st_size - self.length_bytes
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> ContainerFile:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._fd)

    def newest_first(self) -> Iterator[bytes]:
        """Yield the records, not compressed any more, the last blocks first.

        Small blocks come together, with what is between them. What cannot be read in
        `BLOCK_MAX_BYTES`, or not at all, is passed over and counted in `unreadable`.
        """
        index = len(self._places)
        while index > 0:
            index -= 2
            offset, size = self._places[index], self._places[index + 1]
            if size > BLOCK_MAX_BYTES:
                self.unreadable += 1
                continue
            if self._codec == "deflate":
                try:
                    yield inflated(os.pread(self._fd, size, offset))
                except ValueError:
                    self.unreadable += 1
                continue
            end = offset + size
            while index > 0 and end - self._places[index - 2] <= _TOGETHER_BYTES:
                index -= 2
                offset = self._places[index]
            yield os.pread(self._fd, end - offset, offset)

    def blocks_newest_first(self) -> Iterator[bytes]:
        """Yield the records of each block by itself, the last one first; else as `newest_first`."""
        for index in range(len(self._places) - 2, -1, -2):
            offset, size = self._places[index], self._places[index + 1]
            if size > BLOCK_MAX_BYTES:
                self.unreadable += 1
                continue
            data = os.pread(self._fd, size, offset)
            if self._codec == "deflate":
                try:
                    data = inflated(data)
                except ValueError:
                    self.unreadable += 1
                    continue
            yield data

    def _find(self) -> None:
        begin = os.pread(self._fd, _HEADER_BYTES, 0)
        if not MAGIC.startswith(begin[:4]):
            raise ValueError("not an Avro container file")
        try:
            metadata, length = _read_header(begin)
        except IndexError:
            return
        self.schema = read_schema(metadata.get("avro.schema", b""))
        self._codec = metadata.get("avro.codec", b"null").decode(errors="replace")
        if self._codec not in _CODECS:
            raise ValueError(f"the codec {self._codec[:40]!r} is not read; {_CODECS} are")
        file_bytes = os.fstat(self._fd).st_size
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
            if count <= 0 or not 0 <= size <= file_bytes:
                return
            offset = self.length_bytes - SYNC_BYTES + position


def inflated(data: bytes) -> bytes:
    """Return the records of a compressed block.

    Raises ValueError for what is none, or becomes longer than `BLOCK_MAX_BYTES`.
    """
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        records = decompressor.decompress(data, BLOCK_MAX_BYTES)
    except zlib.error as error:
        raise ValueError(f"a block cannot be inflated: {error}") from None
    if not decompressor.eof:
        raise ValueError(f"a block is cut off, or longer than {BLOCK_MAX_BYTES} bytes inflated")
    return records


def read_schema(text: bytes) -> dict[str, Any]:
    """Return the schema of a file's records. Raises ValueError for what is no record's schema."""
    try:
        schema = json.loads(text)
    except RecursionError:
        raise ValueError("its schema is nested too deeply") from None
    except ValueError:
        raise ValueError("its header contains no schema") from None
    waiting: list[tuple[Any, int]] = [(schema, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > _SCHEMA_DEPTH:
            raise ValueError("its schema is nested too deeply")
        if isinstance(part, (dict, list)):
            inner = part.values() if isinstance(part, dict) else part
            waiting += [(one, depth + 1) for one in inner]
    if not isinstance(schema, dict) or not _are_fields(schema.get("fields")):
        raise ValueError("its schema is that of no record")
    return schema


def _are_fields(fields: Any) -> bool:  # noqa: ANN401 - any JSON
    return isinstance(fields, list) and all(
        isinstance(field, dict) and isinstance(field.get("name"), str) and "type" in field
        for field in fields
    )


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
