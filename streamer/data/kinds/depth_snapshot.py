"""Kind `depthSnapshot`: a book as it was after an update. Asked for over REST, not subscribed.

With it and the changes that follow, a book can be kept (`streamer.book`).
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Literal

import msgspec

from streamer.avro.binary import long
from streamer.data.binance_spot import DEPTH_LEVELS_MAX, DEPTH_WEIGHTS
from streamer.data.field_types import Whole
from streamer.data.levels import Level, check_levels, encode_levels
from streamer.data.record_head import SOURCES, Encode, RecordHead
from streamer.data.rest_page import RestRequest, decode
from streamer.data.stream_kind import RecordFields, StreamKind

SnapshotReason = Literal["start", "gap", "interval"]
"""Why it was asked for: a stream of changes has begun; changes were lost; it was time again."""

_REASONS = {"start": b"\0", "gap": b"\2", "interval": b"\4"}  # positions in the enum


class DepthSnapshot(msgspec.Struct, frozen=True, gc=False):  # its lists hold texts alone
    """The best `levels` prices of each side after the update `id`; the whole book if fewer came."""

    id: int
    symbol: str
    reason: SnapshotReason
    levels: int
    bids: list[Level]
    asks: list[Level]


class _Answer(msgspec.Struct, rename={"last_update_id": "lastUpdateId"}):
    last_update_id: Whole
    bids: list[Level]
    asks: list[Level]


_answer = msgspec.json.Decoder(_Answer)


def snapshot_request(symbol: str, levels: int) -> RestRequest:
    """Return the request for at most so many levels of each side, up to DEPTH_LEVELS_MAX."""
    levels = min(levels, DEPTH_LEVELS_MAX)
    weight = next(weight for most, weight in DEPTH_WEIGHTS if levels <= most)
    return RestRequest("depth", (("symbol", symbol), ("limit", str(levels))), weight)


def read_snapshot(symbol: str, body: bytes, reason: SnapshotReason, levels: int) -> DepthSnapshot:
    """Return the book in an answer. Raises ValueError and FrameRejected for what is no book."""
    answer = decode(_answer, body)
    for letter, told in (("bids", answer.bids), ("asks", answer.asks)):
        if len(told) > levels:
            raise ValueError(f"expected at most {levels} {letter} of {symbol}, not {len(told)}")
        check_levels(letter, told)
    bids, asks = ([Decimal(price) for price, _ in side] for side in (answer.bids, answer.asks))
    is_ordered = all(one > other for one, other in pairwise(bids)) and all(
        one < other for one, other in pairwise(asks)
    )
    if not is_ordered or (bids and asks and bids[0] >= asks[0]):
        raise ValueError(f"the book of {symbol} is crossed, or its prices are not in order")
    return DepthSnapshot(answer.last_update_id, symbol, reason, levels, answer.bids, answer.asks)


def _encoder(head: RecordHead) -> Encode:
    prefix, id_text, id_lengths = head.prefix, head.id_text, head.id_lengths
    symbol = head.symbol
    join = b"".join

    def encode(event: DepthSnapshot, received_us: int) -> bytes:
        digits = b"%d" % event.id
        return join(
            (
                prefix,
                id_lengths[len(digits)],
                id_text,
                digits,
                symbol,
                long(event.id),
                long(received_us),
                _REASONS[event.reason],
                long(event.levels),
                encode_levels(event.bids),
                encode_levels(event.asks),
                SOURCES["backfill"],
            )
        )

    return encode


def _check(event: DepthSnapshot, earliest_us: int, latest_us: int) -> None:
    """Do nothing: `read_snapshot` has checked it, and it has no time of the exchange's."""


KIND = StreamKind(
    name="depthSnapshot",
    streams=(),
    event=DepthSnapshot,
    event_type="depthSnapshot",  # a name of ours, as it comes on no stream
    topic="market.crypto.depthsnapshot.binance",
    ordering="increasing",
    fields=RecordFields(
        ("last_update_id",),
        "last_update_id",
        shown=("last_update_id", "received_time", "reason", "bids", "asks"),
    ),
    check_of=lambda _: _check,
    encoder=_encoder,
    names_symbol=False,
)
