"""What the name of one of the exchange's public archives says. Pure.

Names are those of github.com/binance/binance-public-data (2026): `BTCUSDT-trades-2026-11-27.zip`,
`BTCUSDT-aggTrades-…`, `BTCUSDT-1m-…`, of a day or of a month; `1mo` stands for the interval `1M`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from streamer.data.intervals import INTERVALS

_STREAMS = {
    "trades": "trade",
    "aggTrades": "aggTrade",
    **{"1mo" if one == "1M" else one: f"kline_{one}" for one in INTERVALS},
}
_NAME = re.compile(r"(.+)-([A-Za-z0-9]+)-(\d{4})-(\d\d)(?:-(\d\d))?\.zip", re.ASCII)
MICROSECONDS_SINCE = datetime(2025, 1, 1, tzinfo=UTC)
"""Archives of spot markets have times in microseconds from this day on, in milliseconds before."""


@dataclass(frozen=True, slots=True)
class ArchiveName:
    """What is in an archive: Unix times in microseconds, the end not included."""

    stem: str  # of the file within it as well
    symbol: str
    stream: str
    from_us: int
    to_us: int

    @property
    def factor(self) -> int:
        """What makes microseconds of the times in it."""
        return 1 if self.from_us >= MICROSECONDS_SINCE.timestamp() * 1_000_000 else 1000


def parse_name(name: str) -> ArchiveName | None:
    """Return what a file's name says; None when it is not that of such an archive."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    symbol, what, year, month, day = match.groups()
    stream = _STREAMS.get(what)
    if stream is None:
        return None
    try:
        begin = datetime(int(year), int(month), int(day or 1), tzinfo=UTC)
        end = begin + timedelta(days=1)
        if day is None:
            end = (begin + timedelta(days=31)).replace(day=1)
    except (ValueError, OverflowError):
        return None
    return ArchiveName(
        name.removesuffix(".zip"),
        symbol,
        stream,
        int(begin.timestamp()) * 1_000_000,
        int(end.timestamp()) * 1_000_000,
    )
