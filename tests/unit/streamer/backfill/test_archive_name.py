from __future__ import annotations

import pytest

from streamer.backfill.archive_name import ArchiveName, parse_name

DAY_US = 86_400_000_000
NEW_YEAR_US = 1_735_689_600_000_000  # 2025


@pytest.mark.parametrize(
    ("name", "symbol", "stream", "begin", "days", "factor"),
    [
        ("BTCUSDT-trades-2025-01-01.zip", "BTCUSDT", "trade", NEW_YEAR_US, 1, 1),
        ("1INCHUSDT-aggTrades-2024-12-31.zip", "1INCHUSDT", "aggTrade", NEW_YEAR_US - DAY_US, 1,
         1000),
        ("BTCUSDT-trades-2024-12.zip", "BTCUSDT", "trade", NEW_YEAR_US - 31 * DAY_US, 31, 1000),
        ("BTCUSDT-1m-2025-01.zip", "BTCUSDT", "kline_1m", NEW_YEAR_US, 31, 1),
        ("币安USDT-1mo-2025-02.zip", "币安USDT", "kline_1M", NEW_YEAR_US + 31 * DAY_US, 28, 1),
    ],
)  # fmt: skip
def test_names(name, symbol, stream, begin, days, factor):
    found = parse_name(name)
    assert found == ArchiveName(
        name.removesuffix(".zip"), symbol, stream, begin, begin + days * DAY_US
    )
    assert found.factor == factor


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT-trades-2025-13-01.zip", "BTCUSDT-trades-2025-02-30.zip", "BTCUSDT-trades.zip",
        "BTCUSDT-trades-0000-01-01.zip", "BTCUSDT-trades-9999-12-31.zip", "x.zip",
        "BTCUSDT-bookTicker-2025-01-01.zip", "BTCUSDT-trades-2025-01-01.csv", "",
    ],
)  # fmt: skip
def test_other_names(name):
    assert parse_name(name) is None
