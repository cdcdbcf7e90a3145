"""Frames as the exchange sends them, for the tests of the data layer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORDINGS = Path(
    os.environ.get("VIGIL_RECORDINGS", Path(__file__).parents[4] / "shared" / "recordings")
)
NOW_US = 1_726_000_000_500_000
"""When the frames here arrive."""

TRADE: dict[str, Any] = {
    "e": "trade", "E": 1_726_000_000_123_456, "s": "BTCUSDT", "t": 5_123_456_789,
    "p": "65000.12000000", "q": "0.00123000", "T": 1_726_000_000_123_400, "m": True, "M": True,
}  # fmt: skip
AGG_TRADE: dict[str, Any] = {
    "e": "aggTrade", "E": 1_726_000_000_123_456, "s": "BTCUSDT", "a": 3_123_456_789,
    "p": "65000.12000000", "q": "0.00123000", "f": 5_123_456_780, "l": 5_123_456_789,
    "T": 1_726_000_000_123_400, "m": False, "M": True,
}  # fmt: skip
BOOK_TICKER: dict[str, Any] = {
    "u": 400_900_217, "s": "BTCUSDT", "b": "65000.11000000", "B": "31.21000000",
    "a": "65000.12000000", "A": "40.66000000",
}  # fmt: skip
DEPTH: dict[str, Any] = {
    "e": "depthUpdate", "E": 1_726_000_000_123_456, "s": "BTCUSDT", "U": 400_900_210,
    "u": 400_900_217, "b": [["65000.11000000", "31.21000000"], ["64999.00000000", "0.00000000"]],
    "a": [["65000.12000000", "40.66000000"]],
}  # fmt: skip
KLINE: dict[str, Any] = {
    "e": "kline", "E": 1_726_000_000_123_456, "s": "BTCUSDT",
    "k": {
        "t": 1_725_999_960_000_000, "T": 1_726_000_019_999_999, "s": "BTCUSDT", "i": "1m",
        "f": 5_123_456_700, "L": 5_123_456_789, "o": "65001.00000000", "c": "65000.12000000",
        "h": "65002.50000000", "l": "64998.75000000", "v": "12.34500000", "n": 90, "x": False,
        "q": "802431.48140000", "V": "7.00000000", "Q": "455000.84000000", "B": "0",
    },
}  # fmt: skip
MINI_TICKER: dict[str, Any] = {
    "e": "24hrMiniTicker", "E": 1_726_000_000_123_456, "s": "BTCUSDT", "c": "65000.12000000",
    "o": "64000.00000000", "h": "66000.00000000", "l": "63500.50000000", "v": "12345.67800000",
    "q": "802431481.40000000",
}  # fmt: skip
TICKER: dict[str, Any] = {
    "e": "24hrTicker", "E": 1_726_000_000_123_456, "s": "BTCUSDT", "p": "-999.88000000",
    "P": "-1.515", "w": "65010.00000000", "x": "65999.00000000", "c": "65000.12000000",
    "Q": "0.00123000", "b": "65000.11000000", "B": "31.21000000", "a": "65000.12000000",
    "A": "40.66000000", "o": "66000.00000000", "h": "66500.00000000", "l": "63500.50000000",
    "v": "12345.67800000", "q": "802431481.40000000", "O": 1_725_913_600_123_000,
    "C": 1_726_000_000_123_000, "F": 5_120_000_000, "L": 5_123_456_789, "n": 3_456_790,
}  # fmt: skip
PARTIAL_DEPTH: dict[str, Any] = {
    "lastUpdateId": 400_900_217,
    "bids": [["65000.11000000", "31.21000000"], ["64999.00000000", "0.40000000"]],
    "asks": [["65000.12000000", "40.66000000"]],
}  # fmt: skip
AVG_PRICE: dict[str, Any] = {
    "e": "avgPrice", "E": 1_726_000_000_123_456, "s": "BTCUSDT", "i": "5m",
    "w": "65001.73000000", "T": 1_726_000_000_100_000,
}  # fmt: skip
PAYLOADS = {
    "trade": TRADE,
    "aggTrade": AGG_TRADE,
    "bookTicker": BOOK_TICKER,
    "depth": DEPTH,
    "depth@100ms": DEPTH,
    "kline_1m": KLINE,
    "miniTicker": MINI_TICKER,
    "ticker": TICKER,
    "avgPrice": AVG_PRICE,
    "depth5": PARTIAL_DEPTH,
    "depth20@100ms": PARTIAL_DEPTH,
}
"""A payload of each stream."""


def of_symbol(payload: dict[str, Any], symbol: str) -> dict[str, Any]:
    """Return the payload as that of another symbol."""
    inner = {"k": {**payload["k"], "s": symbol}} if "k" in payload else {}
    named = {"s": symbol} if "s" in payload else {}  # partial books have none
    return {**payload, **named, **inner}


def frame(data: object, stream: str = "btcusdt@trade") -> bytes:
    """Return a frame of a combined stream, as compact as the exchange's."""
    return json.dumps(
        {"stream": stream, "data": data}, separators=(",", ":"), ensure_ascii=False
    ).encode()


def trade(**changes: object) -> bytes:
    """Return a trade's frame with some fields changed; None removes one."""
    fields = {key: value for key, value in (TRADE | changes).items() if value is not None}
    return frame(fields)


def recorded(name: str) -> Iterator[tuple[float, bytes]]:
    """Yield the receive time and the bytes of each frame of a recording."""
    for line in (RECORDINGS / name).read_text().splitlines()[1:]:
        received, _, text = line.partition(": ")
        if text:
            yield float(received), text.encode()
