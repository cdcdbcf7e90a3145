"""A book from snapshots and changes: right or none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.book.keeper import BookKeeper, Change, Snapshot


def change(first_id, last_id, bids=(), asks=()):
    return Change(first_id, last_id, last_id * 1000, tuple(bids), tuple(asks))


def snapshot(last_id, bids=(), asks=(), levels=1000):
    return Snapshot(last_id, levels, tuple(bids), tuple(asks))


def sides(keeper):
    return keeper.bids.levels(), keeper.asks.levels()


def test_changes_alone_are_no_book():
    keeper = BookKeeper(())
    assert not keeper.take(change(1, 5, [(10, 1)]))
    assert keeper.last_id is None
    assert keeper.missing is None


def test_a_snapshot_within_a_change_begins_the_book():
    keeper = BookKeeper([snapshot(3, [(10, 1), (9, 2)], [(11, 5)])])
    assert not keeper.take(change(1, 2))
    assert keeper.take(change(3, 5, [(9, 0), (8, 3)], [(12, 4), (11, 6)]))
    assert sides(keeper) == (((10, 1), (8, 3)), ((11, 6), (12, 4)))
    assert keeper.last_id == 5
    assert keeper.bids.best == (10, 1)
    assert keeper.asks.best == (11, 6)


def test_a_snapshot_right_below_or_at_the_end_of_a_change_begins_it_too():
    assert BookKeeper([snapshot(2)]).take(change(3, 5))
    at_the_end = BookKeeper([snapshot(5, [(10, 1)])])
    assert at_the_end.take(change(3, 5, [(10, 7)]))
    assert sides(at_the_end) == (((10, 1),), ())
    assert not BookKeeper([snapshot(1), snapshot(6)]).take(change(3, 5))


def test_lost_changes_end_the_book_until_the_next_snapshot():
    keeper = BookKeeper([snapshot(0, [(10, 1)]), snapshot(9, [(12, 1)])])
    assert keeper.take(change(1, 2, [(11, 1)]))
    assert not keeper.take(change(5, 6))
    assert keeper.missing == (3, 4)
    assert not keeper.take(change(7, 8))
    assert keeper.take(change(9, 10, [(13, 1)]))
    assert keeper.missing is None
    assert sides(keeper) == (((13, 1), (12, 1)), ())


def test_copies_and_overlaps_change_nothing_twice():
    keeper = BookKeeper([snapshot(0)])
    keeper.take(change(1, 4, [(10, 4)]))
    assert keeper.take(change(1, 2, [(10, 2)]))
    assert keeper.take(change(3, 6, [(10, 6)]))
    assert keeper.reached_id == 6
    assert sides(keeper) == (((10, 6),), ())
    lost = BookKeeper(())
    lost.take(change(1, 4))
    assert not lost.take(change(1, 4))


def test_the_best_price_follows_what_is_taken_away_and_what_comes():
    keeper = BookKeeper([snapshot(0, [(10, 1), (9, 1)], [(20, 1), (21, 1)])])
    keeper.take(change(1, 1))
    assert keeper.bids.best == (10, 1)
    keeper.take(change(2, 2, [(10, 0), (8, 1)], [(20, 0)]))
    assert (keeper.bids.best, keeper.asks.best) == ((9, 1), (21, 1))
    keeper.take(change(3, 3, [(11, 2), (9, 0)], [(19, 3)]))
    assert (keeper.bids.best, keeper.asks.best) == ((11, 2), (19, 3))
    assert not keeper.is_crossed
    keeper.take(change(4, 4, [(19, 1)]))
    assert keeper.is_crossed
    keeper.take(change(5, 5, [(19, 0), (11, 0), (8, 0)]))
    assert keeper.bids.best is None
    assert not keeper.is_crossed


def test_below_the_last_level_of_a_snapshot_nothing_is_known():
    keeper = BookKeeper([snapshot(0, [(10, 1), (9, 1)], [(20, 1)], levels=2)])
    keeper.take(change(1, 1, [(7, 5)], [(30, 5)]))
    assert sides(keeper) == (((10, 1), (9, 1)), ((20, 1), (30, 5)))
    assert (keeper.bids.limit, keeper.asks.limit) == (9, None)
    assert keeper.bids.is_known
    keeper.take(change(2, 2, [(10, 0), (9, 0)]))
    assert keeper.bids.best is None
    assert not keeper.bids.is_known
    assert keeper.asks.is_known
    assert not keeper.is_crossed


def test_snapshots_that_contradict_what_was_kept_are_counted():
    def kept(*snapshots, after):
        keeper = BookKeeper([snapshot(0, [(10, 1), (9, 1)]), *snapshots])
        keeper.take(change(1, 1))
        keeper.take(after)
        return keeper

    change_2 = change(2, 3, [(10, 2)])
    assert kept(snapshot(3, [(10, 2), (9, 1)]), after=change_2).differing == 0
    wrong = kept(snapshot(3, [(10, 3), (9, 1)]), after=change_2)
    assert wrong.differing == 1
    assert sides(wrong) == (((10, 3), (9, 1)), ()), "the exchange's own word counts"
    assert kept(snapshot(2, [(10, 8), (9, 1)]), after=change_2).differing == 0
    assert kept(snapshot(2, [(10, 8)]), after=change_2).differing == 0, "one side ends sooner"
    assert kept(snapshot(2, [(9, 8)]), after=change_2).differing == 1


prices = st.integers(1, 8)
levels = st.lists(st.tuples(prices, st.integers(0, 3)), max_size=3, unique_by=lambda each: each[0])


@given(st.data())
def test_where_there_is_a_book_it_is_the_true_one(data):
    """Updates are cut into changes; some are lost, some come twice; snapshots lie anywhere."""
    truth = [({}, {})]
    updates = data.draw(st.lists(st.tuples(levels, levels), min_size=1, max_size=12))
    for bids, asks in updates:
        state = tuple(
            {price: q for price, q in {**before, **dict(side)}.items() if q}
            for before, side in zip(truth[-1], (bids, asks), strict=True)
        )
        truth.append(state)
    snapshots = [
        snapshot(each, truth[each][0].items(), truth[each][1].items())
        for each in data.draw(st.sets(st.integers(0, len(updates)), max_size=4))
    ]
    keeper, first_id = BookKeeper(snapshots), 1
    while first_id <= len(updates):
        last_id = min(len(updates), first_id + data.draw(st.integers(0, 3)))
        touched = [dict[int, int](), dict[int, int]()]
        for update in updates[first_id - 1 : last_id]:
            for side, changed in zip(touched, update, strict=True):
                side.update(changed)
        for _ in range(data.draw(st.sampled_from([0, 1, 1, 1, 2]))):
            if keeper.take(change(first_id, last_id, *(side.items() for side in touched))):
                assert keeper.last_id == last_id
                found = tuple(dict(side) for side in sides(keeper))
                assert found == truth[last_id]
                for side, best in ((0, max), (1, min)):
                    expected = best(truth[last_id][side].items(), default=None)
                    assert (keeper.bids, keeper.asks)[side].best == expected
            assert keeper.differing == 0
        first_id = last_id + 1
