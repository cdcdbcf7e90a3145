"""Single fields of an encoded Avro record, by the schema that it was written with. Pure.

For a few records at the start of a streamer: a general reader would cost 10 MiB and a tenth of a
second more.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from streamer.avro.binary import read_long

_FIXED_BYTES = {"null": 0, "boolean": 1, "float": 4, "double": 8}


def read_fields(
    fields: list[Any], data: bytes, position: int, wanted: Collection[str]
) -> dict[str, Any]:
    """Return those of the wanted fields that there are, integers or bytes or None.

    `fields` are a schema's from the one on that begins at `position`. Raises ValueError for what
    cannot be read.
    """
    found: dict[str, Any] = {}
    try:
        for field in fields:
            if len(found) == len(wanted):
                break
            value, position = _read(field["type"], data, position)
            if field["name"] in wanted:
                found[field["name"]] = value
    except (LookupError, TypeError) as error:
        raise ValueError(f"no such record: {error!r}") from error
    return found


def _read(kind: Any, data: bytes, position: int) -> tuple[Any, int]:  # noqa: ANN401 - JSON's types
    """Return a value, of compound types None, and where the next one begins."""
    if isinstance(kind, list):
        branch, position = read_long(data, position)
        return _read(kind[branch], data, position)
    if isinstance(kind, dict):
        name = kind["type"]
        if name == "array":
            return _skip_items(kind["items"], data, position)
        if name == "record":
            for field in kind["fields"]:
                _, position = _read(field["type"], data, position)
            return None, position
        return read_long(data, position) if name == "enum" else _read(name, data, position)
    if kind in ("int", "long"):
        return read_long(data, position)
    if kind in ("string", "bytes"):
        size, position = read_long(data, position)
        return data[position : position + size], position + size
    return None, position + _FIXED_BYTES[kind]


def _skip_items(kind: Any, data: bytes, position: int) -> tuple[None, int]:  # noqa: ANN401 - as above
    while True:
        count, position = read_long(data, position)
        if count == 0:
            return None, position
        if count < 0:  # the form with its length in bytes
            size, position = read_long(data, position)
            position += size
        else:
            for _ in range(count):
                _, position = _read(kind, data, position)
