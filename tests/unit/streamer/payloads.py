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
PAYLOADS = {"trade": TRADE, "aggTrade": AGG_TRADE, "bookTicker": BOOK_TICKER}


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
