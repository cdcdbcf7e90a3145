"""The exchange's events, as typed as JSON can say.

Field names are readable here and single letters on the wire; `id` is the number that orders a
stream (`t`, `a` or `u`). Prices and quantities stay the text that came. Fields that are not named
here are ignored: `M` of trades, which the exchange documents as to be ignored, and what other
venues add. `streamer.data.checks` tests what a type cannot say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

import msgspec

from streamer.data.field_types import SOURCE_KEY, Source, Whole
from streamer.data.summaries import Kline, MiniTicker, Ticker


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


Level = tuple[str, str]
"""A price and the quantity that is there now; zero removes the price from the book."""


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


class GapRecord(msgspec.Struct, frozen=True, gc=False):
    """What is missing of a stream, for good: a record beside those of the stream.

    Ids where the stream has contiguous ones, both ends included; otherwise the time in which
    nothing was received, in Unix microseconds.
    """

    id: int  # `first_id`, or `from_time`
    symbol: str
    stream: str
    reason: str  # one of repair.REASONS
    first_id: int | None = None
    last_id: int | None = None
    missing: int | None = None
    from_time: int | None = None
    to_time: int | None = None
    epoch: int = 0  # which numbering the ids are of; not a field of the record, but in its id


StreamEvent = Trade | AggTrade | BookTicker | Depth | Kline | MiniTicker | Ticker
Event = StreamEvent | GapRecord
EVENT_TYPES: dict[str, type[StreamEvent]] = {
    "trade": Trade,
    "aggTrade": AggTrade,
    "bookTicker": BookTicker,
    "depth": Depth,
    "kline": Kline,
    "miniTicker": MiniTicker,
    "ticker": Ticker,
}
"""Event types by the kind of their stream."""
KINDS_BY_EVENT_TYPE = {
    "trade": "trade",
    "aggTrade": "aggTrade",
    "bookTicker": "bookTicker",  # its name on other venues: here it comes without a type
    "depthUpdate": "depth",
    "kline": "kline",
    "24hrMiniTicker": "miniTicker",
    "24hrTicker": "ticker",
}
"""Kinds by `e`, the event type on the wire."""
EventT = TypeVar("EventT", bound=StreamEvent)


class Envelope(msgspec.Struct, Generic[EventT], gc=False):
    """A frame of a combined stream; its `stream` is known before it is decoded."""

    data: EventT


def envelope_decoder(kind: str) -> Callable[[bytes], Envelope[Any]]:
    """Return what decodes the frames of a stream kind.

    The decoder raises msgspec.MsgspecError or UnicodeDecodeError.
    """
    event_type: Any = EVENT_TYPES[kind]
    return msgspec.json.Decoder(Envelope[event_type]).decode


def in_microseconds(event: StreamEvent) -> StreamEvent:
    """Return an event of a connection in milliseconds with its times in microseconds."""
    if isinstance(event, BookTicker):
        return event
    changes: dict[str, Any] = {"event_time": event.event_time * 1000}
    if isinstance(event, (Trade, AggTrade)):
        changes["trade_time"] = event.trade_time * 1000
    elif isinstance(event, Kline):
        candle = event.candle
        changes["candle"] = msgspec.structs.replace(
            candle, open_time=candle.open_time * 1000, close_time=candle.close_time * 1000
        )
    elif isinstance(event, Ticker):
        changes |= {"open_time": event.open_time * 1000, "close_time": event.close_time * 1000}
    return msgspec.structs.replace(event, **changes)
