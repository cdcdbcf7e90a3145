"""Avro container files, read to the last whole block: also those that are still being written.

Files are read, not mapped: a file in progress may become shorter when a crash is repaired.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from streamer.audit.batches import Unreadable
from streamer.avro.files import MAGIC, SYNC_BYTES, inflated, read_schema

_BUFFER_BYTES = 1 << 20
_LONG_BYTES = 10
_HEADER_ENTRIES = 1_000  # far above what any writer has


class Torn(Exception):  # noqa: N818 - the usual end of a file in progress
    """The data end within something."""


class Container:
    """A container file up to `limit_bytes`. Raises Unreadable, Torn (no whole header), OSError."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.path = path
        self._left = limit_bytes
        self._file: IO[bytes] = path.open("rb", buffering=_BUFFER_BYTES)
        try:
            metadata = self._header()
            self._sync = self._take(SYNC_BYTES)
            self.schema: dict[str, Any] = read_schema(metadata.get("avro.schema", b""))
        except ValueError as error:
            self._file.close()
            raise Unreadable(f"{path}: {error}") from None
        except BaseException:
            self._file.close()
            raise
        self._codec = metadata.get("avro.codec", b"null").decode(errors="replace")
        if self._codec not in ("null", "deflate"):
            self._file.close()
            raise Unreadable(f"{path}: the codec {self._codec} is not read; null and deflate are")

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield number of records and data of each block. Raises Torn at a block that is cut off.

        Raises Unreadable for what is no block.
        """
        while self._left:
            count, size = self._long(), self._long()
            if count <= 0 or size < 0:
                raise Unreadable(f"{self.path}: a block announces {count} records, {size} bytes")
            data = self._take(size)
            if self._take(SYNC_BYTES) != self._sync:
                raise Unreadable(f"{self.path}: a block of {count} records does not end as it must")
            if self._codec == "deflate":
                try:
                    data = inflated(data)
                except ValueError as error:
                    raise Unreadable(f"{self.path}: {error}") from None
            yield count, data

    def _header(self) -> dict[str, bytes]:
        beginning = self._take(min(len(MAGIC), self._left)) if self._left else b""
        if beginning != MAGIC:
            if MAGIC.startswith(beginning):
                raise Torn
            raise Unreadable(f"{self.path}: no Avro container file")
        metadata: dict[str, bytes] = {}
        while entries := self._long():
            if entries < 0:  # the other form, with its length in bytes
                entries = -entries
                self._long()
            if entries > _HEADER_ENTRIES:
                raise Unreadable(f"{self.path}: its header announces {entries} entries")
            for _ in range(entries):
                key = self._take(self._long())
                metadata[key.decode(errors="replace")] = self._take(self._long())
        return metadata

    def _take(self, size: int) -> bytes:
        if size < 0:
            raise Unreadable(f"{self.path}: something of {size} bytes is announced")
        if size > self._left:
            raise Torn
        data = self._file.read(size)
        if len(data) < size:
            raise Torn
        self._left -= size
        return data

    def _long(self) -> int:
        value = shift = 0
        for _ in range(_LONG_BYTES):
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value >> 1 ^ -(value & 1)
        raise Unreadable(f"{self.path}: a number of more than {_LONG_BYTES} bytes")
