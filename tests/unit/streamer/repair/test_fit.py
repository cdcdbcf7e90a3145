"""What REST tells, beside what the stream told."""

from __future__ import annotations

import pytest

from streamer.data.candle import Candle
from streamer.data.kinds.kline import Kline
from streamer.data.kinds.trade import Trade
from streamer.repair.fit import TOLERANCE_US, Misfit, compare


def trade(number: int, time_us: int = 0, price: str = "1.5") -> Trade:
    return Trade("trade", 7, "BTCUSDT", number, price, "2", 10**15 + time_us, True)


def kline(open_time: int, trades: int = 1, price: str = "1", is_closed: bool = True) -> Kline:
    times = (open_time * 60_000_000, open_time * 60_000_000 + 59_999_999)
    candle = Candle(*times, "BTCUSDT", "1m", None, None, *[price] * 4, "5", trades, is_closed,
                    "5", "1", "1")  # fmt: skip
    return Kline("kline", times[1] + 1, "BTCUSDT", candle)


def test_a_neighbour_that_is_the_same_shows_the_same_venue():
    page = [trade(10), trade(11), trade(12)]
    assert compare(page, trade(10), None)
    assert compare(page, None, trade(12))
    assert compare(page, trade(10), trade(12))


def test_without_a_neighbour_in_it_a_page_shows_nothing():
    assert not compare([trade(11)], trade(10), trade(12))
    assert not compare([trade(11)], None, None)
    assert not compare([], trade(10), None)


def test_a_neighbour_that_differs_is_a_misfit():
    with pytest.raises(Misfit, match="and REST"):
        compare([trade(10, price="1.6"), trade(11)], trade(10), None)
    with pytest.raises(Misfit):
        compare([trade(11), trade(12, price="1.6")], trade(10), trade(12))


def test_times_lie_between_those_of_the_neighbours():
    below, above = trade(10, 0), trade(20, 100)
    early, late = -TOLERANCE_US, 100 + TOLERANCE_US
    assert not compare([trade(11, early), trade(12, late)], below, above)
    with pytest.raises(Misfit, match="older"):
        compare([trade(11, early - 1)], below, None)
    with pytest.raises(Misfit, match="younger"):
        compare([trade(12, late + 1)], None, above)
    assert not compare([trade(9, early - 1), trade(21, late + 1)], below, above)


def test_empty_candles_have_the_price_of_the_one_before():
    assert compare([kline(1, 0), kline(2)], kline(1, 0), None)
    with pytest.raises(Misfit):
        compare([kline(1, 0, price="2"), kline(2)], kline(1, 0), None)


def test_candles_are_compared_where_somebody_traded():
    page = [kline(1), kline(2), kline(3)]
    assert compare(page, kline(1), kline(3))
    assert not compare([kline(1, 0), kline(2)], kline(1, 0, is_closed=False), None)
    assert not compare([kline(2)], kline(1), trade(10**15))
    with pytest.raises(Misfit):
        compare([kline(1, price="2")], kline(1), None)
    assert not compare([trade(11)], kline(1), None)
