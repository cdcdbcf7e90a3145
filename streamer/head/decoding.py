"""Records of any schema, as Python has them: numbers as `Decimal`, times as `datetime`."""

from __future__ import annotations

import io
from typing import Any

import fastavro

from streamer.head.last_records import Record


def parsed(schema: dict[str, Any]) -> Any:  # noqa: ANN401 - fastavro's own
    """Return a schema for `decoded`. Raises ValueError for one that is none."""
    try:
        return fastavro.parse_schema(schema)
    except Exception as error:
        raise ValueError(f"its schema cannot be used: {error}") from error


def decoded(data: bytes, schema: Any) -> list[Record]:  # noqa: ANN401 - as above
    """Return the records that lie one behind the other. Raises ValueError."""
    stream = io.BytesIO(data)
    records = []
    while (position := stream.tell()) < len(data):
        try:
            record = fastavro.schemaless_reader(stream, schema, None)
        except Exception as error:
            raise ValueError(f"a record cannot be decoded: {error}") from error
        if not isinstance(record, dict) or stream.tell() == position:
            raise ValueError("a record cannot be decoded: it has no fields")
        records.append(record)
    return records
