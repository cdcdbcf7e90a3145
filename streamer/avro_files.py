"""Avro object container files: what is written, and how much of a torn file is whole.

A file is a header and blocks; each block tells its number of records and its length, and ends
with the file's 16-byte sync marker. Whatever is cut off at the end can only spoil the last block.
"""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from streamer.avro_binary import long, string

Codec = Literal["null", "deflate"]

MAGIC = b"Obj\x01"
SYNC_BYTES = 16


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
    with path.open("rb") as file:
        if not path.stat().st_size:
            return Intact(0, 0)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _intact(data)


def _intact(data: mmap.mmap) -> Intact:
    if not MAGIC.startswith(data[:4]):
        raise ValueError("not an Avro container file")
    try:
        length = _header_length(data)
    except IndexError:
        return Intact(0, 0)
    sync = data[length - SYNC_BYTES : length]
    records = 0
    while True:
        try:
            count, position = _read_long(data, length)
            size, position = _read_long(data, position)
        except IndexError:
            break
        end = position + size + SYNC_BYTES
        if count <= 0 or size < 0 or data[end - SYNC_BYTES : end] != sync:
            break
        length = end
        records += count
    return Intact(length, records)


def _header_length(data: mmap.mmap) -> int:
    """Return where the first block begins. Raises IndexError when the header is cut off."""
    position = len(MAGIC)
    while True:
        entries, position = _read_long(data, position)
        if entries == 0:
            break
        if entries < 0:  # the other form, with its length in bytes
            entries = -entries
            _, position = _read_long(data, position)
        for _ in range(2 * entries):
            size, position = _read_long(data, position)
            position += size
    if position + SYNC_BYTES > len(data):
        raise IndexError(position)
    return position + SYNC_BYTES


def _read_long(data: mmap.mmap, position: int) -> tuple[int, int]:
    """Return a long and where the next thing begins. Raises IndexError at the end of data."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value >> 1 ^ -(value & 1), position
        if shift > 63:
            raise IndexError(position)  # no long: as good as cut off here
