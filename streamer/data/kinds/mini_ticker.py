"""Kind `miniTicker`: the last 24 hours in brief."""

from __future__ import annotations

from typing import Literal

import msgspec

from streamer.avro.binary import long, plain_decimal, string
from streamer.data.field_types import Whole
from streamer.data.record_head import LIVE, Encode, RecordHead
from streamer.data.stream_kind import RecordFields, StreamKind
from streamer.data.value_checks import check_decimal, check_times


class MiniTicker(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "close": "c",
        "open": "o",
        "high": "h",
        "low": "l",
        "volume": "v",
        "quote_volume": "q",
    },
):
    """The last 24 hours in brief; `close` is the latest price."""

    event_type: Literal["24hrMiniTicker"]
    event_time: Whole
    symbol: str
    close: str
    open: str
    high: str
    low: str
    volume: str
    quote_volume: str

    @property
    def id(self) -> int:
        """Its time: a later one supersedes it."""
        return self.event_time


def _check(event: MiniTicker, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless time and numbers can be; all are zero where nobody traded."""
    check_times(earliest_us, latest_us, E=event.event_time)
    for letter, price in (
        ("o", event.open),
        ("c", event.close),
        ("h", event.high),
        ("l", event.low),
    ):
        check_decimal("bad_price", letter, price, plain_decimal)
    for letter, quantity in (("v", event.volume), ("q", event.quote_volume)):
        check_decimal("bad_quantity", letter, quantity, plain_decimal)


def _encoder(head: RecordHead) -> Encode:
    prefix, symbol, id_text = head.prefix, head.symbol, head.id_text.decode()

    def encode(event: MiniTicker, received_us: int) -> bytes:
        return b"".join(
            (
                prefix,
                string(f"{id_text}{event.event_time}"),
                symbol,
                long(event.event_time),
                long(received_us),
                plain_decimal(event.close),
                plain_decimal(event.open),
                plain_decimal(event.high),
                plain_decimal(event.low),
                plain_decimal(event.volume),
                plain_decimal(event.quote_volume),
                LIVE,
            )
        )

    return encode


KIND = StreamKind(
    name="miniTicker",
    streams=("miniTicker",),
    event=MiniTicker,
    event_type="24hrMiniTicker",
    topic="market.crypto.minitickers.binance",
    ordering="increasing",
    fields=RecordFields(
        ("event_time",),
        "event_time",
        shown=("event_time", "open", "high", "low", "close", "volume"),
    ),
    check_of=lambda _: _check,
    encoder=_encoder,
    in_microseconds=lambda event: msgspec.structs.replace(
        event, event_time=event.event_time * 1000
    ),
    ids_are_times=True,
)
