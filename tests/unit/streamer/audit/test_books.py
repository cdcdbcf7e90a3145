"""Books that an audit rebuilds: how much of the time is covered, and what is wrong."""

from __future__ import annotations

import msgspec
import pytest

from streamer.audit.batches import Batch, Unreadable
from streamer.audit.books import check_books, sizes_of
from streamer.audit.run import Outcome, audit
from streamer.data.events import GapRecord
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.depth import Depth
from streamer.data.kinds.depth_snapshot import DepthSnapshot
from streamer.data.records import encoder
from tests.unit.streamer.audit.stored import SCHEMAS

SECOND = 1_000_000
BEGIN = 1_700_000_000 * SECOND


class Sink:
    """Records by hand, in the order in which they are put."""

    total_bytes = total_records = None

    def __init__(self, symbol="BTCUSDT", epoch=0):
        self.symbol, self.epoch = symbol, epoch
        self.stored = []

    def put(self, kind, stream, event, received_us=BEGIN):
        event = msgspec.structs.replace(event, symbol=self.symbol)
        data = encoder(stream, self.symbol, epoch=self.epoch)(event, received_us)
        self.stored.append(Batch(SCHEMAS[kind], 1, data, "here"))

    def snapshot(self, last_id, bids, asks, levels=1000):
        self.put("depthSnapshot", "depthSnapshot",
                 DepthSnapshot(last_id, "", "start", levels, bids, asks))  # fmt: skip

    def change(self, first_id, last_id, bids=(), asks=(), second=None):
        time_us = BEGIN + SECOND * (last_id if second is None else second)
        event = Depth("depthUpdate", time_us, "", first_id, last_id, [*bids], [*asks])
        self.put("depth", "depth@100ms", event)

    def quote(self, update_id, bid, ask, second=None):
        received_us = BEGIN + SECOND * (update_id if second is None else second)
        self.put("bookTicker", "bookTicker", BookTicker(update_id, "", *bid, *ask), received_us)

    def gap(self, stream, from_second, to_second):
        times = {"from_time": BEGIN + from_second * SECOND, "to_time": BEGIN + to_second * SECOND}
        self.put("gap", "gap", GapRecord(1, "", stream, "not_repaired", **times))

    def batches(self, kinds=None):
        self.asked = [*getattr(self, "asked", []), kinds]
        yield from self.stored


@pytest.fixture
def sink():
    made = Sink()
    made.snapshot(0, [("10", "1"), ("9", "1")], [("11", "1")])
    made.change(1, 1)
    made.change(2, 2, bids=[("10", "0")])
    return made


def only(sink, **more):
    [finding] = check_books(sink, **more)
    return finding


def test_a_book_without_holes_is_known_all_the_time(sink):
    sink.change(3, 4, second=5)
    sink.change(3, 4, second=5)
    finding = only(sink)
    assert list(finding.problems()) == []
    assert (finding.changes, finding.covered, finding.total_us) == (3, 1.0, 4 * SECOND)
    assert finding.as_json() == {
        "stream": "depth@100ms", "symbol": "BTCUSDT", "changes": 3, "covered_share": 1.0,
        "covered_seconds": 4.0, "total_seconds": 4.0, "crossed": 0, "differing_snapshots": 0,
        "compared_tops": 0, "differing_tops": 0, "missing_quotes": 0, "missing_quotes_recorded": 0,
        "missing_quote_ranges": [],
    }  # fmt: skip
    [line] = finding.lines()
    assert "the book is known for 100.00% of 4.0 s" in line


def test_time_between_lost_changes_and_the_next_snapshot_is_not_covered(sink):
    sink.change(4, 5, second=5)
    sink.change(6, 6, second=6)
    sink.snapshot(6, [("10", "1")], [("11", "1")])
    sink.change(7, 9, second=9)
    finding = only(sink)
    assert (finding.covered_us, finding.total_us) == (4 * SECOND, 8 * SECOND)
    assert list(finding.problems()) == []


def test_a_crossed_book_is_wrong(sink):
    sink.change(3, 3, bids=[("11", "1")])
    finding = only(sink)
    assert list(finding.problems()) == [
        "depth@100ms BTCUSDT: the book is wrong: 1 changes leave it crossed"
    ]
    outcome = Outcome([], [], 1, 1.0, books=[finding])
    assert outcome.problems(no_copies=False)
    assert outcome.as_json(no_copies=False)["problems"] == list(finding.problems())


def test_a_snapshot_that_says_something_else_is_wrong(sink):
    sink.snapshot(2, [("10", "1"), ("9", "1")], [("11", "1")])
    [problem] = only(sink).problems()
    assert "1 snapshots say something else" in problem


def test_tops_are_compared_with_the_quotes_that_hold_then(sink):
    sink.change(3, 4)
    sink.change(5, 9, bids=[("9", "8")])
    sink.quote(1, ("10", "1"), ("11", "1"))
    sink.quote(2, ("9", "1"), ("11", "1"))
    sink.quote(2, ("8", "8"), ("9", "9"))
    sink.quote(5, ("9", "7"), ("11", "1"))
    assert only(sink).quotes.compared == 4
    assert list(only(sink).problems()) == []
    sink.quote(9, ("9", "7"), ("11", "1"))
    finding = only(sink)
    assert (finding.quotes.compared, finding.quotes.differing) == (5, 1)
    [problem] = finding.problems()
    assert problem == "depth@100ms BTCUSDT: the book is wrong: 1 tops are not those of the quotes"


def test_a_top_that_changed_without_a_quote_means_that_quotes_are_missing(sink):
    sink.change(3, 4, bids=[("10", "5")])
    sink.change(5, 6, bids=[("10", "0")])
    sink.change(7, 8)
    sink.quote(2, ("9", "1"), ("11", "1"))
    sink.quote(8, ("9", "1"), ("11", "1"))
    finding = only(sink)
    assert (finding.quotes.missing, finding.quotes.differing) == (2, 0)
    [problem] = finding.problems()
    assert problem == (
        "bookTicker BTCUSDT: at least 2 quotes are missing and in no gap record: the top of the "
        "book (depth@100ms) changed without them"
    )
    assert list(finding.lines())[1:] == [
        "bookTicker BTCUSDT: at least 2 quotes are missing between the updates 2 and 8, received "
        "from 2023-11-14 22:13:22.000 to 2023-11-14 22:13:28.000"
    ]
    assert finding.as_json()["missing_quote_ranges"] == [{
        "at_least": 2, "after_id": 2, "before_id": 8,
        "from_us": BEGIN + 2 * SECOND, "to_us": BEGIN + 8 * SECOND,
    }]  # fmt: skip
    sink.gap("miniTicker", 0, 9)
    assert list(only(sink).problems()) == [problem]
    sink.gap("bookTicker", 3, 4)
    finding = only(sink)
    assert (finding.quotes.missing, finding.quotes.recorded) == (0, 2)
    assert list(finding.problems()) == []
    assert list(finding.lines())[1:] == [
        "bookTicker BTCUSDT: at least 2 quotes are missing where gap records say so"
    ]


def test_a_side_that_is_not_known_is_not_judged(sink):
    sink.change(3, 3, bids=[("9", "0")])
    sink.quote(3, ("7", "7"), ("11", "1"))
    sink.quote(9, ("7", "7"), ("8", "8"))
    assert list(only(sink).problems()) == []
    sink.change(4, 9)
    assert only(sink).quotes.differing == 1  # of the asks it is known, and another one


def test_only_some_symbols_and_what_cannot_be_read(sink):
    other = Sink("ETHUSDT")
    other.change(1, 1)
    other.quote(1, ("1", "1"), ("2", "1"))
    torn = sink.stored[1]
    sink.stored += [*other.stored, Unreadable("no"), Batch(torn.schema, 9, torn.data[:20], "here")]
    assert [each.symbol for each in check_books(sink)] == ["BTCUSDT", "ETHUSDT"]
    assert only(sink, symbols=["BTCUSDT"]).changes == 2
    assert check_books(sink)[1].covered == 0.0


def test_without_snapshots_there_is_nothing_to_rebuild():
    sink = Sink()
    sink.change(1, 2)
    assert check_books(sink) == []


def test_each_epoch_of_ids_has_its_own_book(sink):
    anew = Sink(epoch=77)
    anew.snapshot(0, [("5", "1")], [("6", "1")])
    anew.change(1, 1)
    sink.stored += anew.stored
    assert [each.changes for each in check_books(sink)] == [2, 1]


def test_of_many_symbols_some_are_rebuilt_at_once_and_each_kind_is_read_alone(sink, monkeypatch):
    for symbol in ("AUSDT", "CUSDT", "DUSDT", "EUSDT"):
        other = Sink(symbol)
        other.snapshot(0, [("5", "1")], [("6", "1")])
        other.change(1, 1)
        sink.stored += other.stored
    sink.quote(2, ("10", "1"), ("11", "1"))
    whole = check_books(sink)
    assert sink.asked == [("depthSnapshot", "gap"), ("depth",), ("bookTicker",)]
    sizes = sizes_of(audit(sink, lambda _: None).findings)
    assert sizes == dict.fromkeys(sizes, 2 * 300_000 + 64) | {"BTCUSDT": 2 * 300_000 + 2 * 64}
    monkeypatch.setattr("streamer.audit.books.BYTES_AT_ONCE", 1_300_000)  # two of them
    sink.asked.clear()
    assert check_books(sink, None, sizes) == whole
    assert [each.symbol for each in whole] == ["AUSDT", "BTCUSDT", "CUSDT", "DUSDT", "EUSDT"]
    assert len(sink.asked) == 3 * 3
    monkeypatch.setattr("streamer.audit.books.BYTES_AT_ONCE", 1)  # and one is always taken
    assert check_books(sink, None, sizes) == whole
