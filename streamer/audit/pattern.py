"""A record's Avro encoding as a regular expression, to read a few fields of many records. Pure.

Reading every field of a day takes a general decoder many minutes. Where records are flat, their
encoding is a regular language: the engine walks over it in C and hands out only what is wanted,
some ten times faster. Each record is matched whole, one right after the other, so that anything
that does not belong there is noticed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_LONG = rb"[\x80-\xff]*[\x00-\x7f]"
_TEXT_SIZES = range(128)  # of our texts: a record id of a long symbol in Chinese has 100 bytes
_BYTES_SIZES = range(17)  # 38 digits need 16 bytes
_FIXED = {"boolean": rb"[\x00\x01]", "float": rb".{4}", "double": rb".{8}", "null": b""}

Row = tuple[bytes, ...]
"""The encoded fields that were asked for; a long as `number` reads it."""


class NoPattern(ValueError):  # noqa: N818 - it is no error: another reader is wanted
    """The schema is not flat enough."""


class Mismatch(ValueError):  # noqa: N818 - what a caller tells people names the place
    """The data are not records of the schema."""


class RecordPattern:
    """Reads some fields of records that lie one behind the other. Raises NoPattern."""

    def __init__(self, schema: dict[str, Any], wanted: Sequence[str]) -> None:
        """`wanted` names fields; rows have them in the schema's order: `fields`."""
        types = {field["name"]: field["type"] for field in schema["fields"]}
        if missing := [name for name in wanted if name not in types]:
            raise Mismatch(f"{schema.get('name')} has no field {', '.join(missing)}")
        self.fields = tuple(name for name in types if name in wanted)
        parts = [
            b"(%s)" % _expression(type_) if name in wanted else _expression(type_)
            for name, type_ in types.items()
        ]
        # The last group takes a byte that belongs to no record.
        self._find = re.compile(b"".join(parts) + rb"|(.)", re.DOTALL).findall

    def rows(self, data: bytes, count: int) -> list[Row]:
        """Return the wanted fields of each record. Raises Mismatch unless there are `count`."""
        rows: list[Row] = self._find(data)
        if len(rows) != count or any(row[-1] for row in rows):
            raise Mismatch(f"{count} records are announced, and something else is there")
        return rows


def _expression(type_: Any) -> bytes:  # noqa: ANN401 - a type in a schema's JSON
    if isinstance(type_, list):
        branches = [bytes([2 * index]) for index in range(len(type_))]
        alternatives = [
            re.escape(branch) + _expression(one)
            for branch, one in zip(branches, type_, strict=True)
        ]
        return b"(?:" + b"|".join(alternatives) + b")"
    name = type_.get("type") if isinstance(type_, dict) else type_
    if not isinstance(name, str):
        raise NoPattern(f"{name} has no pattern")
    if name in ("int", "long", "enum"):
        return _LONG
    if name == "string":
        return _sized(_TEXT_SIZES)
    if name == "bytes":
        return _sized(_BYTES_SIZES)
    if name in _FIXED:
        return _FIXED[name]
    raise NoPattern(f"{name} has no pattern")


def _sized(sizes: range) -> bytes:
    """Return a length and as many bytes, for all these lengths."""
    return b"(?:" + b"|".join(b"%s.{%d}" % (re.escape(_length(n)), n) for n in sizes) + b")"


def _length(size: int) -> bytes:
    return bytes([2 * size]) if size < 64 else bytes([2 * size & 0x7F | 0x80, 2 * size >> 7])


class _Numbers(dict[bytes, int]):
    """Decoded longs by their bytes: the high ones repeat for thousands of records."""

    def __missing__(self, encoded: bytes) -> int:
        if len(self) >= 1 << 16:
            self.clear()
        value = shift = 0
        for byte in encoded:
            value |= (byte & 0x7F) << shift
            shift += 7
        self[encoded] = value
        return value


_parts = _Numbers()


def number(encoded: bytes) -> int:
    """Return a number that is not negative from an Avro long."""
    return (_parts[encoded[:2]] | _parts[encoded[2:]] << 14) >> 1


def text(encoded: bytes) -> str:
    """Return the text of an Avro string of less than 8192 bytes."""
    return encoded[1 if encoded[0] < 0x80 else 2 :].decode()
