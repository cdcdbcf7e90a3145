from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streamer.data.intervals import (
    candles_between,
    interval_of,
    next_open_time,
    open_time_at,
)


def test_a_month_is_no_minute():
    assert [interval_of(stream) for stream in ("kline_1m", "kline_1M")] == ["1m", "1M"]


def at(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("interval", "begin", "end", "candles"),
    [
        ("1s", at(2026, 1, 1), at(2026, 1, 1, 0, 1), 60),
        ("15m", at(2026, 1, 1), at(2026, 1, 1, 1), 4),
        ("3d", at(2026, 1, 1), at(2026, 1, 7), 2),
        ("1w", at(2026, 1, 5), at(2026, 1, 12), 1),
        ("1M", at(2025, 11, 1), at(2026, 3, 1), 4),
    ],
)
def test_candles_are_counted_by_their_interval(interval, begin, end, candles):
    assert candles_between(interval, begin, end) == candles


@pytest.mark.parametrize(
    ("interval", "time", "known", "open_time"),
    [
        ("1m", at(2026, 1, 1, 0, 3, 7), at(2026, 1, 1, 1), at(2026, 1, 1, 0, 3)),
        ("1m", at(2026, 1, 1, 0, 3), at(2026, 1, 1), at(2026, 1, 1, 0, 3)),
        ("1w", at(2026, 1, 11, 23), at(2026, 2, 2), at(2026, 1, 5)),
        ("1M", at(2026, 2, 11, 23, 1, 1) + 5, at(2026, 4, 1), at(2026, 2, 1)),
    ],
)
def test_the_candle_of_a_time_is_found_from_any_other(interval, time, known, open_time):
    assert open_time_at(interval, time, known) == open_time


@pytest.mark.parametrize(
    ("interval", "open_time", "following"),
    [("1m", 0, 60), ("1w", 345_600, 950_400), ("1M", 0, 2_678_400), ("1M", 28_857_600, 31_536_000)],
)
def test_when_the_next_candle_opens(interval, open_time, following):
    assert next_open_time(interval, open_time * 1_000_000) == following * 1_000_000
