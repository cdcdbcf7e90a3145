"""The names of streams: what comes after `@` on the wire, and the kind that each is of. Pure.

A *stream* is what is subscribed: `trade`, `depth@100ms`, `kline_1m`. Its *kind* decides schema,
topic and directory: `depth` and `depth@100ms` are one kind, and so are the klines of all
intervals. Names and intervals are those of the exchange's web-socket-streams.md (2026).
"""

from __future__ import annotations

KINDS = ("trade", "aggTrade", "bookTicker")
"""The kinds that have a typed event and an Avro schema."""
INTERVALS = (
    *("1s", "1m", "3m", "5m", "15m", "30m"),
    *("1h", "2h", "4h", "6h", "8h", "12h"),
    *("1d", "3d", "1w", "1M"),
)
"""The intervals of klines; `1m` is a minute and `1M` a month."""


def kind_of(stream: str) -> str:
    """Return the kind of a stream: `depth` of `depth@100ms`, `kline` of `kline_1m`."""
    return stream.partition("@")[0].partition("_")[0]


def interval_of(stream: str) -> str:
    """Return the interval of a kline's stream: `1m` of `kline_1m`."""
    return stream.partition("_")[2]
