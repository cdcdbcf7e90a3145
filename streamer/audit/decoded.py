"""Rows of records that no pattern fits, through a general decoder: slower, and for any schema."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from streamer.audit.pattern import Mismatch, NoPattern, RecordPattern, Row
from streamer.avro.binary import long, string


class DecodedRecords:
    """As `RecordPattern`; what is neither text nor a whole number comes as its `repr`."""

    def __init__(self, schema: dict[str, Any], wanted: Sequence[str]) -> None:
        import fastavro  # here, since most schemas do not need it

        names = [field["name"] for field in schema["fields"]]
        if missing := [name for name in wanted if name not in names]:
            raise Mismatch(f"{schema.get('name')} has no field {', '.join(missing)}")
        self.fields = tuple(name for name in names if name in wanted)
        self._schema = parsed(schema)
        self._read = fastavro.schemaless_reader

    def rows(self, data: bytes, count: int) -> list[Row]:
        """Return the wanted fields of each record. Raises Mismatch unless there are `count`."""
        stream = io.BytesIO(data)
        rows = []
        try:
            while stream.tell() < len(data):
                record: Any = self._read(stream, self._schema, None)
                rows.append((*(_encoded(record[name]) for name in self.fields), b""))
        except Exception as error:
            raise Mismatch(f"a record cannot be decoded: {error}") from error
        if len(rows) != count:
            raise Mismatch(f"{count} records are announced, and {len(rows)} are there")
        return rows


def reader(schema: dict[str, Any], wanted: Sequence[str]) -> RecordPattern | DecodedRecords:
    """Return what reads the wanted fields of a schema's records. Raises Mismatch."""
    try:
        return RecordPattern(schema, wanted)
    except NoPattern:
        return DecodedRecords(schema, wanted)


def parsed(schema: dict[str, Any]) -> Any:  # noqa: ANN401 - fastavro's own
    """Return a schema for fastavro, without logical types. Raises Mismatch for one that is none."""
    import fastavro

    try:
        return fastavro.parse_schema(plain(schema))
    except Exception as error:
        raise Mismatch(f"its schema cannot be used: {error}") from error


def plain(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Return the schema without logical types: numbers and bytes stay what they are."""
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if isinstance(schema, dict):
        return {key: plain(one) for key, one in schema.items() if key != "logicalType"}
    return schema


def _encoded(value: Any) -> bytes:  # noqa: ANN401 - any decoded value
    if isinstance(value, str):
        return string(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return long(value)
    return repr(value).encode()
