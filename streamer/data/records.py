"""From an event to the bytes of its Avro record (`streamer/schemas`).

The encoders write the schemas' fields in their order; the tests read them back with fastavro and
compare every field.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from streamer.avro.binary import decimal, level_decimal, long, optional_long, string
from streamer.data.events import AggTrade, BookTicker, Depth, Event, GapRecord, Level, Trade
from streamer.data.streams import kind_of
from streamer.data.summary_encoders import kline_encoder, mini_ticker_encoder, ticker_encoder

Encode = Callable[[Event, int], bytes]
"""Event and Unix time of its arrival in microseconds → the record's bytes, prefix first."""
_LIVE, _BACKFILL = b"\0", b"\2"  # positions in the enum `Source`
_FLAGS = {True: b"\1" + _LIVE, False: b"\0" + _LIVE}  # buyer_is_maker and source together
_BACKFILL_FLAGS = {True: b"\1" + _BACKFILL, False: b"\0" + _BACKFILL}


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


@cache
def _lengths(fixed: int) -> tuple[bytes, ...]:
    """Return the encoded lengths of `fixed` bytes with 0 to 19 digits behind them."""
    return tuple(long(fixed + digits) for digits in range(20))


def encoder(stream: str, symbol: str, *, prefix: bytes = b"", epoch: int = 0) -> Encode:
    """Return the encoder of one stream (`depth@100ms`, or `gap`) of one symbol.

    `prefix` goes before each record: nothing in a container file, a single-object header or a
    registry's schema id in a message. With an `epoch`, record ids have it before the number.
    """
    id_text = f"binance:spot:{symbol}:{stream}:{f'{epoch}:' if epoch else ''}".encode()
    id_lengths = _lengths(len(id_text))
    symbol_bytes, stream_bytes = string(symbol), string(stream)
    join = b"".join

    def encode_trade(event: Trade, received_us: int) -> bytes:
        event_id = event.id
        digits = b"%d" % event_id
        return join(
            (
                prefix,
                id_lengths[len(digits)],
                id_text,
                digits,
                symbol_bytes,
                long(event_id),
                long(event.event_time),
                long(event.trade_time),
                long(received_us),
                decimal(event.price),
                decimal(event.quantity),
                (_FLAGS if event.source == "live" else _BACKFILL_FLAGS)[event.buyer_is_maker],
            )
        )

    def encode_agg_trade(event: AggTrade, received_us: int) -> bytes:
        event_id = event.id
        digits = b"%d" % event_id
        return join(
            (
                prefix,
                id_lengths[len(digits)],
                id_text,
                digits,
                symbol_bytes,
                long(event_id),
                long(event.first_trade_id),
                long(event.last_trade_id),
                long(event.event_time),
                long(event.trade_time),
                long(received_us),
                decimal(event.price),
                decimal(event.quantity),
                (_FLAGS if event.source == "live" else _BACKFILL_FLAGS)[event.buyer_is_maker],
            )
        )

    def encode_book_ticker(event: BookTicker, received_us: int) -> bytes:
        event_id = event.id
        digits = b"%d" % event_id
        return join(
            (
                prefix,
                id_lengths[len(digits)],
                id_text,
                digits,
                symbol_bytes,
                long(event_id),
                long(received_us),
                decimal(event.bid_price),
                decimal(event.bid_quantity),
                decimal(event.ask_price),
                decimal(event.ask_quantity),
                _LIVE,
            )
        )

    def encode_depth(event: Depth, received_us: int) -> bytes:
        digits = b"%d" % event.last_update_id
        return join(
            (
                prefix,
                id_lengths[len(digits)],
                id_text,
                digits,
                symbol_bytes,
                stream_bytes,
                long(event.id),
                long(event.last_update_id),
                long(event.event_time),
                long(received_us),
                _levels(event.bids),
                _levels(event.asks),
                _LIVE,
            )
        )

    def encode_gap(event: GapRecord, declared_us: int) -> bytes:
        ends = (event.first_id, event.last_id)
        if event.first_id is None:
            ends = (event.from_time, event.to_time)
        within = f"{event.epoch}:" if event.epoch else ""
        record_id = f"binance:spot:{symbol}:{event.stream}:{within}gap:{ends[0]}-{ends[1]}"
        return join(
            (
                prefix,
                string(record_id),
                symbol_bytes,
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

    summary_encoders: dict[str, Callable[[str, bytes, bytes], Callable[..., bytes]]] = {
        "kline": kline_encoder,
        "miniTicker": mini_ticker_encoder,
        "ticker": ticker_encoder,
    }
    kind = kind_of(stream)
    if kind in summary_encoders:
        return summary_encoders[kind](id_text.decode(), symbol_bytes, prefix)
    encoders: dict[str, Callable[..., bytes]] = {
        "trade": encode_trade,
        "aggTrade": encode_agg_trade,
        "bookTicker": encode_book_ticker,
        "depth": encode_depth,
        "gap": encode_gap,
    }
    return encoders[kind]


def _levels(levels: list[Level]) -> bytes:
    """Return an array of prices with quantities: a block of all of them, and the end."""
    if not levels:
        return b"\0"
    encoded = [long(len(levels))]
    for price, quantity in levels:
        encoded += (level_decimal(price), level_decimal(quantity))
    encoded.append(b"\0")
    return b"".join(encoded)
