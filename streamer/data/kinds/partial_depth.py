"""Kind `partialDepth`: the best 5, 10 or 20 prices of each side of a book, as they are."""

from __future__ import annotations

import msgspec

from streamer.avro.binary import long
from streamer.data.field_types import Whole
from streamer.data.levels import Level, check_levels, encode_levels
from streamer.data.record_head import LIVE, Encode, RecordHead
from streamer.data.stream_kind import Check, RecordFields, StreamKind
from streamer.errors import FrameRejected

_LEVELS = (5, 10, 20)


class PartialDepth(
    msgspec.Struct,
    frozen=True,
    gc=False,  # its lists hold texts alone
    rename={"id": "lastUpdateId", "symbol": "s"},
):
    """The top of a book after an update. The exchange sends no type, no time and no symbol."""

    id: Whole
    bids: list[Level]
    asks: list[Level]
    symbol: str = ""  # that of the stream, from `Route.decode`


def _check_of(stream: str) -> Check:
    """Return the check of a stream's events, which have no more levels than it is named for."""
    limit = int(stream.partition("@")[0].removeprefix("depth"))

    def check(event: PartialDepth, earliest_us: int, latest_us: int) -> None:
        for letter, levels in (("bids", event.bids), ("asks", event.asks)):
            if len(levels) > limit:
                told = f"expected at most {limit} {letter} on {stream}, not {len(levels)}"
                raise FrameRejected("wrong_type", told)
            check_levels(letter, levels)

    return check


def _encoder(head: RecordHead) -> Encode:
    prefix, id_text, id_lengths = head.prefix, head.id_text, head.id_lengths
    symbol, stream = head.symbol, head.stream
    join = b"".join

    def encode(event: PartialDepth, received_us: int) -> bytes:
        event_id = event.id
        digits = b"%d" % event_id
        return join(
            (
                prefix,
                id_lengths[len(digits)],
                id_text,
                digits,
                symbol,
                stream,
                long(event_id),
                long(received_us),
                encode_levels(event.bids),
                encode_levels(event.asks),
                LIVE,
            )
        )

    return encode


KIND = StreamKind(
    name="partialDepth",
    streams=tuple(f"depth{levels}{speed}" for levels in _LEVELS for speed in ("", "@100ms")),
    event=PartialDepth,
    event_type="partialDepth",  # a name of ours: it comes without a type
    untyped_keys=frozenset(("lastUpdateId", "bids", "asks")),
    topic="market.crypto.partialdepth.binance",
    ordering="increasing",
    fields=RecordFields(
        ("last_update_id",),
        "last_update_id",
        part="stream",
        shown=("last_update_id", "received_time", "bids", "asks"),
    ),
    check_of=_check_of,
    encoder=_encoder,
    names_symbol=False,
)
