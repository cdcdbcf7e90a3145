"""Parquet files of one job: a row group at a time, in place only when they are whole."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow
import pyarrow.parquet

from streamer.export.columns import arrow_schema, column
from streamer.export.plan import Job, Output, path_of
from streamer.sinks.directories import sync_directory

CONVERTED_BYTES = 4 << 20
"""Avro that is held as Python's objects at once: ten times as much, of books forty times."""
WAITING_BYTES = 128 << 20
"""Columns that wait for a row group to be full, of all files: beyond it the largest are written."""
ROW_GROUP = 250_000
"""Rows of a row group, some 5 MB compressed: enough for a scan, little enough to be passed over."""
NEW_SUFFIX = ".new"
Place = tuple[int, ...]
"""What the records of a stream ascend by."""


class ParquetFiles:
    """Takes the records of a job in their order, and writes a file for each partition."""

    def __init__(
        self, target: Path, job: Job, partition: tuple[str, ...], schema: dict[str, Any]
    ) -> None:
        """Write below `target`; `schema` is the Avro schema of all records.

        Its types are defined where they are used (`container_schema`). Raises ValueError.
        """
        self._target = target
        self._job = job
        self._partition = partition
        self._fields = [
            field for field in schema["fields"] if field["name"] not in partition
        ]  # a partition's value is in the path
        self._schema = arrow_schema({"fields": self._fields})
        self._rows: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
        self._rows_bytes = 0  # as Avro
        self._files: dict[str | None, _File] = {}
        self._last: dict[tuple[str | None, str], Place] = {}
        self._unsorted: set[str | None] = set()

    def add(self, records: Iterable[dict[str, Any]], avro_bytes: int) -> None:
        """Take records, so long as Avro. Raises OSError, ValueError."""
        by_symbol = "symbol" in self._partition
        for record in records:
            symbol = record["symbol"] if by_symbol else None
            self._rows[symbol].append(record)
            stream, place = place_of(record["record_id"])  # of which a file may hold several
            if place < self._last.get((symbol, stream), place):
                self._unsorted.add(symbol)
            self._last[symbol, stream] = place
        self._rows_bytes += avro_bytes
        if self._rows_bytes >= CONVERTED_BYTES:
            self._convert()

    def finish(self) -> tuple[Output, ...]:
        """Make the files whole, and return what they are; `place` gives them their names.

        Raises OSError, ValueError.
        """
        self._convert()
        return tuple(
            Output(
                path_of(self._job, self._partition, _quoted(symbol)),
                file.records,
                file.close(sort=symbol in self._unsorted),
            )
            for symbol, file in self._files.items()
        )

    def abandon(self) -> None:
        """Remove what was begun."""
        for file in self._files.values():
            file.abandon()

    def _convert(self) -> None:
        for symbol, rows in self._rows.items():
            columns = [
                column(field["type"], [row[field["name"]] for row in rows])
                for field in self._fields
            ]
            file = self._files.get(symbol)
            if file is None:
                path = self._target / path_of(self._job, self._partition, _quoted(symbol))
                file = self._files[symbol] = _File(path, self._schema)
            file.add(pyarrow.Table.from_arrays(columns, schema=self._schema))
        self._rows.clear()
        self._rows_bytes = 0
        waiting_bytes = sum(file.waiting_bytes for file in self._files.values())
        for file in sorted(self._files.values(), key=lambda one: -one.waiting_bytes):
            if waiting_bytes <= WAITING_BYTES:
                break
            waiting_bytes -= file.waiting_bytes
            file.write()


class _File:
    """One Parquet file, under another name until it is whole."""

    def __init__(self, path: Path, schema: pyarrow.Schema) -> None:
        self._new = _unplaced(path)
        self._schema = schema
        self._waiting: list[pyarrow.Table] = []
        self._rows = 0
        self.waiting_bytes = 0
        self.records = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = self._opened()

    def _opened(self) -> pyarrow.parquet.ParquetWriter:
        return pyarrow.parquet.ParquetWriter(
            self._new,
            self._schema,
            compression="zstd",
            use_dictionary=[name for name in self._schema.names if name != "record_id"],
            column_encoding={"record_id": "DELTA_BYTE_ARRAY"},  # each begins as the one before
        )

    def add(self, table: pyarrow.Table) -> None:
        """Take more rows. Raises OSError."""
        self._waiting.append(table)
        self._rows += table.num_rows
        self.waiting_bytes += table.nbytes
        self.records += table.num_rows
        if self._rows >= ROW_GROUP:
            self.write()

    def close(self, *, sort: bool) -> int:
        """Make the file whole and durable, under its other name; return its length in bytes.

        With `sort` it is read and written again.
        """
        self.write()
        self._writer.close()
        if sort:
            table = pyarrow.parquet.read_table(self._new, partitioning=None)
            ids = table.column("record_id").to_pylist()
            order = sorted(range(len(ids)), key=lambda row: place_of(ids[row]))
            self._writer = self._opened()
            self._waiting = [table.take(pyarrow.array(order, pyarrow.int64()))]
            self.write()
            self._writer.close()
        if (rows := pyarrow.parquet.read_metadata(self._new).num_rows) != self.records:
            raise ValueError(f"{self._new}: {rows} rows, though {self.records} were written")

        fd = os.open(self._new, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def abandon(self) -> None:
        """Leave nothing behind. Raises OSError."""
        self._writer.close()
        self._new.unlink(missing_ok=True)

    def write(self) -> None:
        """Write what waits as a row group. Raises OSError."""
        if self._waiting:
            table = pyarrow.concat_tables(self._waiting)
            self._writer.write_table(table, row_group_size=ROW_GROUP)
        self._waiting.clear()
        self._rows = self.waiting_bytes = 0


def place(path: Path) -> None:
    """Give a whole file its name, unless it has it already. Raises OSError."""
    with suppress(FileNotFoundError):
        os.replace(_unplaced(path), path)  # noqa: PTH105 - the atomic one
        sync_directory(path.parent)


def _unplaced(path: Path) -> Path:
    return path.with_name(f".{path.name}{NEW_SUFFIX}")  # readers pass over a dot


def place_of(record_id: str) -> tuple[str, Place]:
    """Return the symbol and stream of a record, and what it ascends by: the epoch, if any, and ids.

    The number of numbers comes first: the first epoch has none, and is before all others. Gap
    records keep their order.
    """
    _, _, symbol, name, *numbers = record_id.split(":")
    stream = f"{symbol}:{name}"
    if "gap" in numbers:
        return stream, ()
    return stream, (len(numbers), *map(int, numbers))


def _quoted(symbol: str | None) -> str | None:
    """Return a symbol as part of a path: readers decode it as they do a URL."""
    return None if symbol is None else quote(symbol, safe="")
