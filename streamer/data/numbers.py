"""Numbers as the exchange writes them, to be compared: `1.50` is `1.5`. Pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

_NO_NUMBER = Decimal(-1)


def number(text: str) -> Decimal:
    """Return the number that a text is; below 0 where it is none."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return _NO_NUMBER
