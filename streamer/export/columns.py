"""From Avro's values to Arrow's columns, exact: decimals by their bytes, times as microseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow

_DECIMAL_BYTES = 16
_SIMPLE = {
    "string": pyarrow.string(),
    "long": pyarrow.int64(),
    "int": pyarrow.int32(),
    "boolean": pyarrow.bool_(),
    "bytes": pyarrow.binary(),
    "double": pyarrow.float64(),
    "float": pyarrow.float32(),
}
_TIME = pyarrow.timestamp("us", tz="UTC")


def arrow_type(kind: Any) -> pyarrow.DataType:  # noqa: ANN401 - an Avro type, JSON
    """Return the Arrow type of an Avro type. Raises ValueError for one that has none here."""
    if isinstance(kind, list):
        return arrow_type(_branch(kind))
    if isinstance(kind, str):
        if kind not in _SIMPLE:
            raise ValueError(f"the Avro type {kind!r} has no column here")
        return _SIMPLE[kind]
    name, logical = kind["type"], kind.get("logicalType")
    if logical == "decimal" and name == "bytes":
        return pyarrow.decimal128(kind["precision"], kind.get("scale", 0))
    if logical == "timestamp-micros":
        return _TIME
    if name == "enum":
        return pyarrow.string()
    if name == "array":
        return pyarrow.list_(arrow_type(kind["items"]))
    if name == "record":
        return pyarrow.struct([_field(field) for field in kind["fields"]])
    return arrow_type(name)


def arrow_schema(schema: dict[str, Any]) -> pyarrow.Schema:
    """Return the schema of a record's columns. Raises ValueError."""
    return pyarrow.schema([_field(field) for field in schema["fields"]])


def _field(field: dict[str, Any]) -> pyarrow.Field:
    is_optional = isinstance(field["type"], list)
    return pyarrow.field(field["name"], arrow_type(field["type"]), nullable=is_optional)


def column(kind: Any, values: Sequence[Any]) -> pyarrow.Array:  # noqa: ANN401 - an Avro type
    """Return values of an Avro type, without their logical types, as a column."""
    if isinstance(kind, list):
        return column(_branch(kind), values)
    wanted = arrow_type(kind)
    if pyarrow.types.is_decimal(wanted):
        return _decimals(wanted, values)
    if wanted == _TIME:
        return pyarrow.array(values, pyarrow.int64()).cast(wanted)
    if pyarrow.types.is_list(wanted):
        offsets = [0]
        for value in values:
            offsets.append(offsets[-1] + len(value))
        items = column(kind["items"], [item for value in values for item in value])
        return pyarrow.ListArray.from_arrays(pyarrow.array(offsets, pyarrow.int32()), items, wanted)
    if pyarrow.types.is_struct(wanted):
        parts = [
            column(field["type"], [value[field["name"]] for value in values])
            for field in kind["fields"]
        ]
        return pyarrow.StructArray.from_arrays(parts, fields=list(wanted))
    return pyarrow.array(values, wanted)


def _decimals(wanted: pyarrow.DataType, values: Sequence[bytes | None]) -> pyarrow.Array:
    """Return two's complement of any length, big-endian, as 128 bits, little-endian.

    Raises ValueError for one of more digits than the type has.
    """
    limit = 10**wanted.precision
    parts = []
    for value in values:
        number = int.from_bytes(value or b"", "big", signed=True)
        if not -limit < number < limit:
            raise ValueError(f"a number of more than {wanted.precision} digits")
        parts.append(number.to_bytes(_DECIMAL_BYTES, "little", signed=True))
    valid = None
    if None in values:
        mask = pyarrow.array([value is not None for value in values])
        valid = mask.buffers()[1]
    data = pyarrow.py_buffer(b"".join(parts))
    return pyarrow.Array.from_buffers(wanted, len(values), [valid, data])


def _branch(union: list[Any]) -> Any:  # noqa: ANN401 - an Avro type
    """Return the type that an optional value has. Raises ValueError for other unions."""
    branches = [one for one in union if one != "null"]
    if len(branches) != 1:
        raise ValueError(f"a union of {len(branches)} types has no column here")
    return branches[0]
