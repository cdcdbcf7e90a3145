"""Public archives of the tape, as data.binance.vision has them: a zip with a CSV file, a day each.

Names and columns are those of github.com/binance/binance-public-data (2026), times those since
2025: microseconds. A day that is not over is archived up to the moment of the first question.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

from simulator.payloads import UNIT, decimal
from simulator.spans import INTERVALS, candle_starts
from simulator.summaries import Summaries
from simulator.summary_payloads import rest_candle
from simulator.tape import Aggregate, SymbolTape, Trade

CHECKSUM_SUFFIX = ".CHECKSUM"
_STREAMS = {"trades": "trade", "aggTrades": "aggTrade"}
_NAME = re.compile(r"(.+)-(\w+)-(\d{4}-\d\d-\d\d)\.zip", re.ASCII)
_DAY_MICROSECONDS = 86_400_000_000
_EVERY_CANDLE = 1 << 31


class Archives:
    """Archives by name, each as it was when it was first asked for."""

    def __init__(self, tapes: dict[str, SymbolTape], summaries: dict[str, Summaries]) -> None:
        self._tapes = tapes
        self._summaries = summaries
        self._made: dict[str, bytes] = {}

    def get(self, name: str, now: int) -> bytes:
        """Return a zip, or the checksum of one; `now` in µs. Raises ValueError for other names."""
        zip_name = name.removesuffix(CHECKSUM_SUFFIX)
        archive = self._made.get(zip_name)
        if archive is None:
            archive = self._made[zip_name] = self._make(zip_name, now)
        if name == zip_name:
            return archive
        return f"{hashlib.sha256(archive).hexdigest()}  {zip_name}\n".encode()

    def _make(self, name: str, now: int) -> bytes:
        match = _NAME.fullmatch(name)
        symbol, what, day = match.groups() if match else ("", "", "")
        if symbol not in self._tapes or (what not in _STREAMS and what not in INTERVALS):
            raise ValueError(
                f"{name}: no such archive; expected SYMBOL-trades-YYYY-MM-DD.zip, aggTrades or an "
                f"interval, and one of {', '.join(self._tapes)}"
            )
        begin = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000
        end = min(begin + _DAY_MICROSECONDS, now)
        rows = (
            self._events(symbol, _STREAMS[what], begin, end)
            if what in _STREAMS
            else (self._candles(symbol, what, begin, end))
        )
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(
                f"{name.removesuffix('.zip')}.csv", "".join(f"{row}\n" for row in rows)
            )
        return content.getvalue()

    def _events(self, symbol: str, stream: str, begin: int, end: int) -> Iterator[str]:
        tape = self._tapes[symbol]
        first, last = (tape.index_after(stream, time - 1) for time in (begin, end))
        for index in range(first, last):
            event = tape.event(stream, index)
            if isinstance(event, Trade) and event.quantity:
                quote = decimal(event.price * event.quantity // UNIT)
                yield (
                    f"{event.id},{decimal(event.price)},{decimal(event.quantity)},{quote},"
                    f"{event.time},{event.buyer_is_maker},True"
                )
            elif isinstance(event, Aggregate):
                yield (
                    f"{event.id},{decimal(event.price)},{decimal(event.quantity)},{event.first},"
                    f"{event.last},{event.time},{event.buyer_is_maker},True"
                )

    def _candles(self, symbol: str, interval: str, begin: int, end: int) -> Iterator[str]:
        summaries, known = self._summaries[symbol], end // 1_000_000
        earliest = max(begin, self._tapes[symbol].start) // 1_000_000
        for start in candle_starts(interval, earliest, known, _EVERY_CANDLE, begin // 1_000_000):
            candle = summaries.candle(interval, start, known)
            if candle.is_closed and start * 1_000_000 < begin + _DAY_MICROSECONDS:
                yield ",".join(str(value) for value in json.loads(rest_candle(candle, "us")))
