"""Symbols over shards: stable, even, and little of it moves."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.shards.assignment import shard_of, symbols_of

SYMBOLS = [f"A{number}USDT" for number in range(3_000)]


def test_the_answer_is_the_same_for_ever() -> None:
    """Another answer after an upgrade would move symbols between running machines."""
    assert [shard_of(each, 12) for each in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "币安人生USDT")] == [
        9,
        7,
        7,
        2,
    ]


@given(st.text(min_size=1), st.integers(1, 40))
def test_a_symbol_moves_only_to_the_shard_that_is_new(symbol: str, count: int) -> None:
    before, after = shard_of(symbol, count), shard_of(symbol, count + 1)
    assert 0 <= before < count
    assert after in (before, count)


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_shards_share_evenly(count: int) -> None:
    sizes = Counter(shard_of(each, count) for each in SYMBOLS)
    fair = len(SYMBOLS) / count
    # Four standard deviations of a fair draw; the digest is fixed, so this can't change by itself.
    assert all(abs(sizes[shard] - fair) <= 4 * fair**0.5 for shard in range(count))


def test_each_symbol_is_in_one_shard() -> None:
    shards = [symbols_of(shard, SYMBOLS, 5) for shard in range(5)]
    assert sorted(each for shard in shards for each in shard) == sorted(SYMBOLS)
    assert list(shards[0]) == [each for each in SYMBOLS if each in shards[0]]


def test_without_shards_there_is_no_answer() -> None:
    with pytest.raises(ValueError, match="at least one shard, got 0"):
        shard_of("BTCUSDT", 0)
