"""Exported Parquet files as a source of the audit: what was noted of them must be there."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fastavro
import msgspec
import pyarrow
import pyarrow.parquet

from streamer.audit.batches import Batch, Schema, Unreadable
from streamer.audit.layouts import DIRECTORIES
from streamer.data.records import load_schema
from streamer.export.job import STATE
from streamer.export.plan import Exported, Output, number_of

_ROWS_AT_ONCE = 5_000  # as Python's objects: 10 MB of trades
_SYMBOL = "symbol="


class ExportedFiles:
    """The target of an export. Raises OSError."""

    total_bytes: int | None = None

    def __init__(self, target: Path) -> None:
        self._target = target
        self._unreadable: list[Unreadable] = []
        self._outputs: dict[str, list[Output]] = {}  # by kind; gaps last, as of a directory
        for kind in DIRECTORIES:
            for path in sorted((target / STATE / kind).glob("*.json")):  # by day
                self._outputs.setdefault(kind, []).extend(self._noted(path))
        self._schemas = {kind: Schema(load_schema(kind)) for kind in self._outputs}
        every = [one for outputs in self._outputs.values() for one in outputs]
        self.total_records: int | None = sum(one.records for one in every)

    def batches(self, kinds: Collection[str] | None = None) -> Iterator[Batch | Unreadable]:
        """Yield the rows of every file that was noted, encoded as records."""
        yield from self._unreadable
        for kind, outputs in self._outputs.items():
            if kinds is None or kind in kinds:
                for output in outputs:
                    yield from self._file(output, self._schemas[kind])

    def _noted(self, path: Path) -> list[Output]:
        """Return what a day's note tells, in the order of the parts."""
        try:
            noted = msgspec.json.decode(path.read_bytes(), type=Exported)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._unreadable.append(Unreadable(f"{path}: {error}"))
            return []
        if noted.superseded is not None:
            reason = "an export was interrupted here: run it again, it completes this day"
            self._unreadable.append(Unreadable(f"{path}: {reason}"))
            return []
        return sorted(noted.outputs, key=lambda one: number_of(one.file.rpartition("/")[2]))

    def _file(self, output: Output, schema: Schema) -> Iterator[Batch | Unreadable]:
        path = self._target / output.file
        try:
            size = path.stat().st_size
            if size != output.bytes:
                raise ValueError(f"has {size:,} bytes, and {output.bytes:,} were exported")  # noqa: TRY301
            with pyarrow.parquet.ParquetFile(path) as file:
                if (rows := file.metadata.num_rows) != output.records:
                    raise ValueError(f"has {rows:,} rows, and {output.records:,} were exported")  # noqa: TRY301
                for batch in file.iter_batches(_ROWS_AT_ONCE):
                    data = _encoded(batch.to_pylist(), schema.definition, _symbol_of(output.file))
                    yield Batch(schema, batch.num_rows, data, str(path))
        except OSError as error:
            yield Unreadable(f"{path}: {error.strerror or error}")
        except (ValueError, TypeError, LookupError, pyarrow.ArrowException) as error:
            yield Unreadable(f"{path}: {error}")


def _symbol_of(file: str) -> str | None:
    """Return the symbol in a path, None where the rows have it."""
    parts = [part for part in file.split("/") if part.startswith(_SYMBOL)]
    return unquote(parts[0].removeprefix(_SYMBOL)) if parts else None


def _encoded(rows: list[dict[str, Any]], schema: dict[str, Any], symbol: str | None) -> bytes:
    """Return rows as Avro. Raises ValueError, TypeError, LookupError for what is no record."""
    stream, ready = io.BytesIO(), fastavro.parse_schema(schema)
    for row in rows:
        if symbol is not None:
            row["symbol"] = symbol
        fastavro.schemaless_writer(stream, ready, row)
    return stream.getvalue()
