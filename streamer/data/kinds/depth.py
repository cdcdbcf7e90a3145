"""Kind `depth`: what changed in a book, each second or ten times in it."""

from __future__ import annotations

from typing import Literal

import msgspec

from streamer.avro.binary import long
from streamer.data.field_types import Whole
from streamer.data.levels import Level, check_levels, encode_levels
from streamer.data.record_head import LIVE, Encode, RecordHead
from streamer.data.stream_kind import RecordFields, StreamKind
from streamer.data.value_checks import check_times
from streamer.errors import FrameRejected


class Depth(
    msgspec.Struct,
    frozen=True,
    gc=False,  # its lists hold texts alone
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "id": "U",
        "last_update_id": "u",
        "bids": "b",
        "asks": "a",
    },
):
    """What changed in the book by the updates from `id` to `last_update_id`, both included."""

    event_type: Literal["depthUpdate"]
    event_time: Whole
    symbol: str
    id: Whole
    last_update_id: Whole
    bids: list[Level]
    asks: list[Level]


def _check(event: Depth, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless time, ids and every level can be those of a book's change."""
    check_times(earliest_us, latest_us, E=event.event_time)
    if event.id > event.last_update_id:
        raise FrameRejected("bad_id", f"U {event.id} is above u {event.last_update_id}")
    check_levels("b", event.bids)
    check_levels("a", event.asks)


def _encoder(head: RecordHead) -> Encode:
    prefix, id_text, id_lengths = head.prefix, head.id_text, head.id_lengths
    symbol, stream = head.symbol, head.stream
    join = b"".join

    def encode(event: Depth, received_us: int) -> bytes:
        digits = b"%d" % event.last_update_id
        return join(
            (
                prefix,
                id_lengths[len(digits)],
                id_text,
                digits,
                symbol,
                stream,
                long(event.id),
                long(event.last_update_id),
                long(event.event_time),
                long(received_us),
                encode_levels(event.bids),
                encode_levels(event.asks),
                LIVE,
            )
        )

    return encode


def _differs(first: Depth, copy: Depth) -> bool:
    ends = first.last_update_id, copy.last_update_id  # each server may cut them elsewhere
    return ends[0] == ends[1] and (first.bids, first.asks) != (copy.bids, copy.asks)


KIND = StreamKind(
    name="depth",
    streams=("depth", "depth@100ms"),
    event=Depth,
    event_type="depthUpdate",
    topic="market.crypto.depth.binance",
    ordering="ranges",
    fields=RecordFields(
        ("first_update_id", "last_update_id"),
        "last_update_id",
        part="stream",
        shown=("last_update_id", "event_time", "bids", "asks"),
    ),
    check_of=lambda _: _check,
    encoder=_encoder,
    in_microseconds=lambda event: msgspec.structs.replace(
        event, event_time=event.event_time * 1000
    ),
    last_id=lambda event: event.last_update_id,
    differs=_differs,
    clock="event_time",
)
