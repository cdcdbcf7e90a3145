"""`exchangeInfo`: which symbols the exchange trades. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from streamer.data.binance_spot import EXCHANGE_INFO_WEIGHT
from streamer.data.rest_page import RestRequest, decode

INFO_BYTES_MAX = 64 << 20
"""Of an answer: 3,600 symbols of any status took some 15 MB; those that trade, without their
permissions, a fifth of that."""
REQUEST = RestRequest(
    "exchangeInfo",
    (("symbolStatus", "TRADING"), ("showPermissionSets", "false")),
    EXCHANGE_INFO_WEIGHT,
    answer_bytes_max=INFO_BYTES_MAX,
)
SYMBOLS_MAX = 10_000  # three times what the exchange ever had; each costs memory and sockets
_CHARACTERS_MAX = 40  # of a name; the longest of the exchange have 15
_TRADING = "TRADING"


class _Symbol(msgspec.Struct):
    symbol: str
    status: str


class _Info(msgspec.Struct):
    symbols: list[_Symbol]


class _AnyInfo(msgspec.Struct):
    symbols: list[Any]


_info = msgspec.json.Decoder(_Info)
_any_info = msgspec.json.Decoder(_AnyInfo)


def read_trading(body: bytes) -> frozenset[str]:
    """Return the symbols that trade; what is no symbol among them is passed over.

    Raises ValueError where the answer is not the documented JSON, or lists more than SYMBOLS_MAX.
    """
    found = {
        one.symbol for one in _symbols(body) if one.status == _TRADING and is_symbol(one.symbol)
    }
    if len(found) > SYMBOLS_MAX:
        raise ValueError(
            f"exchangeInfo lists {len(found)} symbols; at most {SYMBOLS_MAX} are taken"
        )
    return frozenset(found)


def _symbols(body: bytes) -> Iterator[_Symbol]:
    try:
        yield from _info.decode(body).symbols  # a tenth of the time: the feed's thread waits
    except (msgspec.ValidationError, UnicodeDecodeError):
        for element in decode(_any_info, body).symbols:
            with suppress(msgspec.ValidationError):
                yield msgspec.convert(element, _Symbol)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not the documented JSON: {error}") from error


def is_symbol(name: str) -> bool:
    """Return whether a name of the exchange's can be used as one: in names of streams and files.

    Letters and digits of any script, with a case that survives being changed forth and back.
    """
    return (
        0 < len(name) <= _CHARACTERS_MAX
        and all(mark.isalnum() or mark in "-_." for mark in name)
        and name[0].isalnum()
        and name.upper() == name == name.lower().upper()
    )
