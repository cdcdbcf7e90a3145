"""What aggregates tell of single trades, and when they are asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.data.binance_spot import AGG_TRADES_WEIGHT, TRADES_WEIGHT
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.trade import Trade
from streamer.repair.single_trades import SingleShare, single_trades


def aggregate(first: int, last: int) -> AggTrade:
    return AggTrade(
        "aggTrade", 7_000, "BTCUSDT", 1, "1.5", "2", first, last, 7_000, True, "backfill"
    )


def test_an_aggregate_of_one_trade_is_that_trade() -> None:
    found = single_trades([aggregate(4, 4), aggregate(5, 6), aggregate(7, 7)], 5, 7)

    assert found == [Trade("trade", 7_000, "BTCUSDT", 7, "1.5", "2", 7_000, True, "backfill")]


def test_small_gaps_are_worth_it_and_large_ones_are_not() -> None:
    share = SingleShare()
    assert share.is_worth_asking(1)
    assert share.is_worth_asking(5)
    assert not share.is_worth_asking(6)


@given(st.lists(st.integers(0, 3), max_size=3_000), st.integers(1, 30))
def test_it_follows_what_it_sees_and_is_asked_where_it_is_cheaper(
    sizes: list[int], missing: int
) -> None:
    share = SingleShare()
    for size in sizes:
        share.observe([aggregate(1, 1 + size)])

    assert 0 <= share.share <= 1
    expected = AGG_TRADES_WEIGHT + (1 - share.share**missing) * TRADES_WEIGHT
    assert share.is_worth_asking(missing) == (expected < TRADES_WEIGHT)


def test_what_was_seen_long_ago_is_forgotten() -> None:
    share = SingleShare()
    share.observe([aggregate(1, 1)] * 5_000)
    share.observe([aggregate(1, 2)] * 5_000)
    assert share.share < 0.1
