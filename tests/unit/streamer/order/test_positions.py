from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.order.positions import DeclaredGap, Position, beyond_gaps, furthest

BTC, ETH = "btcusdt@trade", "ethusdt@trade"
names = st.sampled_from([BTC, ETH])
ids = st.integers(0, 50)
mappings = st.dictionaries(names, st.builds(Position, ids, ids))


def gap(first_id: int, last_id: int, declared_us: int = 0) -> DeclaredGap:
    return DeclaredGap(BTC, first_id, last_id, declared_us)


@given(st.lists(mappings))
def test_of_two_positions_the_further_one_counts(found):
    merged = furthest(*found)
    for name in (BTC, ETH):
        known = [each[name].last_id for each in found if name in each]
        assert (merged[name].last_id if name in merged else None) == max(known, default=None)


@given(ids, st.lists(st.builds(gap, ids, ids)))
def test_gaps_are_passed_as_far_as_nothing_lies_between(last_id, gaps):
    gaps = [each for each in gaps if each.first_id <= each.last_id]
    moved = beyond_gaps({BTC: Position(last_id, 0)}, gaps)[BTC].last_id
    declared = {number for each in gaps for number in range(each.first_id, each.last_id + 1)}
    assert set(range(last_id + 1, moved + 1)) <= declared
    assert moved + 1 not in declared


def test_a_gap_is_as_young_as_its_declaration_and_says_nothing_of_other_routes():
    positions = {BTC: Position(7, 100), ETH: Position(7, 100)}

    moved = beyond_gaps(positions, [gap(8, 9, 200), gap(10, 10, 150), gap(12, 13, 300)])

    assert moved == {BTC: Position(10, 200), ETH: Position(7, 100)}


def test_a_gap_without_any_record_below_it_is_no_position():
    assert beyond_gaps({}, [gap(8, 9)]) == {}
