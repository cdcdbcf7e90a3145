"""Which symbols patterns choose."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.listing.patterns import SymbolPatterns, is_pattern

LISTED = ("BTCUSDT", "ETHUSDT", "ETHBTC", "BTCDOWNUSDT", "币安人生USDT", "BTCEUR")


@pytest.mark.parametrize(
    ("entries", "chosen"),
    [
        (("*USDT", "BTC*"), ("BTCDOWNUSDT", "BTCEUR", "BTCUSDT", "ETHUSDT", "币安人生USDT")),
        (("ALL",), tuple(sorted(LISTED))),
        (("ALL", "!*USDT"), ("BTCEUR", "ETHBTC")),
        (("*USDT", "!*DOWNUSDT", "!币安*"), ("BTCUSDT", "ETHUSDT")),
        (("???BTC",), ("ETHBTC",)),
        (("币*",), ("币安人生USDT",)),
        (("ETHUSDT", "GONEUSDT"), ("ETHUSDT", "GONEUSDT")),  # named: whatever is listed
        (("ETHUSDT", "ETH*", "!ETHUSDT"), ("ETHBTC",)),
        (("!*",), ()),
    ],
)
def test_names_patterns_and_exclusions(entries, chosen):
    assert SymbolPatterns(entries).select(LISTED) == chosen


def test_a_symbol_alone_is_chosen_by_a_pattern_and_not_by_its_name():
    patterns = SymbolPatterns(("BTCEUR", "*USDT", "!*DOWNUSDT"))
    chosen = [symbol for symbol in LISTED if patterns.choose(symbol)]
    assert chosen == ["BTCUSDT", "ETHUSDT", "币安人生USDT"]
    ours = SymbolPatterns(("*USDT",), lambda symbol: symbol > "E")
    assert not ours.choose("BTCUSDT"), "another shard has it"


def test_what_depends_on_the_listing_and_what_can_never_be_anything():
    assert not SymbolPatterns(("BTCUSDT", "!ETH*")).need_listing
    assert SymbolPatterns(("*",)).need_listing
    assert SymbolPatterns(("!ETH*",)).is_empty
    assert [is_pattern(each) for each in ("BTCUSDT", "ALL", "!BTCUSDT", "BTC*", "BTC?")] == [
        False, True, True, True, True
    ]  # fmt: skip


@given(
    st.text("AB*?.^$|+\\[(币", min_size=1, max_size=8),
    st.lists(st.text("AB.^$|+\\[(币", min_size=1, max_size=8), unique=True),
)
def test_only_the_two_wildcards_mean_anything(pattern, listed):
    chosen = SymbolPatterns((pattern, "*")).select(listed)
    assert set(chosen) == set(listed) | (set() if is_pattern(pattern) else {pattern})
    if is_pattern(pattern):
        expected = {each for each in listed if fnmatchcase(each, pattern.replace("[", "[[]"))}
        assert set(SymbolPatterns((pattern,)).select(listed)) == expected


def test_many_stars_take_no_time():
    assert SymbolPatterns(("A" + "*" * 200 + "B",)).select(("A" * 2000,)) == ()


def test_a_shard_takes_its_symbols_of_names_and_patterns_alike() -> None:
    patterns = SymbolPatterns(("ETHBTC", "XRPUSDT", "*USDT"), lambda symbol: symbol > "E")
    assert patterns.names == ("ETHBTC", "XRPUSDT")
    assert patterns.select(("BTCUSDT", "ETHUSDT", "XRPUSDT")) == ("ETHBTC", "XRPUSDT", "ETHUSDT")
    nothing = SymbolPatterns(("BTCUSDT",), lambda symbol: symbol > "E")
    assert nothing.select(()) == ()
    assert not nothing.is_empty, "another shard has it"
