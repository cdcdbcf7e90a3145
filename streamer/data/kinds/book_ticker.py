"""Kind `bookTicker`: the best bid and ask."""

from __future__ import annotations

import msgspec

from streamer.avro.binary import ZERO, decimal, long
from streamer.data.compiled import Field, compiled_or
from streamer.data.field_types import Whole
from streamer.data.record_head import LIVE, Encode, RecordHead
from streamer.data.stream_kind import RecordFields, StreamKind
from streamer.data.value_checks import check_decimal
from streamer.errors import FrameRejected


class BookTicker(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "id": "u",
        "symbol": "s",
        "bid_price": "b",
        "bid_quantity": "B",
        "ask_price": "a",
        "ask_quantity": "A",
    },
):
    """The best bid and ask. The exchange sends neither a type nor a time with it."""

    id: Whole
    symbol: str
    bid_price: str
    bid_quantity: str
    ask_price: str
    ask_quantity: str


def _check(event: BookTicker, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless each side can be one of a book; an empty side is all zero."""
    _check_side("b", event.bid_price, event.bid_quantity)
    _check_side("a", event.ask_price, event.ask_quantity)


def _check_side(letter: str, price: str, quantity: str) -> None:
    size = check_decimal("bad_quantity", letter.upper(), quantity)
    if check_decimal("bad_price", letter, price) == ZERO != size:
        raise FrameRejected("bad_price", f"{letter}: zero, but there is a quantity of {quantity}")


FIELDS = (
    Field("long", "id"),
    Field("received"),
    Field("decimal", "bid_price"),
    Field("decimal", "bid_quantity"),
    Field("decimal", "ask_price"),
    Field("decimal", "ask_quantity"),
)
"""Of the record behind its symbol, in the schema's order: what `_encoder` writes."""


def _encoder(head: RecordHead) -> Encode:
    prefix, id_text, id_lengths, symbol = head.prefix, head.id_text, head.id_lengths, head.symbol
    join = b"".join

    def encode(event: BookTicker, received_us: int) -> bytes:
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
                long(received_us),
                decimal(event.bid_price),
                decimal(event.bid_quantity),
                decimal(event.ask_price),
                decimal(event.ask_quantity),
                LIVE,
            )
        )

    return encode


KIND = StreamKind(
    name="bookTicker",
    streams=("bookTicker",),
    event=BookTicker,
    event_type="bookTicker",  # its name on other venues: here it comes without a type
    untyped_keys=frozenset("ubBaA"),
    topic="market.crypto.booktickers.binance",
    ordering="increasing",
    fields=RecordFields(
        ("update_id",),
        "update_id",
        shown=(
            "update_id",
            "received_time",
            "bid_price",
            "bid_quantity",
            "ask_price",
            "ask_quantity",
        ),
    ),
    check_of=lambda _: _check,
    encoder=compiled_or(_encoder, FIELDS, suffix=LIVE),
)
