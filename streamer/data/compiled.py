"""Encoders of records by the optional extension, where it is installed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from streamer.avro.accelerator import ACCELERATOR, Accelerator
from streamer.data.record_head import Encode, RecordHead

_NONE: Mapping[str, bytes] = MappingProxyType({})


class Field(NamedTuple):
    """A field behind the symbol: how it is written, and the event's attribute.

    `received` is the time of arrival, which is none of the event's; an `enum` has the byte of each
    value.
    """

    kind: Literal["long", "received", "decimal", "boolean", "enum"]
    name: str = ""
    codes: Mapping[str, bytes] = _NONE


def compiled_or(
    make: Callable[[RecordHead], Encode],
    fields: tuple[Field, ...],
    *,
    suffix: bytes = b"",
    accelerator: Accelerator | None = ACCELERATOR,
) -> Callable[[RecordHead], Encode]:
    """Return what makes encoders of a kind: those of the extension, or `make` without it.

    `fields` are the record's behind its symbol, in order, and `suffix` what ends each record: both
    write the same bytes, and what the extension cannot write it hands to what `make` returns.
    """
    if accelerator is None:
        return make
    compiled = accelerator.RecordEncoder
    return lambda head: compiled(make(head), head.prefix, head.id_text, head.symbol, fields, suffix)
