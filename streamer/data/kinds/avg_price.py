"""Kind `avgPrice`: the average price of the last minutes."""

from __future__ import annotations

from typing import Literal

import msgspec

from streamer.avro.binary import long, plain_decimal, string
from streamer.data.field_types import Whole
from streamer.data.record_head import LIVE, Encode, RecordHead
from streamer.data.stream_kind import RecordFields, StreamKind
from streamer.data.value_checks import check_decimal, check_times


class AvgPrice(
    msgspec.Struct,
    frozen=True,
    gc=False,  # holds only texts and numbers: no cycle is possible
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "interval": "i",
        "average_price": "w",
        "last_trade_time": "T",
    },
):
    """The average price over the `interval` before `event_time`."""

    event_type: Literal["avgPrice"]
    event_time: Whole
    symbol: str
    interval: str  # `5m`
    average_price: str
    last_trade_time: Whole

    @property
    def id(self) -> int:
        """Its time: a later one supersedes it."""
        return self.event_time


def _check(event: AvgPrice, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless times and price can be; a price of zero: nobody traded."""
    check_times(earliest_us, latest_us, E=event.event_time)
    if event.last_trade_time:  # of a symbol that never traded there may be none
        check_times(earliest_us, latest_us, T=event.last_trade_time)
    check_decimal("bad_price", "w", event.average_price, plain_decimal)


def _encoder(head: RecordHead) -> Encode:
    prefix, symbol, id_text = head.prefix, head.symbol, head.id_text.decode()

    def encode(event: AvgPrice, received_us: int) -> bytes:
        return b"".join(
            (
                prefix,
                string(f"{id_text}{event.event_time}"),
                symbol,
                long(event.event_time),
                long(received_us),
                string(event.interval),
                plain_decimal(event.average_price),
                long(event.last_trade_time),
                LIVE,
            )
        )

    return encode


KIND = StreamKind(
    name="avgPrice",
    streams=("avgPrice",),
    event=AvgPrice,
    event_type="avgPrice",
    topic="market.crypto.averageprices.binance",
    ordering="increasing",
    fields=RecordFields(
        ("event_time",),
        "event_time",
        shown=("event_time", "interval", "average_price", "last_trade_time"),
    ),
    check_of=lambda _: _check,
    encoder=_encoder,
    in_microseconds=lambda event: msgspec.structs.replace(
        event,
        event_time=event.event_time * 1000,
        last_trade_time=event.last_trade_time * 1000,
    ),
    ids_are_times=True,
)
