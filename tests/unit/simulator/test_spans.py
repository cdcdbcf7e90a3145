"""Sums of trades over spans, and the calendar of candles."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.spans import INTERVALS, Spans, candle_end, candle_start, candle_starts
from simulator.tape import Rhythm, SymbolTape, Trade

START = 1_700_000_123
TAPE = SymbolTape(1, "BTCUSDT", Rhythm(2.0), START * 1_000_000)
SPANS = Spans(TAPE)


def at(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        ("1s", at(2026, 2, 11, 23, 45, 59), at(2026, 2, 11, 23, 46)),
        ("15m", at(2026, 2, 11, 23, 45), at(2026, 2, 12)),
        ("12h", at(2026, 2, 11, 12), at(2026, 2, 12)),
        ("1w", at(2026, 2, 9), at(2026, 2, 16)),
        ("1M", at(2026, 2, 1), at(2026, 3, 1)),
    ],
)
def test_candles_follow_the_calendar(interval: str, start: int, end: int) -> None:
    assert candle_start(interval, at(2026, 2, 11, 23, 45, 59)) == start
    assert candle_end(interval, start) == end


@given(st.sampled_from(INTERVALS), st.integers(0, 4_000_000_000))
def test_every_second_is_in_one_candle(interval: str, second: int) -> None:
    start = candle_start(interval, second)
    end = candle_end(interval, start)
    assert start <= second < end
    assert candle_start(interval, end - 1) == start
    assert candle_start(interval, end) == end


def test_candles_are_found_from_both_ends() -> None:
    assert candle_starts("1m", 30, 250, 10, None) == [0, 60, 120, 180, 240]
    assert candle_starts("1m", 30, 250, 2, None) == [180, 240]
    assert candle_starts("1m", 30, 250, 2, 61) == [120, 180]
    assert candle_starts("1m", 30, 250, 2, 60) == [60, 120]
    assert candle_starts("1m", 30, 250, 2, -500) == [0, 60]
    assert candle_starts("1m", 30, 250, 2, 999) == []


@settings(max_examples=30)  # they take milliseconds each
@given(st.integers(0, 4000), st.integers(1, 4000))
def test_a_span_is_the_sum_of_its_trades(offset: int, length: int) -> None:
    begin, end = START + offset, START + offset + length
    first = TAPE.index_after("trade", begin * 1_000_000 - 1)
    last = TAPE.index_after("trade", end * 1_000_000 - 1)
    events = [TAPE.event("trade", index) for index in range(first, last)]
    trades = [each for each in events if isinstance(each, Trade)]
    span = SPANS.between(begin, end)

    if span is None:
        assert trades == []
        return
    bought = [each for each in trades if not each.buyer_is_maker]
    assert span == (
        len(trades),
        trades[0],
        trades[-1],
        max(each.price for each in trades),
        min(each.price for each in trades),
        sum(each.quantity for each in trades),
        sum(each.price * each.quantity for each in trades),
        sum(each.quantity for each in bought),
        sum(each.price * each.quantity for each in bought),
    )
    assert all(begin * 1_000_000 <= each.time < end * 1_000_000 for each in trades)


def test_before_the_tape_nobody_traded() -> None:
    spans = Spans(TAPE)
    assert spans.between(0, START) is None
    assert spans.price_before(0) == TAPE.event("trade", 0)[2]
    index = TAPE.index_after("trade", (START + 60) * 1_000_000 - 1)
    assert spans.price_before(START + 60) == TAPE.event("trade", index - 1)[2]
