"""Which sequence a stream has, by what its kind promises of its ids."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from streamer.data.events import Event
from streamer.data.intervals import interval_of
from streamer.data.kinds.kline import Kline
from streamer.data.stream_kind import StreamKind
from streamer.order.candles import CandleSequence, Mark
from streamer.order.pending import DiskStore
from streamer.order.ranges import RangeSequence
from streamer.order.sequence import (
    ContiguousSequence,
    IncreasingSequence,
    RepairableSequence,
    Sequence,
)

Arrival = tuple[Event, int]
"""An event and when it was received, Unix time in microseconds: what waits in a sequence."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where events wait above a gap while it is repaired."""

    held_in_memory: int  # events of a route
    directory: Path  # for those beyond


def sequence_of(
    kind: StreamKind, stream: str, *, wait_seconds: float, waiting: Waiting | None
) -> tuple[Sequence[Arrival], RepairableSequence[Arrival] | None]:
    """Return the sequence of a stream, and the same again if its gaps are to be asked for.

    They are not where nothing can wait, or where the past of the kind cannot be asked for.
    """
    if kind.ordering == "ranges":
        return RangeSequence(_last_id(kind), wait_seconds=wait_seconds), None
    if kind.ordering == "increasing":
        return IncreasingSequence(), None
    is_repaired = waiting is not None and kind.past is not None
    if kind.ordering == "candles":
        candles = CandleSequence(_mark, interval_of(stream), wait_seconds=wait_seconds)
        return candles, candles if is_repaired else None
    store = None if waiting is None else _store(kind, waiting)
    contiguous = ContiguousSequence(wait_seconds=wait_seconds, store=store)
    return contiguous, contiguous if is_repaired else None


def _last_id(kind: StreamKind) -> Any:  # noqa: ANN401 - a function of an arrival
    last_id = kind.last_id
    return lambda arrival: last_id(arrival[0])


def _mark(arrival: Arrival) -> Mark:
    event = arrival[0]
    assert isinstance(event, Kline)  # noqa: S101 - for the type checker: only klines are candles
    candle = event.candle
    return Mark(candle.open_time, candle.next_open_time, event.event_time, candle.is_closed)


def _store(kind: StreamKind, waiting: Waiting) -> DiskStore[Arrival]:
    event_type: Any = kind.event
    decoder: Any = msgspec.msgpack.Decoder(tuple[event_type, int])

    def decode(data: bytes) -> tuple[int, Arrival]:
        item: Arrival = decoder.decode(data)
        return item[0].id, item

    return DiskStore(waiting.held_in_memory, waiting.directory, msgspec.msgpack.encode, decode)
