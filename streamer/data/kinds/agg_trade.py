"""Kind `aggTrade`: trades of one taker order at one price, summed up."""

from __future__ import annotations

from typing import Literal

import msgspec

from streamer.avro.binary import decimal, long
from streamer.data.binance_spot import AGG_TRADES_WEIGHT, PAGE_LIMIT
from streamer.data.compiled import Field, compiled_or
from streamer.data.field_types import SOURCE_KEY, Source, Whole
from streamer.data.record_head import SOURCES, Encode, RecordHead
from streamer.data.rest_page import RestRequest, Unusable, ascending, elements
from streamer.data.stream_kind import Past, RecordFields, StreamKind
from streamer.data.trade_values import FLAGS, LATER_FLAGS, check_trade, is_same_trade
from streamer.errors import FrameRejected


class AggTrade(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "event_type": "e",
        "event_time": "E",
        "symbol": "s",
        "id": "a",
        "price": "p",
        "quantity": "q",
        "first_trade_id": "f",
        "last_trade_id": "l",
        "trade_time": "T",
        "buyer_is_maker": "m",
        "source": SOURCE_KEY,
    },
):
    """Trades of one taker order at one price; `first_trade_id` ≤ `last_trade_id`."""

    event_type: Literal["aggTrade"]
    event_time: Whole
    symbol: str
    id: Whole
    price: str
    quantity: str
    first_trade_id: Whole
    last_trade_id: Whole
    trade_time: Whole
    buyer_is_maker: bool
    source: Source = "live"


def _check(event: AggTrade, earliest_us: int, latest_us: int) -> None:
    """As for a trade, and the trade ids must be in order."""
    check_trade(event, earliest_us, latest_us)
    if event.first_trade_id > event.last_trade_id:
        raise FrameRejected("bad_id", f"f {event.first_trade_id} is above l {event.last_trade_id}")


FIELDS = (
    Field("long", "id"),
    Field("long", "first_trade_id"),
    Field("long", "last_trade_id"),
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

    def encode(event: AggTrade, received_us: int) -> bytes:
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
                long(event.first_trade_id),
                long(event.last_trade_id),
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


class _RestAggTrade(msgspec.Struct, gc=False):
    a: Whole
    p: str
    q: str
    f: Whole
    l: Whole  # noqa: E741 - the exchange's name
    T: Whole
    m: bool


class _Numbered(msgspec.Struct):
    a: Whole


_page = msgspec.json.Decoder(list[_RestAggTrade])
_element = msgspec.json.Decoder(_RestAggTrade)
_numbered = msgspec.json.Decoder(_Numbered)


def _request(stream: str, symbol: str, first_id: int, limit: int) -> RestRequest:
    parameters = (("symbol", symbol), ("fromId", str(first_id)), ("limit", str(limit)))
    return RestRequest("aggTrades", parameters, AGG_TRADES_WEIGHT)


def since_request(symbol: str, from_milliseconds: int) -> RestRequest:
    """Return the request for the first aggregate trade at or after a Unix time."""
    since = ("startTime", str(from_milliseconds))
    return RestRequest("aggTrades", (("symbol", symbol), since, ("limit", "1")), AGG_TRADES_WEIGHT)


def latest_request(symbol: str) -> RestRequest:
    """Return the request for the latest aggregate trade, which tells the latest trade too."""
    return RestRequest("aggTrades", (("symbol", symbol), ("limit", "1")), AGG_TRADES_WEIGHT)


def between_request(symbol: str, from_us: int, to_us: int) -> RestRequest:
    """Return the request for the first aggregates of a time, both milliseconds included."""
    parameters = (
        ("symbol", symbol),
        ("startTime", str(from_us // 1000)),
        ("endTime", str(to_us // 1000)),
        ("limit", str(PAGE_LIMIT)),
    )
    return RestRequest("aggTrades", parameters, AGG_TRADES_WEIGHT)


def _read(
    stream: str,
    symbol: str,
    body: bytes,
    factor: int,
    unusable: list[Unusable] | None,
) -> list[AggTrade]:
    """Return the trades of a page; REST does not tell `E`, the trade's time stands for it."""
    return ascending(
        [
            AggTrade("aggTrade", each.T * factor, symbol, each.a, each.p, each.q, each.f, each.l,
                     each.T * factor, each.m, "backfill")
            for each in elements(
                _page, _element, _numbered, lambda one: one.a, body, unusable
            )
        ]
    )  # fmt: skip


def _is_same(one: AggTrade, other: AggTrade) -> bool:
    ids = one.first_trade_id, one.last_trade_id
    return ids == (other.first_trade_id, other.last_trade_id) and is_same_trade(one, other)


def _in_microseconds(event: AggTrade) -> AggTrade:
    return msgspec.structs.replace(
        event, event_time=event.event_time * 1000, trade_time=event.trade_time * 1000
    )


KIND = StreamKind(
    name="aggTrade",
    streams=("aggTrade",),
    event=AggTrade,
    event_type="aggTrade",
    topic="market.crypto.aggtrades.binance",
    ordering="aggregates",
    fields=RecordFields(
        ("aggregate_trade_id", "first_trade_id", "last_trade_id"),
        "aggregate_trade_id",
        time="trade_time",
        shown=(
            "aggregate_trade_id",
            "trade_time",
            "price",
            "quantity",
            "first_trade_id",
            "last_trade_id",
            "source",
        ),
    ),
    check_of=lambda _: _check,
    encoder=compiled_or(_encoder, FIELDS),
    in_microseconds=_in_microseconds,
    differs=lambda first, copy: not _is_same(first, copy),
    past=Past(_request, _read, _is_same),
    clock="trade_time",
)
