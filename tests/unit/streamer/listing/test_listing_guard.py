"""Which changes of the listing are believed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.listing.listing_guard import CONFIRMATIONS, ListingGuard

MANY = frozenset(f"A{number}" for number in range(1_000))
NAMES = st.frozensets(st.sampled_from(sorted(MANY)[:60]), max_size=60)


def test_the_first_answer_is_believed_and_so_are_small_changes() -> None:
    guard = ListingGuard()
    assert guard.take(MANY)
    few = (MANY - {"A1", "A2"}) | {"B1"}
    assert guard.take(few)
    assert guard.known == few


def test_hundreds_that_are_gone_or_new_at_once_are_believed_when_told_again_and_again() -> None:
    for strange in (MANY - {f"A{number}" for number in range(500)}, MANY | set("BCD" * 1) | {
        f"B{number}" for number in range(500)
    }):  # fmt: skip
        guard = ListingGuard(MANY)
        for _ in range(CONFIRMATIONS - 1):
            assert not guard.take(frozenset(strange))
            assert guard.doubts
            assert guard.known == MANY
        assert guard.take(frozenset(strange))
        assert guard.known == strange
        assert not guard.doubts


def test_an_answer_in_between_begins_the_count_anew() -> None:
    guard, half = ListingGuard(MANY), frozenset(sorted(MANY)[:500])
    assert not guard.take(half)
    assert not guard.take(half)
    assert not guard.take(frozenset(sorted(MANY)[:400]))
    assert not guard.take(half)
    assert guard.take(MANY)
    assert not guard.take(half)


def test_that_nothing_trades_is_never_believed() -> None:
    for known in (MANY, frozenset({"BTCUSDT"}), frozenset[str]()):
        guard = ListingGuard(known)
        assert not any(guard.take(frozenset()) for _ in range(10))
        assert guard.known == known


def test_a_few_symbols_are_not_all_replaced_at_once() -> None:
    guard = ListingGuard(frozenset({"BTCUSDT"}))
    assert not guard.take(frozenset({"XUSDT"}))
    assert guard.take(frozenset({"BTCUSDT", "XUSDT"}))


@given(NAMES, st.lists(NAMES, max_size=8))
def test_what_is_known_was_told_and_is_never_lost(first: frozenset[str], told: list) -> None:
    guard = ListingGuard(first)
    for listed in told:
        before = guard.known
        believed = guard.take(listed)
        assert guard.known == (listed if believed else before)
        assert guard.known or not first
