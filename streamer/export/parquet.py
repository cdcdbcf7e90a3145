"""Parquet files of one job: a row group at a time, in place only when they are whole."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow
import pyarrow.parquet

from streamer.export.columns import arrow_schema, column
from streamer.export.plan import Job, Output, path_of
from streamer.sinks.directories import sync_directory

ROWS_CONVERTED = 50_000
"""Records as Python has them at once, about 50 MB."""
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
        self._rows_total = 0
        self._files: dict[str | None, _File] = {}
        self._last: dict[tuple[str | None, str], Place] = {}
        self._unsorted: set[str | None] = set()

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Take records. Raises OSError, ValueError."""
        by_symbol = "symbol" in self._partition
        for record in records:
            symbol = record["symbol"] if by_symbol else None
            self._rows[symbol].append(record)
            self._rows_total += 1
            stream, place = place_of(record["record_id"])  # of which a file may hold several
            if place < self._last.get((symbol, stream), place):
                self._unsorted.add(symbol)
            self._last[symbol, stream] = place
        if self._rows_total >= ROWS_CONVERTED:
            self._convert()

    def finish(self) -> tuple[Output, ...]:
        """Put the files in place, and return what they are. Raises OSError, ValueError."""
        self._convert()
        for symbol, file in self._files.items():  # all are whole before the first is in place
            file.close(sort=symbol in self._unsorted)
        return tuple(
            Output(path_of(self._job, self._partition, _quoted(symbol)), file.records, file.place())
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
        self._rows_total = 0


class _File:
    """One Parquet file, under another name until it is whole."""

    def __init__(self, path: Path, schema: pyarrow.Schema) -> None:
        self._path = path
        self._new = path.with_name(f".{path.name}{NEW_SUFFIX}")  # readers pass over a dot
        self._schema = schema
        self._waiting: list[pyarrow.Table] = []
        self._rows = 0
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
        self.records += table.num_rows
        if self._rows >= ROW_GROUP:
            self._write()

    def close(self, *, sort: bool) -> None:
        """Make the file whole, under its other name. With `sort` it is read and written again."""
        self._write()
        self._writer.close()
        if sort:
            table = pyarrow.parquet.read_table(self._new, partitioning=None)
            ids = table.column("record_id").to_pylist()
            order = sorted(range(len(ids)), key=lambda row: place_of(ids[row]))
            self._writer = self._opened()
            self._waiting = [table.take(pyarrow.array(order, pyarrow.int64()))]
            self._write()
            self._writer.close()
        if (rows := pyarrow.parquet.read_metadata(self._new).num_rows) != self.records:
            raise ValueError(f"{self._new}: {rows} rows, though {self.records} were written")

    def place(self) -> int:
        """Give the file its name, once it is on the disk; return its length in bytes."""
        fd = os.open(self._new, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
            size_bytes = os.fstat(fd).st_size
        finally:
            os.close(fd)
        os.replace(self._new, self._path)  # noqa: PTH105 - the atomic one
        sync_directory(self._path.parent)
        return size_bytes

    def abandon(self) -> None:
        """Leave nothing behind. Raises OSError."""
        self._writer.close()
        self._new.unlink(missing_ok=True)

    def _write(self) -> None:
        if self._waiting:
            table = pyarrow.concat_tables(self._waiting)
            self._writer.write_table(table, row_group_size=ROW_GROUP)
        self._waiting.clear()
        self._rows = 0


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
