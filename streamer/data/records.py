"""From an event to the bytes of its Avro record (`streamer/schemas`).

The encoders of the kinds (`streamer.data.kinds`) write the schemas' fields in their order; the
tests read them back with fastavro and compare every field.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from streamer.avro.binary import long, optional_long, string
from streamer.data.binance_spot import RECORD_ID_PREFIX
from streamer.data.catalogue import BY_NAME, BY_STREAM
from streamer.data.events import FILLED, GapRecord
from streamer.data.record_head import Encode, RecordHead, record_head


@cache
def load_schema(kind: str) -> dict[str, Any]:
    """Return the Avro schema of a stream kind."""
    text = (files("streamer") / "schemas" / f"{kind}.avsc").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@cache
def single_object_header(kind: str) -> bytes:
    """Return what marks a record in Avro's single-object encoding: C3 01 and a fingerprint.

    The fingerprint is CRC-64-AVRO of the schema's parsing canonical form, little-endian.
    """
    from fastavro.schema import fingerprint, to_parsing_canonical_form  # only Kafka needs it

    digest: str = fingerprint(to_parsing_canonical_form(load_schema(kind)), "CRC-64-AVRO")
    return b"\xc3\x01" + bytes.fromhex(digest)


def record_place(record: bytes, prefix_length: int) -> tuple[int, int]:
    """Return epoch and number of a `record_id`: the records of one stream ascend by them.

    Of a candle, that is its open time and its event time.
    """
    length, shift, position = 0, 0, prefix_length
    while True:  # Avro's long: groups of 7 bits, the lowest first; a length is never negative
        byte = record[position]
        length |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            break
    record_id = record[position : position + (length >> 1)]
    *_, before, number = record_id.split(b":")
    if before == b"gap":
        before = record_id.split(b":")[-3]
    return int(before) if before.isdigit() else 0, int(number.partition(b"-")[0])


def encoder(stream: str, symbol: str, *, prefix: bytes = b"", epoch: int = 0) -> Encode:
    """Return the encoder of one stream (`depth@100ms`, or `gap`) of one symbol.

    `prefix` goes before each record, see RecordHead. With an `epoch`, record ids have it before the
    number.
    """
    head = record_head(stream, symbol, prefix, epoch)
    kind = BY_STREAM.get(stream) or BY_NAME.get(stream)  # the latter: of no stream
    return _gap_encoder(head, symbol) if kind is None else kind.encoder(head)


def _gap_encoder(head: RecordHead, symbol: str) -> Encode:
    def encode(event: GapRecord, declared_us: int) -> bytes:
        ends = (event.first_id, event.last_id)
        if event.first_id is None:
            ends = (event.from_time, event.to_time)
        within = f"{event.epoch}:" if event.epoch else ""
        # What a back-fill writes is of another form, so that it is no copy of the record that it
        # closes or corrects, nor taken for one.
        what = f"gap:{event.reason}" if event.later or event.reason == FILLED else "gap"
        record_id = f"{RECORD_ID_PREFIX}:{symbol}:{event.stream}:{within}{what}:{ends[0]}-{ends[1]}"
        return b"".join(
            (
                head.prefix,
                string(record_id),
                head.symbol,
                string(event.stream),
                optional_long(event.first_id),
                optional_long(event.last_id),
                optional_long(event.missing),
                optional_long(event.from_time),
                optional_long(event.to_time),
                string(event.reason),
                long(declared_us),
            )
        )

    return encode
