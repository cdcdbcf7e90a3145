"""Which quotes an audit has to find missing, in a campaign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.campaign_quotes import missing_quotes

BEGIN = datetime(2026, 11, 28, tzinfo=UTC)
TAPE = [{"u": at, "b": "1", "B": str(at), "a": "2", "A": "1"} for at in (1, 4, 7, 9)]
SNAPSHOTS = [{"last_update_id": 0, "bids": [], "asks": []}]
CHANGES = [
    {"record_id": f"binance:spot:X:depth:{last}", "first_update_id": first, "last_update_id": last,
     "bids": [], "asks": []}
    for first, last in ((1, 1), (2, 4), (5, 6), (7, 8), (9, 9))
]  # fmt: skip


def at(second):
    return BEGIN + timedelta(seconds=second)


def quotes(*ids, epoch=""):
    record_id = f"binance:spot:X:bookTicker:{epoch}"
    return [
        {"record_id": f"{record_id}{each}", "update_id": each, "received_time": at(each)}
        for each in ids
    ]


def found(ids, tape=TAPE, changes=CHANGES, gaps=(), withheld=((4, 7),)):
    expected = missing_quotes(tape, quotes(*ids), changes, SNAPSHOTS, gaps, withheld)
    return expected.ranges, expected.not_withheld


@pytest.mark.parametrize(
    ("ids", "ranges"),
    [
        ([1, 4, 7, 9], []),
        ([1, 7, 9], [(1, 7)]),
        ([1, 9], [(1, 9)]),
        ([1, 4, 9], [(4, 9)]),
        ([4, 7], []),  # nothing is expected after the last one
    ],
)
def test_tops_that_changed_without_a_quote(ids, ranges):
    assert found(ids) == (ranges, [])


def test_what_the_exchange_did_send_has_to_be_there():
    assert found([1, 9], withheld=[(4, 4)]) == ([(1, 9)], [7])


def test_gap_records_unknown_books_and_other_numberings_are_left_out():
    assert found([1, 7, 9], gaps=[{"from_time": at(2), "to_time": at(3)}]) == ([], [])
    assert found([1, 7, 9], gaps=[{"from_time": at(8), "to_time": at(9)}]) == ([(1, 7)], [])
    assert found([1, 7, 9], changes=CHANGES[:1] + CHANGES[2:]) == ([], [])
    anew = quotes(1, 9) + quotes(2, 3, epoch="7:")
    tape = [*TAPE, {**TAPE[0], "u": 2}, {**TAPE[0], "u": 3}]
    expected = missing_quotes(tape, anew, CHANGES, SNAPSHOTS, (), [(4, 7)])
    assert (expected.ranges, expected.not_withheld) == ([(1, 9)], [])
    late = missing_quotes(tape, quotes(2, 3), CHANGES, SNAPSHOTS, (), [])
    assert (late.ranges, late.not_withheld) == ([], [])
