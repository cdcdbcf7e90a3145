"""Kind `ticker`: the statistics of the last 24 hours."""

from __future__ import annotations

from typing import Literal

import msgspec

from streamer.avro.binary import long, plain_decimal, signed_decimal, string
from streamer.data.field_types import IdOrNone, Whole
from streamer.data.record_head import LIVE, Encode, RecordHead, id_or_null
from streamer.data.stream_kind import RecordFields, StreamKind
from streamer.data.value_checks import check_decimal, check_times
from streamer.errors import FrameRejected


class Ticker(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "price_change": "p",
        "price_change_percent": "P",
        "weighted_average_price": "w",
        "previous_price": "x",
        "last_price": "c",
        "last_quantity": "Q",
        "bid_price": "b",
        "bid_quantity": "B",
        "ask_price": "a",
        "ask_quantity": "A",
        "open": "o",
        "high": "h",
        "low": "l",
        "volume": "v",
        "quote_volume": "q",
        "open_time": "O",
        "close_time": "C",
        "first_trade_id": "F",
        "last_trade_id": "L",
        "trade_count": "n",
    },
):
    """The statistics of the last 24 hours. The changes may be below zero."""

    event_type: Literal["24hrTicker"]
    event_time: Whole
    symbol: str
    price_change: str
    price_change_percent: str
    weighted_average_price: str
    previous_price: str  # of the last trade before these 24 hours
    last_price: str
    last_quantity: str
    bid_price: str
    bid_quantity: str
    ask_price: str
    ask_quantity: str
    open: str
    high: str
    low: str
    volume: str
    quote_volume: str
    open_time: Whole
    close_time: Whole
    first_trade_id: IdOrNone
    last_trade_id: IdOrNone
    trade_count: Whole

    @property
    def id(self) -> int:
        """Its time: a later one supersedes it."""
        return self.event_time


def _check(event: Ticker, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless times and numbers can be; the changes may be below zero."""
    check_times(earliest_us, latest_us, E=event.event_time, C=event.close_time)
    if event.open_time > event.close_time:
        raise FrameRejected("bad_time", f"O {event.open_time} is after C {event.close_time}")
    for letter, number in (("p", event.price_change), ("P", event.price_change_percent)):
        check_decimal("bad_price", letter, number, signed_decimal)
    for letter, price in (
        ("w", event.weighted_average_price),
        ("x", event.previous_price),
        ("c", event.last_price),
        ("b", event.bid_price),
        ("a", event.ask_price),
        ("o", event.open),
        ("h", event.high),
        ("l", event.low),
    ):
        check_decimal("bad_price", letter, price, plain_decimal)
    for letter, quantity in (
        ("Q", event.last_quantity),
        ("B", event.bid_quantity),
        ("A", event.ask_quantity),
        ("v", event.volume),
        ("q", event.quote_volume),
    ):
        check_decimal("bad_quantity", letter, quantity, plain_decimal)


def _encoder(head: RecordHead) -> Encode:
    prefix, symbol, id_text = head.prefix, head.symbol, head.id_text.decode()

    def encode(event: Ticker, received_us: int) -> bytes:
        return b"".join(
            (
                prefix,
                string(f"{id_text}{event.event_time}"),
                symbol,
                long(event.event_time),
                long(received_us),
                long(event.open_time),
                long(event.close_time),
                signed_decimal(event.price_change),
                signed_decimal(event.price_change_percent),
                plain_decimal(event.weighted_average_price),
                plain_decimal(event.previous_price),
                plain_decimal(event.last_price),
                plain_decimal(event.last_quantity),
                plain_decimal(event.bid_price),
                plain_decimal(event.bid_quantity),
                plain_decimal(event.ask_price),
                plain_decimal(event.ask_quantity),
                plain_decimal(event.open),
                plain_decimal(event.high),
                plain_decimal(event.low),
                plain_decimal(event.volume),
                plain_decimal(event.quote_volume),
                id_or_null(event.first_trade_id),
                id_or_null(event.last_trade_id),
                long(event.trade_count),
                LIVE,
            )
        )

    return encode


def _in_microseconds(event: Ticker) -> Ticker:
    return msgspec.structs.replace(
        event,
        event_time=event.event_time * 1000,
        open_time=event.open_time * 1000,
        close_time=event.close_time * 1000,
    )


KIND = StreamKind(
    name="ticker",
    streams=("ticker",),
    event=Ticker,
    event_type="24hrTicker",
    topic="market.crypto.tickers.binance",
    ordering="increasing",
    fields=RecordFields(
        ("event_time",),
        "event_time",
        shown=(
            "event_time",
            "last_price",
            "price_change_percent",
            "bid_price",
            "ask_price",
            "volume",
            "trade_count",
        ),
    ),
    check_of=lambda _: _check,
    encoder=_encoder,
    in_microseconds=_in_microseconds,
    ids_are_times=True,
)
