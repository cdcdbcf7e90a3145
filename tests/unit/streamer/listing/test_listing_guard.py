"""Which changes of the listing are believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.listing.listing_guard import CONFIRMATIONS, ListingGuard

MANY = frozenset(f"A{number}" for number in range(1_000))
NAMES = st.frozensets(st.sampled_from(sorted(MANY)[:60]), max_size=60)


def test_the_first_answer_is_believed_and_so_are_a_few_that_are_new() -> None:
    guard = ListingGuard()
    assert guard.take(MANY)
    assert not guard.doubts
    assert guard.take(MANY | {"B1"})
    assert guard.known == MANY | {"B1"}


def test_a_symbol_is_gone_when_it_is_missing_in_answers_in_a_row() -> None:
    guard, fewer = ListingGuard(MANY, is_settled=True), MANY - {"A1"}
    for listed in (fewer, fewer, MANY, fewer, fewer):
        guard.take(listed)
        assert guard.known == MANY
        assert guard.doubts == (listed is fewer)
        assert not guard.is_strange
    assert guard.take(fewer - {"A2"}) is False
    assert guard.known == fewer
    assert guard.doubts


def test_hundreds_that_are_gone_or_new_at_once_are_believed_when_told_again_and_again() -> None:
    for strange in (MANY - {f"A{number}" for number in range(500)},
                    MANY | {f"B{number}" for number in range(500)}):  # fmt: skip
        guard = ListingGuard(MANY, is_settled=True)
        for _ in range(CONFIRMATIONS - 1):
            assert not guard.take(strange)
            assert guard.is_strange
            assert guard.known == MANY
        assert guard.take(strange)
        assert guard.known == strange
        assert not guard.doubts


def test_an_answer_in_between_begins_the_count_anew() -> None:
    for strange in (frozenset(sorted(MANY)[:500]), MANY | {f"B{each}" for each in range(500)}):
        guard = ListingGuard(MANY, is_settled=True)
        for listed in (strange, strange, MANY, strange, strange):
            guard.take(listed)
            assert guard.known == MANY


@pytest.mark.parametrize("guard", [ListingGuard(), ListingGuard(frozenset(sorted(MANY)[:3]))])
def test_any_number_joins_a_part_that_no_second_answer_has_confirmed(guard: ListingGuard) -> None:
    assert guard.take(frozenset(sorted(MANY)[:5]))
    assert not guard.is_settled
    assert guard.take(MANY)
    assert not guard.is_settled
    assert guard.take(MANY | {"B"})
    assert guard.is_settled
    assert not guard.take(MANY | {f"B{number}" for number in range(500)})


def test_that_nothing_trades_is_never_believed() -> None:
    for known in (MANY, frozenset({"BTCUSDT"}), frozenset[str]()):
        guard = ListingGuard(known)
        assert not any(guard.take(frozenset()) for _ in range(10))
        assert guard.known == known
        assert guard.is_strange


@given(NAMES, st.lists(NAMES, max_size=8))
def test_what_is_known_was_told_and_is_never_lost(first: frozenset[str], told: list) -> None:
    guard = ListingGuard(first)
    for listed in told:
        before = guard.known
        believed = guard.take(listed)
        assert believed == (guard.known == listed and bool(listed))
        assert before & listed <= guard.known <= before | listed
        assert guard.known or not first
