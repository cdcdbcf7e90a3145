"""Sinks made by hand: records with these ids, in this order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from streamer.audit.batches import Batch, Schema
from streamer.avro.files import block, header
from streamer.data.catalogue import BY_NAME, kind_of
from streamer.data.events import GapRecord
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.trade import Trade
from streamer.data.records import encoder, load_schema
from streamer.sinks.manifest import record

SYNC = b"0123456789abcdef"
SCHEMAS = {kind: Schema(load_schema(kind)) for kind in (*BY_NAME, "gap")}


def event(kind: str, number: int, symbol: str = "BTCUSDT", **more: Any) -> Any:
    made: Any
    if kind == "trade":
        made = Trade("trade", number * 10, symbol, number, "1.5", "2", number * 10, True)
    elif kind == "aggTrade":
        made = AggTrade(
            "aggTrade", number * 10, symbol, number, "1.5", "2", number, number, number * 10, True
        )
    else:
        made = BookTicker(number, symbol, "1", "2", "3", "4")
    return msgspec.structs.replace(made, **more)


def gap(first: int, last: int, reason: str = "lagging", stream: str = "trade") -> GapRecord:
    return GapRecord(first, "BTCUSDT", stream, reason, first, last, last - first + 1)


def time_gap(first_us: int, last_us: int) -> GapRecord:
    return GapRecord(
        first_us, "BTCUSDT", "bookTicker", "not_repaired", from_time=first_us, to_time=last_us
    )


def encoded(stream: str, events: Iterable[Any], received_us: int = 1_000_000) -> list[bytes]:
    return [
        encoder(stream, one.symbol)(one, received_us + number) for number, one in enumerate(events)
    ]


def batch(stream: str, events: Iterable[Any], lane: int = 0) -> Batch:
    records = encoded(stream, events)
    return Batch(SCHEMAS[kind_of(stream)], len(records), b"".join(records), "here", lane)


def trades(ids: Iterable[int], **more: Any) -> list[Any]:
    return [event("trade", number, **more) for number in ids]


def write(
    directory: Path,
    stream: str,
    *blocks: Iterable[Any],
    name: str = "1-000001.avro",
    codec: Any = "null",
) -> Path:
    kind = kind_of(stream)
    path = directory / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [block(encoded(stream, events), codec, SYNC) for events in blocks]
    path.write_bytes(header(load_schema(kind), codec, SYNC) + b"".join(parts))
    if path.suffix == ".avro":
        record(path, path.name)
    return path
