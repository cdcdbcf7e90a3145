"""Levels of an order book, which changes and partial books have. Pure."""

from __future__ import annotations

from streamer.avro.binary import ZERO, level_decimal, long
from streamer.data.value_checks import check_decimal
from streamer.errors import FrameRejected

Level = tuple[str, str]
"""A price and the quantity that is there now; zero removes the price from the book."""


def check_levels(letter: str, levels: list[Level]) -> None:
    """Raise FrameRejected unless every level has a price above zero, and a quantity."""
    for price, quantity in levels:
        if check_decimal("bad_price", letter, price, level_decimal) == ZERO:
            raise FrameRejected("bad_price", f"{letter}: expected above zero, not {price}")
        check_decimal("bad_quantity", letter, quantity, level_decimal)


def encode_levels(levels: list[Level]) -> bytes:
    """Return an array of prices with quantities: a block of all of them, and the end."""
    if not levels:
        return b"\0"
    encoded = [long(len(levels))]
    for price, quantity in levels:
        encoded += (level_decimal(price), level_decimal(quantity))
    encoded.append(b"\0")
    return b"".join(encoded)
