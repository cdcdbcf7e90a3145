"""The lines of the exchange's public archives as events. Pure.

Columns are those of github.com/binance/binance-public-data (2026), spot markets: without a heading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamer.backfill.archive_name import ArchiveName
from streamer.data.catalogue import kind_of
from streamer.data.intervals import interval_of
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.kline import candle_of_row
from streamer.data.kinds.trade import Trade

COLUMNS = {
    "trade": ("id", "price", "quantity", "quote quantity", "time", "buyer is maker", "best match"),
    "aggTrade": ("id", "price", "quantity", "first trade id", "last trade id", "time",
                 "buyer is maker", "best match"),
    "kline": ("open time", "open", "high", "low", "close", "volume", "close time", "quote volume",
              "trades", "taker buy volume", "taker buy quote volume", "unused"),
}  # fmt: skip
_FLAGS = {"True": True, "true": True, "False": False, "false": False}
_DIGITS_MAX, _WHOLE_MAX = 19, (1 << 63) - 1  # what Avro's long can hold

Read = Callable[[list[str]], Any]
"""Makes an event of the fields of a line. Raises ValueError, for people."""


def reader(name: ArchiveName) -> Callable[[str], Any]:
    """Return what makes an event of a line of an archive. It raises ValueError, for people."""
    kind = kind_of(name.stream)
    columns = COLUMNS[kind]
    read = {"trade": _trade, "aggTrade": _aggregate, "kline": _candle}[kind](name)

    def event(line: str) -> Any:  # noqa: ANN401 - of the stream's kind
        fields = line.split(",")
        if len(fields) != len(columns):
            raise ValueError(
                f"{len(fields)} columns; expected {len(columns)}: {', '.join(columns)}"
            )
        return read(fields)

    return event


def _trade(name: ArchiveName) -> Read:
    symbol, factor = name.symbol, name.factor

    def read(fields: list[str]) -> Trade:
        number, price, quantity, _, time, is_maker, _ = fields
        time_us = _whole(time, "time") * factor
        return Trade("trade", time_us, symbol, _whole(number, "id"), price, quantity, time_us,
                     _flag(is_maker, "buyer is maker"), "archive")  # fmt: skip

    return read


def _aggregate(name: ArchiveName) -> Read:
    symbol, factor = name.symbol, name.factor

    def read(fields: list[str]) -> AggTrade:
        number, price, quantity, first, last, time, is_maker, _ = fields
        time_us = _whole(time, "time") * factor
        return AggTrade("aggTrade", time_us, symbol, _whole(number, "id"), price, quantity,
                        _whole(first, "first trade id"), _whole(last, "last trade id"), time_us,
                        _flag(is_maker, "buyer is maker"), "archive")  # fmt: skip

    return read


def _candle(name: ArchiveName) -> Read:
    symbol, factor, interval = name.symbol, name.factor, interval_of(name.stream)

    def read(fields: list[str]) -> Any:  # noqa: ANN401 - an event
        begin, opening, high, low, closing, volume, end, quote, trades, bought, paid, _ = fields
        row = (
            _whole(begin, "open time"), opening, high, low, closing, volume,
            _whole(end, "close time"), quote, _whole(trades, "trades"), bought, paid, "",
        )  # fmt: skip
        return candle_of_row(symbol, interval, row, factor, is_closed=True, source="archive")

    return read


def _whole(text: str, column: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX:
        number = int(text)
        if number <= _WHOLE_MAX:
            return number
    raise ValueError(f"{column}: {text[:40]!r} is no whole number of 63 bits")


def _flag(text: str, column: str) -> bool:
    try:
        return _FLAGS[text]
    except KeyError:
        raise ValueError(f"{column}: {text[:40]!r}; expected True or False") from None
