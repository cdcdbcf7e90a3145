"""What trades and aggregates of trades have in common: checks, flags, equality. Pure."""

from __future__ import annotations

from typing import Protocol

from streamer.avro.binary import ZERO, decimal
from streamer.data.numbers import number
from streamer.data.record_head import LIVE, SOURCES
from streamer.data.value_checks import check_positive
from streamer.errors import FrameRejected

FLAGS = {True: b"\1" + LIVE, False: b"\0" + LIVE}  # buyer_is_maker and source together
LATER_FLAGS = {
    source: {True: b"\1" + code, False: b"\0" + code} for source, code in SOURCES.items()
}
"""The same of what came later, by its source."""


class _TradeLike(Protocol):
    """What a trade and an aggregate of trades have in common."""

    @property
    def event_time(self) -> int: ...
    @property
    def trade_time(self) -> int: ...
    @property
    def price(self) -> str: ...
    @property
    def quantity(self) -> str: ...
    @property
    def buyer_is_maker(self) -> bool: ...


def check_trade(event: _TradeLike, earliest_us: int, latest_us: int) -> None:
    """Raise FrameRejected unless times, price and quantity can be those of a trade."""
    if not (
        earliest_us <= event.event_time <= latest_us
        and earliest_us <= event.trade_time <= latest_us
    ):
        times = f"E {event.event_time}, T {event.trade_time}"
        raise FrameRejected(
            "bad_time", f"{times}: not within {earliest_us} to {latest_us} microseconds"
        )
    try:
        is_positive = decimal(event.price) != ZERO and decimal(event.quantity) != ZERO
    except ValueError:
        is_positive = False
    if not is_positive:  # which of the two, and why, is worth time only now
        check_positive("bad_price", "p", event.price)
        check_positive("bad_quantity", "q", event.quantity)


def is_same_trade(one: _TradeLike, other: _TradeLike) -> bool:
    """Return whether two trades are the same: `1.50` is `1.5`, and REST does not tell `E`."""
    return (
        one.trade_time == other.trade_time
        and one.buyer_is_maker == other.buyer_is_maker
        and number(one.price) == number(other.price)
        and number(one.quantity) == number(other.quantity)
    )
