"""The intervals of candles, and which open times they have. Pure.

Intervals are those of the exchange's web-socket-streams.md (2026).
"""

from __future__ import annotations

from datetime import UTC, datetime

INTERVALS = (
    "1s", "1m", "3m", "5m", "15m", "30m",
    "1h", "2h", "4h", "6h", "8h", "12h",
    "1d", "3d", "1w", "1M",
)  # fmt: skip
"""The intervals of klines; `1m` is a minute and `1M` a month."""
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def interval_of(stream: str) -> str:
    """Return the interval of a kline's stream: `1m` of `kline_1m`."""
    return stream.partition("_")[2]


def candles_between(interval: str, begin_us: int, end_us: int) -> int:
    """Return how many candles open from one open time on, before another; times in microseconds."""
    if interval == "1M":
        begin, end = (datetime.fromtimestamp(time / 1e6, UTC) for time in (begin_us, end_us))
        return (end.year - begin.year) * 12 + end.month - begin.month
    return -(-(end_us - begin_us) // _length_us(interval))


def open_time_at(interval: str, time_us: int, any_open_time_us: int) -> int:
    """Return the open time of the candle that a time is in; all in microseconds.

    `any_open_time_us` is that of some candle of the interval: all but months are of one length.
    """
    if interval == "1M":
        month = datetime.fromtimestamp(time_us // 1_000_000, UTC).replace(
            day=1, hour=0, minute=0, second=0
        )
        return int(month.timestamp()) * 1_000_000
    length_us = _length_us(interval)
    return any_open_time_us + (time_us - any_open_time_us) // length_us * length_us


def next_open_time(interval: str, open_time_us: int) -> int:
    """Return when the candle after another one opens; both in microseconds."""
    if interval == "1M":
        month = datetime.fromtimestamp(open_time_us // 1_000_000, UTC)
        year, index = divmod(month.year * 12 + month.month, 12)
        return int(datetime(year, index + 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    return open_time_us + _length_us(interval)


def _length_us(interval: str) -> int:
    return int(interval[:-1]) * _UNIT_SECONDS[interval[-1]] * 1_000_000
