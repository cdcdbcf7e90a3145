"""A book at a time, from records as readers return them; or why there is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from streamer.book.rebuild import Book, NotCovered, epoch_of, rebuild

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def levels(*pairs):
    return [{"price": Decimal(price), "quantity": Decimal(each)} for price, each in pairs]


def snapshot(last_id, *bids, epoch="", asked=1000):
    return {
        "record_id": f"binance:spot:BTCUSDT:depthSnapshot:{epoch}{last_id}",
        "last_update_id": last_id,
        "levels": asked,
        "bids": levels(*bids),
        "asks": levels((99, 1)),
    }


def change(first_id, last_id, *bids, second=None, epoch="", whole=False):
    time = second if second is not None else last_id
    return {
        "record_id": f"binance:spot:BTCUSDT:depth:{epoch}{last_id}",
        "first_update_id": first_id,
        "last_update_id": last_id,
        "event_time": time * 10**6 if whole else EPOCH + timedelta(seconds=time),
        "bids": levels(*bids),
        "asks": [],
    }


SNAPSHOTS = [snapshot(1, (10, 1)), snapshot(8, (12, 1))]
CHANGES = [change(1, 2, (11, 2)), change(3, 4, (11, 0)), change(7, 7), change(8, 10, (13, 1))]


@pytest.mark.parametrize("whole", [False, True])
def test_the_book_is_that_after_the_last_change_up_to_a_time(whole):
    changes = [*CHANGES[:1], change(3, 4, (11, 0), whole=whole), *CHANGES[2:]]
    assert rebuild(SNAPSHOTS, changes, 3_999_999) == Book(
        2, 2_000_000, ((11, 2), (10, 1)), ((99, 1),)
    )
    assert rebuild(SNAPSHOTS, changes) == Book(10, 10_000_000, ((13, 1), (12, 1)), ((99, 1),))


@pytest.mark.parametrize(
    ("at_us", "why"),
    [
        (1_000_000, "the first change of this book is of 1970-01-01T00:00:02.000000Z"),
        (4_500_000, "the changes 5 to 6 are missing, between 1970-01-01T00:00:04.000000Z and"),
        (8_000_000, "the changes 5 to 6 are missing, and no snapshot came since"),
        (11_000_000, "the last change of this book is of 1970-01-01T00:00:10.000000Z"),
    ],
)
def test_a_time_that_is_not_covered_is_refused_with_the_reason(at_us, why):
    with pytest.raises(NotCovered, match=why):
        rebuild(SNAPSHOTS, CHANGES, at_us)


def test_without_records_or_snapshots_there_is_no_book():
    with pytest.raises(NotCovered, match="no changes"):
        rebuild(SNAPSHOTS, [])
    with pytest.raises(NotCovered, match="no snapshot is there to begin with"):
        rebuild([], CHANGES[:2])


def test_a_price_that_left_the_levels_of_the_snapshot_is_not_known():
    changes = [change(1, 2, (10, 0)), change(3, 4)]
    with pytest.raises(NotCovered, match="has left the levels"):
        rebuild([snapshot(1, (10, 1), asked=1)], changes, 2_000_000)
    told = rebuild([snapshot(1, (10, 1), asked=1)], [change(1, 2), change(3, 4)], 2_000_000)
    assert (told.bids_limit, told.asks_limit) == (10, 99)


def test_copies_change_nothing():
    copies = [*CHANGES[:2], CHANGES[0], change(5, 5, second=9)]
    assert rebuild(SNAPSHOTS, copies, 8_000_000).last_update_id == 4


def test_ids_that_began_anew_have_books_of_their_own():
    snapshots = [*SNAPSHOTS, snapshot(1, (50, 1), epoch="77:")]
    changes = [*CHANGES[:2], change(1, 3, (51, 1), second=20, epoch="77:")]
    assert epoch_of(changes[-1]) == 77
    assert rebuild(snapshots, changes).bids == ((51, 1), (50, 1))
    with pytest.raises(NotCovered, match="began its ids anew"):
        rebuild(snapshots, changes, 10_000_000)
