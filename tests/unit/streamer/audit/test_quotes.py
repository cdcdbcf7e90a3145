"""What quotes tell of a book, and what a book tells of quotes that are missing."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audit.quotes import (
    CHANGE_BYTES,
    LISTED,
    BookTops,
    Quote,
    QuoteComparison,
    QuoteTally,
)
from streamer.book.keeper import BookKeeper, Change, Snapshot

ASK = (11, 1)
SNAPSHOT = Snapshot(0, 1000, ((10, 1), (9, 2), (8, 3)), (ASK, (12, 1)))


def change(first_id, last_id, bids=(), asks=()):
    return Change(first_id, last_id, 0, tuple(bids), tuple(asks))


def quote(update_id, bid=(10, 1), ask=ASK):
    return Quote(update_id, 1_000 * update_id, bid, ask)


def rebuilt(changes, snapshots=(SNAPSHOT,)):
    keeper, tops = BookKeeper(snapshots), BookTops()
    for each in changes:
        is_next = keeper.reached_id is not None and each.first_id <= keeper.reached_id + 1
        is_known = keeper.take(each)
        tops.add(each, keeper.bids, keeper.asks, is_known=is_known, is_next=is_next)
    return tops


def compared(changes, quotes, recorded=(), snapshots=(SNAPSHOT,)):
    """Compare; gap records say that something is missing before the quotes in `recorded`."""
    tally = QuoteTally()
    comparison = QuoteComparison(rebuilt(changes, snapshots), tally)
    for each in quotes:
        comparison.take(each, is_recorded=each.update_id in recorded)
    return tally


def found(tally):
    return tally.differing, tally.missing, tally.recorded


@pytest.mark.parametrize(
    ("update_id", "bid", "is_admitted"),
    [
        (1, (10, 1), True),
        (1, (10, 2), False),  # exactly at the end of a change
        (3, (10, 1), True),  # within one that touched 10 and 9: before it did
        (3, (10, 7), True),  # 10 had many quantities meanwhile, perhaps
        (3, (9, 7), True),
        (3, (8, 3), True),  # 10 and 9 may have been away
        (3, (8, 4), False),  # 8 was not touched
        (3, (7, 1), False),  # and was there
        (3, (11, 1), False),  # a better price that was not touched
        (4, (10, 1), False),
        (4, (9, 5), True),
        (5, (9, 9), None),  # after the last change
    ],
)
def test_what_a_book_can_have_had_at_an_update(update_id, bid, is_admitted):
    tops = rebuilt([change(1, 1), change(2, 4, [(10, 0), (9, 5)])])
    assert tops.admits(quote(update_id, bid)) is is_admitted
    mirrored = rebuilt(
        [change(1, 1), change(2, 4, asks=[(-10, 0), (-9, 5)])],
        [Snapshot(0, 1000, ((-11, 1),), ((-10, 1), (-9, 2), (-8, 3)))],
    )
    asked = Quote(update_id, 0, (-11, 1), (-bid[0], bid[1]))
    assert mirrored.admits(asked) is is_admitted


def test_nothing_is_known_of_what_is_between_changes_that_are_missing():
    tops = rebuilt([change(1, 1), change(3, 4), change(5, 6)])
    assert [tops.admits(quote(at, (7, 7))) for at in range(1, 7)] == [False, *[None] * 5]


def test_a_snapshot_within_a_change_tells_what_that_did_not_touch():
    changes = [change(1, 2), change(3, 5, [(10, 4)]), change(8, 9)]
    snapshots = [replace(SNAPSHOT, last_id=4), replace(SNAPSHOT, last_id=9)]
    tops = rebuilt(changes, snapshots)
    assert tops.admits(quote(2, (9, 9))) is None
    assert tops.admits(quote(4, (9, 2))) is True
    assert tops.admits(quote(4, (9, 9))) is False
    assert tops.admits(quote(8, (9, 9))) is None  # it may be between the two changes
    assert tops.admits(quote(9, (9, 9))) is False


def test_of_prices_beyond_those_of_the_snapshot_nothing_is_known():
    few = replace(SNAPSHOT, levels=3)
    tops = rebuilt([change(1, 1), change(2, 4, [(10, 0), (9, 0), (8, 0)])], [few])
    assert tops.admits(quote(3, (7, 9))) is True  # of the asks it is known, and right
    assert tops.admits(quote(3, (7, 9), (11, 2))) is False
    assert tops.admits(quote(4, (7, 9))) is True


def test_tops_between_quotes_that_agree_are_quotes_that_are_missing():
    changes = [
        change(1, 1),
        change(2, 3, [(10, 7)]),
        change(4, 4),
        change(5, 6, [(10, 1)]),
        change(7, 9, [(10, 2)]),
    ]
    quotes = [quote(1), quote(9, (10, 2))]
    tally = compared(changes, quotes)
    assert found(tally) == (0, 2, 0)
    assert [(each.at_least, each.after_id, each.before_id) for each in tally.ranges] == [(2, 1, 9)]
    assert found(compared(changes, quotes, recorded=[9])) == (0, 0, 2)
    assert found(compared(changes, [quote(1), quote(3, (10, 7)), quote(5), quotes[1]])) == (0, 0, 0)


def test_the_last_quote_tells_nothing_of_what_comes_after_it():
    assert found(compared([change(1, 1), change(2, 2, [(10, 7)])], [quote(1)])) == (0, 0, 0)


def test_ranges_are_listed_up_to_a_number_and_all_are_counted():
    changes, quotes = [change(1, 1)], [quote(1)]
    for first in range(2, 2 + 2 * (LISTED + 5), 2):
        changes += [change(first, first, [(10, 7)]), change(first + 1, first + 1, [(10, 1)])]
        quotes.append(quote(first + 1))
    tally = compared(changes, quotes)
    assert (tally.missing, len(tally.ranges)) == (LISTED + 5, LISTED)


# What was stored of the depth, altered afterwards: of this book, and these quotes.
CHANGES = [
    change(1, 2, [(10, 4)]),
    change(3, 5, [(10, 6), (9, 0)]),
    change(6, 7, [(8, 5)], [(11, 0)]),
    change(8, 9, [(10, 3)]),
]
QUOTES = [
    quote(1, (10, 4)),
    quote(4, (10, 6)),
    quote(7, (10, 6), (12, 1)),
    quote(8, (10, 3), (12, 1)),
    quote(20, (10, 3), (12, 1)),
]


def test_what_agrees_is_compared():
    tally = compared(CHANGES, QUOTES)
    assert found(tally) == (0, 0, 0)
    assert tally.compared == 6


@pytest.mark.parametrize(
    ("at", "altered"),
    [
        (1, change(3, 5, [(10, 5), (9, 0)])),  # a quantity at the top
        (1, change(3, 5, [(10.5, 6), (9, 0)])),  # a price at the top
        (2, change(6, 7, [(8, 5)], [(11.5, 1), (11, 0)])),  # a price that was never there
        (2, change(6, 7, [(8, 5)])),  # a level that stayed
        (0, change(1, 2, [(10, 4), (11, 1)])),  # the book is crossed as well
    ],
)
def test_a_change_that_was_altered_makes_the_book_wrong(at, altered):
    changes = [*CHANGES[:at], altered, *CHANGES[at + 1 :]]
    tally = compared(changes, QUOTES)
    assert tally.differing > 0
    assert tally.missing == 0
    assert compared(changes, QUOTES, recorded=range(99)).differing > 0  # gaps excuse no wrong book


def test_a_change_that_was_left_out_with_its_ids_makes_the_book_wrong():
    joined = [CHANGES[0], change(3, 7, [(8, 5)], [(11, 0)])]
    assert compared([*joined, CHANGES[3]], QUOTES).differing > 0


class History:
    """What happened to a random book: the changes and quotes of an exchange that tells all."""

    def __init__(self, seed):
        dice = random.Random(seed)
        bids, asks = {1: 1, 9: 2, 10: 1}, {11: 1, 12: 2, 20: 1}
        self.snapshots = [self._snapshot(0, bids, asks)]
        self.changes, self.quotes = [], [quote(0, (10, 1), (11, 1))]
        last_id = 0
        for _ in range(dice.randint(2, 25)):
            touched = set(), set()
            first_id = last_id + 1
            for last_id in range(first_id, first_id + dice.randint(1, 5)):
                index = dice.randrange(2)
                price = dice.choice((range(5, 11), range(11, 16))[index])
                (bids, asks)[index][price] = dice.choice((0, 0, 1, 2))
                touched[index].add(price)
                top = self._top(last_id, bids, asks)
                if (top.bid, top.ask) != (self.quotes[-1].bid, self.quotes[-1].ask):
                    self.quotes.append(top)
                if dice.random() < 0.05:
                    self.snapshots.append(self._snapshot(last_id, bids, asks))
            sides = zip((bids, asks), touched, strict=True)
            told = [[(price, side[price]) for price in sorted(prices)] for side, prices in sides]
            self.changes.append(change(first_id, last_id, *told))
        self.quotes.append(self._top(last_id + 5, bids, asks))

    @staticmethod
    def _top(at, bids, asks):
        bid = max(price for price, quantity in bids.items() if quantity)
        ask = min(price for price, quantity in asks.items() if quantity)
        return quote(at, (bid, bids[bid]), (ask, asks[ask]))

    @staticmethod
    def _snapshot(at, bids, asks):
        sides = [sorted(side.items(), reverse=side is bids) for side in (bids, asks)]
        return Snapshot(at, 1000, *(tuple(each for each in side if each[1]) for side in sides))

    def quoted(self, at):
        """Return the quote that held after an update."""
        return [each for each in self.quotes if each.update_id <= at][-1]


HISTORIES = st.integers(0, 10_000).map(History)


@given(HISTORIES, st.data())
def test_no_book_that_is_right_is_called_wrong_whatever_is_missing(history, data):
    assert found(compared(history.changes, history.quotes, (), history.snapshots)) == (0, 0, 0)
    kept = data.draw(st.lists(st.booleans(), min_size=len(history.quotes) + len(history.changes)))
    quotes = [each for each, is_kept in zip(history.quotes, kept, strict=False) if is_kept]
    kept = kept[len(history.quotes) :]
    changes = [each for each, is_kept in zip(history.changes, kept, strict=False) if is_kept]
    assert compared(changes, quotes, (), history.snapshots).differing == 0


@given(HISTORIES, st.data())
def test_a_quote_that_is_missing_is_found_where_the_top_after_a_change_tells(history, data):
    drawn = data.draw(st.lists(st.booleans(), min_size=len(history.quotes)))
    quotes = [each for each, is_kept in zip(history.quotes, drawn, strict=False) if is_kept]
    expected = []
    for before, after in itertools.pairwise(quotes):
        ends = [each.last_id for each in history.changes]
        tops = [history.quoted(end) for end in ends if before.update_id < end < after.update_id]
        tops = [(each.bid, each.ask) for each in [before, *tops]]
        if changed := sum(one != other for one, other in itertools.pairwise(tops)):
            expected.append((changed, before.update_id, after.update_id))
    tally = compared(history.changes, quotes, (), history.snapshots)
    told = [(each.at_least, each.after_id, each.before_id) for each in tally.ranges]
    assert told == expected
    assert sum(count for count, _, _ in told) <= len(history.quotes) - len(quotes)
    everything = {each.update_id for each in quotes}
    recorded = compared(history.changes, quotes, everything, history.snapshots)
    assert (recorded.missing, recorded.recorded) == (0, tally.missing)


@given(HISTORIES, st.data())
def test_a_top_that_was_altered_where_a_quote_tells_is_found(history, data):
    ends = {each.last_id: index for index, each in enumerate(history.changes)}
    told = [each for each in history.quotes if each.update_id in ends]
    if not told:
        return
    at = data.draw(st.sampled_from(told))
    index = ends[at.update_id]
    one = history.changes[index]
    bids = {**dict(one.bids), at.bid[0]: at.bid[1] + 1}
    if data.draw(st.booleans()):  # its price instead
        bids = {**dict(one.bids), at.bid[0]: 0, at.bid[0] + 0.5: at.bid[1]}
    history.changes[index] = replace(one, bids=tuple(bids.items()))
    snapshots = history.snapshots[:1]  # a later one may put the book right again
    assert compared(history.changes, history.quotes, (), snapshots).differing > 0


def test_a_change_takes_as_many_bytes_as_is_said():
    history = History(3)
    changes = [
        change(base + each.first_id, base + each.last_id, each.bids, each.asks)
        for base in range(0, 20 * history.changes[-1].last_id, history.changes[-1].last_id)
        for each in history.changes
    ]
    tops = rebuilt(changes)
    arrays = (tops.ids, tops.tops, tops.possible, tops.ends)
    total = sum(len(each) * each.itemsize for each in arrays)
    assert 0.5 * CHANGE_BYTES < total / len(changes) < CHANGE_BYTES
