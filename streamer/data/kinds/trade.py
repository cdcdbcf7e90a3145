"""Kind `trade`: single trades."""

from __future__ import annotations

from typing import Literal

import msgspec

from streamer.avro.binary import decimal, long
from streamer.data.binance_spot import TRADES_WEIGHT
from streamer.data.compiled import Field, compiled_or
from streamer.data.field_types import SOURCE_KEY, Source, Whole
from streamer.data.record_head import SOURCES, Encode, RecordHead
from streamer.data.rest_page import RestRequest, Unusable, ascending, elements
from streamer.data.stream_kind import Past, RecordFields, StreamKind
from streamer.data.trade_values import FLAGS, LATER_FLAGS, check_trade, is_same_trade


class Trade(
    msgspec.Struct,
    frozen=True,
    gc=False,  # holds only texts and numbers: no cycle is possible
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "id": "t",
        "price": "p",
        "quantity": "q",
        "trade_time": "T",
        "buyer_is_maker": "m",
        "source": SOURCE_KEY,
    },
):
    """One trade. Times are Unix times in the connection's unit, see `Route.decode`."""

    event_type: Literal["trade"]
    event_time: Whole
    symbol: str
    id: Whole
    price: str
    quantity: str
    trade_time: Whole
    buyer_is_maker: bool
    source: Source = "live"


FIELDS = (
    Field("long", "id"),
    Field("long", "event_time"),
    Field("long", "trade_time"),
    Field("received"),
    Field("decimal", "price"),
    Field("decimal", "quantity"),
    Field("boolean", "buyer_is_maker"),
    Field("enum", "source", SOURCES),
)
"""Of the record behind its symbol, in the schema's order: what `_encoder` writes."""


def _encoder(head: RecordHead) -> Encode:
    prefix, id_text, id_lengths, symbol = head.prefix, head.id_text, head.id_lengths, head.symbol
    join = b"".join

    def encode(event: Trade, received_us: int) -> bytes:
        event_id = event.id
        digits = b"%d" % event_id
        return join(
            (
                prefix,
                id_lengths[len(digits)],
                id_text,
                digits,
                symbol,
                long(event_id),
                long(event.event_time),
                long(event.trade_time),
                long(received_us),
                decimal(event.price),
                decimal(event.quantity),
                (FLAGS if event.source == "live" else LATER_FLAGS[event.source])[
                    event.buyer_is_maker
                ],
            )
        )

    return encode


class _RestTrade(msgspec.Struct, gc=False):
    id: Whole
    price: str
    qty: str
    time: Whole
    isBuyerMaker: bool  # noqa: N815 - the exchange's name


class _Numbered(msgspec.Struct):
    id: Whole


_page = msgspec.json.Decoder(list[_RestTrade])
_element = msgspec.json.Decoder(_RestTrade)
_numbered = msgspec.json.Decoder(_Numbered)


def _request(stream: str, symbol: str, first_id: int, limit: int) -> RestRequest:
    parameters = (("symbol", symbol), ("fromId", str(first_id)), ("limit", str(limit)))
    return RestRequest("historicalTrades", parameters, TRADES_WEIGHT)


def _read(
    stream: str,
    symbol: str,
    body: bytes,
    factor: int,
    unusable: list[Unusable] | None,
) -> list[Trade]:
    """Return the trades of a page; REST does not tell `E`, the trade's time stands for it."""
    return ascending(
        [
            Trade("trade", each.time * factor, symbol, each.id, each.price, each.qty,
                  each.time * factor, each.isBuyerMaker, "backfill")
            for each in elements(
                _page, _element, _numbered, lambda one: one.id, body, unusable
            )
        ]
    )  # fmt: skip


def _in_microseconds(event: Trade) -> Trade:
    return msgspec.structs.replace(
        event, event_time=event.event_time * 1000, trade_time=event.trade_time * 1000
    )


KIND = StreamKind(
    name="trade",
    streams=("trade",),
    event=Trade,
    event_type="trade",
    topic="market.crypto.trades.binance",
    ordering="contiguous",
    fields=RecordFields(
        ("trade_id",),
        "trade_id",
        time="trade_time",
        shown=("trade_id", "trade_time", "price", "quantity", "buyer_is_maker", "source"),
    ),
    check_of=lambda _: check_trade,
    encoder=compiled_or(_encoder, FIELDS),
    in_microseconds=_in_microseconds,
    differs=lambda first, copy: not is_same_trade(first, copy),
    past=Past(_request, _read, is_same_trade),
    clock="trade_time",
)
