"""What the records of a stream begin with, encoded once. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from streamer.avro.binary import long, optional_long, string
from streamer.data.binance_spot import RECORD_ID_PREFIX

Encode = Callable[[Any, int], bytes]
"""Event and Unix time of its arrival in microseconds → the record's bytes, prefix first."""

SOURCES = {"live": b"\0", "backfill": b"\2", "archive": b"\4"}  # positions in the enum `Source`
LIVE = SOURCES["live"]
BOOLEANS = (b"\0", b"\1")


@dataclass(frozen=True, slots=True)
class RecordHead:
    """What the encoder of one stream of one symbol needs, encoded where that is possible.

    `prefix` goes before each record: nothing in a container file, a single-object header or a
    registry's schema id in a message.
    """

    prefix: bytes
    id_text: bytes  # what every record id begins with
    id_lengths: tuple[bytes, ...]  # encoded lengths of a record id, by the digits behind `id_text`
    symbol: bytes
    stream: bytes


def record_head(stream: str, symbol: str, prefix: bytes, epoch: int) -> RecordHead:
    """Return the head of a stream's records; with an `epoch`, record ids have it in them."""
    text = f"{RECORD_ID_PREFIX}:{symbol}:{stream}:{f'{epoch}:' if epoch else ''}".encode()
    return RecordHead(prefix, text, _lengths(len(text)), string(symbol), string(stream))


@cache
def _lengths(fixed: int) -> tuple[bytes, ...]:
    """Return the encoded lengths of `fixed` bytes with 0 to 19 digits behind them."""
    return tuple(long(fixed + digits) for digits in range(20))


def id_or_null(trade_id: int | None) -> bytes:
    """Return an id, or null where there is none: -1 on the wire."""
    return optional_long(None if trade_id == -1 else trade_id)
