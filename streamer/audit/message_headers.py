"""How a message of ours begins, and the schema that it means; which topics hold records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any

from streamer.audit.batches import Schema
from streamer.audit.layouts import DIRECTORIES
from streamer.data.records import load_schema
from streamer.values import SYMBOL_PLACE

_SINGLE_OBJECT, _REGISTRY = b"\xc3\x01", b"\x00"  # how the two encodings of a message begin
_SINGLE_OBJECT_BYTES, _REGISTRY_BYTES = 10, 5


class MessageHeaders:
    """What stands before a record, and the schema that it means."""

    def __init__(self) -> None:
        self._current = {kind: Schema(load_schema(kind)) for kind in DIRECTORIES}
        self._by_fingerprint = {
            _single_object_header(schema.definition): schema
            for kind in DIRECTORIES
            for schema in (*_released(kind), self._current[kind])
        }

    def length(self, kind: str, value: bytes) -> int | None:
        """Return how long the header is; None when it is none of ours."""
        if value.startswith(_SINGLE_OBJECT):
            known = value[:_SINGLE_OBJECT_BYTES] in self._by_fingerprint
            return _SINGLE_OBJECT_BYTES if known else None
        return _REGISTRY_BYTES if value.startswith(_REGISTRY) else None

    def schema(self, kind: str, value: bytes) -> Schema:
        """Return the schema; a registry's id is taken for the current one of the topic's kind."""
        return self._by_fingerprint.get(value[:_SINGLE_OBJECT_BYTES], self._current[kind])


def _released(kind: str) -> Iterator[Schema]:
    for path in (files("streamer") / "schemas" / "history").iterdir():
        if path.name.startswith(f"{kind}."):
            yield Schema(json.loads(path.read_text(encoding="utf-8")))


def _single_object_header(schema: dict[str, Any]) -> bytes:
    from fastavro.schema import fingerprint, to_parsing_canonical_form

    digest: str = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
    return _SINGLE_OBJECT + bytes.fromhex(digest)


def topics_of_records(found: Iterable[str], topics: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield those of the topics found that are named so, with the kind of their records.

    `topics` are names by kind; a `{symbol}` in one stands for anything.
    """
    for topic in found:
        for kind, name in topics.items():
            before, place, after = name.partition(SYMBOL_PLACE)
            fits = topic.startswith(before) and topic.endswith(after) if place else topic == name
            if fits and kind in DIRECTORIES:
                yield topic, kind
