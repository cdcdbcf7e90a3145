"""Whether a snapshot and changes are of the same market."""

from __future__ import annotations

import pytest

from streamer.data.kinds.depth import Depth
from streamer.data.kinds.depth_snapshot import DepthSnapshot
from streamer.repair.book_match import agrees, fits


def change(last_id, bids=(), asks=()):
    return Depth("depthUpdate", 1, "A", last_id, last_id, [*bids], [*asks])


def book(update_id, bids=(), asks=(), levels=2):
    return DepthSnapshot(update_id, "A", "start", levels, [*bids], [*asks])


@pytest.mark.parametrize(
    ("bids", "asks", "is_near"),
    [
        ([("2.0", "1")], [("3.0001", "1")], True),
        ([("2.0", "1")], [("2.99", "1")], False),  # somebody bids more
        ([("4.0011", "1")], [("9", "1")], True),
        ([("4.01", "1")], [("9", "1")], False),  # somebody asks less
        ([], [], True),
    ],
)
def test_a_book_far_from_the_latest_change_is_of_another_market(bids, asks, is_near):
    latest = change(14, [("3.0", "1"), ("7.0", "0")], [("4.0", "1"), ("1.0", "0")])
    assert fits(book(14, bids, asks), latest) == is_near


@pytest.mark.parametrize(
    ("bids", "asks", "is_same"),
    [
        ([("2", "1"), ("1", "1")], [], True),
        ([("2.00", "1.0")], [], True),
        ([("2", "2")], [], False),
        ([("2", "1")], [("3", "0")], False),
        ([("0.5", "9")], [("4", "0")], True),  # below what was asked for; not there
        ([("1.5", "9")], [], False),
        ([], [("4", "9")], False),  # the side is there as a whole
    ],
)
def test_after_the_same_update_all_levels_are_the_same(bids, asks, is_same):
    snapshot = book(14, [("2", "1"), ("1", "1")], [("3", "1")])
    assert agrees(snapshot, [change(14, bids, asks)]) == is_same


@pytest.mark.parametrize(
    ("bids", "is_same"),
    [
        ([("2", "1"), ("1.9", "9"), ("1.8", "9"), ("1.7", "9")], True),
        ([("2", "1"), ("1.9", "9"), ("1.8", "9"), ("1.7", "9"), ("1.6", "9")], False),
        ([("1.9", "0")], False),  # nothing that could be there
        ([], False),
    ],
)
def test_of_an_earlier_change_a_part_is_left(bids, is_same):
    snapshot = book(15, [("2", "1"), ("1", "1")])
    assert agrees(snapshot, [change(13, [("2", "5")]), change(14, bids)]) == is_same


def test_a_change_after_the_snapshot_tells_nothing():
    snapshot = book(14, [("2", "1")])
    assert not agrees(snapshot, [change(15, [("2", "1")])])
    assert agrees(snapshot, [change(15, [("2", "5")]), change(13, [("2", "1")])])
