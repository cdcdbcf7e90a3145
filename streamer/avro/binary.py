"""Avro's binary encoding of the few types that the records are made of.

Written by hand because it is most of a record's cost: this encodes a trade in about a third of
the time that a general writer takes for a dict (docs/decisions/). The tests hold it against
fastavro and `decimal`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from streamer.avro.accelerator import ACCELERATOR

DECIMAL_SCALE = 18
"""Digits after the point of every price and quantity: the schemas' decimal(38,18)."""
DECIMAL_INTEGER_DIGITS = 20

_PAIRS = [bytes((value & 0x7F | 0x80, value >> 7 | 0x80)) for value in range(1 << 14)]
"""The low 14 bits of a longer number as its two bytes, both marked "more follows"."""
_MANY_VALUES = 8192  # of a text or a high half: about 1 MiB each, and prices repeat


def varint(value: int) -> bytes:
    """Return an unsigned number in groups of 7 bits, the lowest first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class _Varints(dict[int, bytes]):
    """Remembers encoded numbers: the high bits of times change every 8 ms, of ids every 8192."""

    def __missing__(self, value: int) -> bytes:
        if len(self) >= _MANY_VALUES:
            self.clear()
        encoded = self[value] = varint(value)
        return encoded


_high_bits = _Varints()


def long(value: int) -> bytes:
    """Return an Avro int or long. Wants -2⁶³ ≤ value < 2⁶³."""
    if value < 1 << 13:
        return varint(value << 1 if value >= 0 else ~value << 1 | 1)
    return _PAIRS[value << 1 & 0x3FFF] + _high_bits[value >> 13]


def optional_long(value: int | None) -> bytes:
    """Return a union of null and long, in this order."""
    return b"\0" if value is None else b"\2" + long(value)


def read_long(data: bytes, position: int) -> tuple[int, int]:
    """Return a long and where the next thing begins. Raises IndexError at the end of data."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value >> 1 ^ -(value & 1), position
        if shift > 63:
            raise IndexError(position)  # no long: as good as cut off here


_SIZES = [long(size) for size in range(17)]  # 38 digits need 16 bytes
_POWERS = [10 ** (DECIMAL_SCALE - digits) for digits in range(DECIMAL_SCALE + 1)]


def string(text: str) -> bytes:
    """Return an Avro string."""
    encoded = text.encode()
    return long(len(encoded)) + encoded


def plain_decimal(text: str) -> bytes:
    """Return Avro bytes that hold a plain decimal text such as `0.35130000` times 10¹⁸.

    Raises ValueError for anything but ASCII digits with at most one point between them, at most
    20 before and 18 after it.
    """
    whole, point, fraction = text.partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdecimal() and whole and (fraction or not point)):
        raise ValueError(f"expected a plain decimal number, not {text[:40]!r}")
    if len(whole) > DECIMAL_INTEGER_DIGITS or len(fraction) > DECIMAL_SCALE:
        raise ValueError(f"at most 20 digits before and 18 after the point, not {text[:60]!r}")
    value = int(digits) * _POWERS[len(fraction)]
    size = value.bit_length() + 8 >> 3  # one bit more than needed: the sign of two's complement
    encoded: bytes = _SIZES[size] + value.to_bytes(size, "big")
    return encoded


_cached = [lru_cache(maxsize=_MANY_VALUES)(plain_decimal) for _ in range(2)]


def _fast_decimals() -> tuple[Callable[[str], bytes], Callable[[str], bytes]]:
    """Return `plain_decimal` compiled, which is as fast as a look into a cache; else cached."""
    if ACCELERATOR is not None:
        compiled = ACCELERATOR.DecimalEncoder(plain_decimal)
        return compiled, compiled
    return _cached[0], _cached[1]


decimal, level_decimal = _fast_decimals()
"""`plain_decimal`, fast; the latter for the levels of books, whose many values would put those of
trades out of a cache."""


def remembered_bytes() -> int:
    """Return about how much memory the remembered values take: at most 4 MiB, once all is full."""
    texts = sum(cache.cache_info().currsize for cache in _cached)
    return texts * 190 + len(_high_bits) * 105  # by tracemalloc, keys and links included


def signed_decimal(text: str) -> bytes:
    """As `plain_decimal`, and a minus may go before it."""
    if not text.startswith("-"):
        return plain_decimal(text)
    value = -int.from_bytes(plain_decimal(text[1:])[1:], "big")
    size = value.bit_length() + 8 >> 3
    encoded: bytes = _SIZES[size] + value.to_bytes(size, "big", signed=True)
    return encoded


ZERO = decimal("0")
