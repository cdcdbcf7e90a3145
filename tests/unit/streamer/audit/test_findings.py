"""Both looks together: what they find, and what they do not excuse."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audit.auditor import Auditor
from streamer.audit.batches import BACKFILLED, Batch, Schema, Unreadable
from streamer.audit.copies import SecondLook, portions
from streamer.audit.findings import LISTED, Finding
from streamer.audit.pattern import Mismatch
from streamer.audit.period import Period
from streamer.audit.ranges import IdRanges
from streamer.audit.run import audit
from streamer.audit.table import jumping, table
from streamer.data.candle import Candle
from streamer.data.events import GapRecord
from streamer.data.kinds.depth import Depth
from streamer.data.kinds.depth_snapshot import DepthSnapshot
from streamer.data.kinds.kline import Kline
from streamer.data.records import encoder
from tests.unit.streamer.audit.stored import SCHEMAS, batch, event, gap, time_gap, trades


class Fixed:
    total_bytes = None
    total_records = 0

    def __init__(self, *batches: Batch | Unreadable) -> None:
        self._batches = batches

    def batches(self) -> Iterator[Batch | Unreadable]:
        return iter(self._batches)


def found(*batches: Batch) -> Finding:
    outcome = audit(Fixed(*batches), lambda message: None)
    assert not outcome.unreadable
    (finding,) = outcome.findings
    return finding


@given(st.lists(st.integers(0, 25), min_size=1, max_size=40), st.integers(1, 7))
def test_missing_copies_and_disorder_are_what_lists_say(ids, size):
    pieces = [ids[start : start + size] for start in range(0, len(ids), size)]
    finding = found(*(batch("trade", trades(piece)) for piece in pieces))
    firsts = list(dict.fromkeys(ids))
    assert finding.records == len(ids)
    assert (finding.first_id, finding.last_id) == (min(ids), max(ids))
    assert finding.missing == max(ids) - min(ids) + 1 - len(firsts)
    assert finding.copies == len(ids) - len(firsts)
    assert finding.disorder == sum(
        number < top for number, top in zip(firsts, itertools.accumulate(firsts, max), strict=True)
    )
    assert not finding.differing


@given(st.lists(st.integers(0, 25), min_size=1, max_size=40))
def test_book_tickers_have_copies_and_disorder_too(ids):
    finding = found(batch("bookTicker", [event("bookTicker", number) for number in ids]))
    firsts = list(dict.fromkeys(ids))
    assert finding.copies == len(ids) - len(firsts)
    assert finding.disorder == sum(
        number < top for number, top in zip(firsts, itertools.accumulate(firsts, max), strict=True)
    )
    assert not finding.missing


@pytest.mark.parametrize(
    ("times", "backfilled", "untimely"),
    [
        ((0, 5, 9), (2,), ()),
        ((0, -1_000_000, 9), (2,), ()),
        ((0, -1_000_001, 9), (2,), (2,)),
        ((0, 2_000_000, 9), (2,), (2,)),
        ((0, 2_000_000, 9), (), ()),
        ((0, -2_000_000, 9), (), ()),
    ],
)
def test_back_filled_trades_that_do_not_fit_in_time_are_not_explained(times, backfilled, untimely):
    events = [
        event(
            "trade",
            number,
            trade_time=10**15 + time,
            source="backfill" if number in backfilled else "live",
        )
        for number, time in enumerate(times, start=1)
    ]
    finding = found(batch("trade", events[:2]), batch("trade", events[2:]))
    assert finding.untimely_ids == untimely
    assert bool(finding.problems()) == bool(untimely)
    assert any("out of time" in line for line in table([finding])) == bool(untimely)


def test_trades_that_are_no_neighbours_are_not_compared_in_time():
    early = event("trade", 9, trade_time=10**15, source="backfill")
    late = event("trade", 1, trade_time=10**15 + 2_000_000, source="backfill")
    assert found(batch("trade", [late, early])).untimely == 0


def test_each_epoch_is_audited_by_itself():
    def of_epoch(number, **more):
        record = encoder("trade", "BTCUSDT", epoch=1_700_000_000)(event("trade", number, **more), 1)
        return Batch(SCHEMAS["trade"], 1, record, "here", 0)

    declared = msgspec.structs.replace(gap(3, 3), epoch=1_700_000_000)
    outcome = audit(
        Fixed(
            batch("trade", trades([1, 2, 3])),
            *(of_epoch(number) for number in (1, 2, 4, 6, 6)),
            of_epoch(1, price="9"),
            batch("gap", [declared]),
        ),
        lambda message: None,
    )
    first, second = sorted(outcome.findings, key=lambda finding: finding.stream)
    assert (first.stream, first.records, first.missing, first.copies) == ("trade", 3, 0, 0)
    assert (second.stream, second.missing_ranges) == ("trade:1700000000", ((5, 5),))
    assert (second.copies, second.differing_ids) == (2, (1,))


def test_trades_that_no_aggregate_holds_are_not_explained():
    def aggregate(number, first, last):
        return event("aggTrade", number, first_trade_id=first, last_trade_id=last)

    whole = found(batch("aggTrade", [aggregate(1, 10, 12), aggregate(2, 13, 13)]))
    assert (whole.apart, whole.problems()) == (0, [])
    finding = found(batch("aggTrade", [aggregate(1, 10, 12), aggregate(2, 14, 14)]))
    assert (finding.missing, finding.apart, finding.apart_ids) == (0, 1, (2,))
    assert table([finding])[2:] == [
        "aggTrade BTCUSDT: 1 whose trades do not follow the one before",
        "aggTrade BTCUSDT: they are 2",
    ]


def test_a_recorded_gap_explains_and_is_counted_by_its_reason():
    finding = found(
        batch("trade", trades([1, 2, 6, 7, 9, 12])),
        batch("gap", [gap(3, 4), gap(5, 5, "empty"), gap(3, 4), gap(10, 10)]),
    )
    assert finding.missing_ranges == ((8, 8), (11, 11))
    assert finding.missing == 2
    assert finding.declared_missing == 3
    assert finding.gap_records == {"lagging": 2, "empty": 1}
    assert finding.gap_ids == {"lagging": 3, "empty": 1}
    assert finding.problems() == ["2 missing"]


def test_what_is_recorded_although_it_was_declared_is_no_loss():
    finding = found(batch("trade", trades([1, 2, 3, 4])), batch("gap", [gap(2, 3)]))
    assert (finding.declared_missing, finding.missing) == (0, 0)


def test_times_in_which_quotes_were_missed_are_listed():
    finding = found(
        batch("bookTicker", [event("bookTicker", number) for number in (5, 9)]),
        batch("gap", [time_gap(1_000_000, 3_500_000)]),
    )
    (time,) = finding.gap_times
    assert (time.from_us, time.to_us, time.reason) == (1_000_000, 3_500_000, "not_repaired")
    assert not finding.problems()
    assert any("1970-01-01 00:00:01.000 to 1970-01-01 00:00:03.500" in line
               for line in table([finding]))  # fmt: skip


@pytest.mark.parametrize(
    ("copy", "differs"),
    [
        ({}, False),
        ({"source": "backfill", "event_time": 55}, False),
        ({"event_time": 55}, True),
        ({"price": "1.6"}, True),
        ({"source": "backfill", "quantity": "3"}, True),
    ],
)
def test_a_copy_may_come_otherwise_and_later_and_say_nothing_else(copy, differs):
    finding = found(batch("trade", trades([1, 2, 3])), batch("trade", [event("trade", 2, **copy)]))
    assert finding.copies == 1
    assert finding.differing_ids == ((2,) if differs else ())
    assert bool(finding.problems()) == differs
    assert finding.problems(no_copies=True)
    assert finding.backfilled == ("source" in copy)


@pytest.mark.parametrize(("levels", "differs"), [((2, 1), False), ((2, 1, 1), True)])
def test_snapshots_of_other_depths_after_the_same_update_are_both_right(levels, differs):
    bids = [("2", "1"), ("1", "1")]
    told = [
        DepthSnapshot(7, "BTCUSDT", "start", deep, bids[:deep], [("3", str(1 + (number == 2)))])
        for number, deep in enumerate(levels)
    ]
    data = b"".join(encoder("depthSnapshot", "BTCUSDT")(one, 1_000_000) for one in told)
    finding = found(Batch(SCHEMAS["depthSnapshot"], len(told), data, "here"))
    assert finding.copies == len(told) - 1
    assert finding.differing_ids == ((7,) if differs else ())


def test_in_two_partitions_what_both_have_are_copies():
    finding = found(
        batch("trade", trades([1, 2, 3, 4]), lane=0),
        batch(
            "trade", [event("trade", 3), event("trade", 4, price="9"), event("trade", 5)], lane=2
        ),
    )
    assert finding.partitions == (0, 2)
    assert (finding.copies, finding.missing, finding.disorder) == (2, 0, 0)
    assert finding.differing_ids == (4,)
    assert any("in the partitions 0, 2" in line for line in table([finding]))


def depth(first: int, last: int, **more) -> Depth:
    levels = [("1.5", "2"), ("1.4", "0")]
    return msgspec.structs.replace(
        Depth("depthUpdate", last * 10, "BTCUSDT", first, last, levels, levels[:1]), **more
    )


def test_depth_has_all_updates_and_its_two_streams_are_two():
    slow = batch("depth", [depth(1, 30)])
    fast = [depth(1, 9), depth(10, 10), depth(15, 20), depth(15, 20), depth(30, 40)]
    lost = batch("gap", [gap(11, 14, "not_repaired", "depth@100ms")])
    outcome = audit(Fixed(slow, batch("depth@100ms", fast), lost), lambda message: None)
    one, two = outcome.findings
    assert (one.stream, one.missing, one.copies) == ("depth", 0, 0)
    assert (two.stream, two.missing_ranges, two.copies) == ("depth@100ms", ((21, 29),), 1)
    assert (two.first_id, two.last_id, two.differing, two.declared_missing) == (1, 40, 0, 4)
    outcome = audit(
        Fixed(batch("depth@100ms", [depth(1, 9), depth(1, 9, asks=[])])), lambda message: None
    )
    assert outcome.findings[0].differing_ids == (9,)


MINUTE_US = 60_000_000


def kline(minute: int, seconds: float, *, is_closed: bool = False) -> Kline:
    begin = minute * MINUTE_US
    candle = Candle(
        begin, begin + MINUTE_US - 1, "BTCUSDT", "1m", 5, 9, "1", "2", "3", "1", "7", 5,
        is_closed, "7", "3", "3",
    )  # fmt: skip
    return Kline("kline", begin + int(seconds * 1e6), "BTCUSDT", candle)


def candle_gap(first: int, last: int) -> GapRecord:
    begin, end = first * MINUTE_US, (last + 1) * MINUTE_US
    return GapRecord(
        begin, "BTCUSDT", "kline_1m", "too_old", None, None, last - first + 1, begin, end
    )


def test_candles_are_missed_by_their_number():
    events = [kline(1, 2), kline(1, 60, is_closed=True), kline(8, 60, is_closed=True), kline(9, 1)]
    finding = found(batch("kline_1m", events), batch("gap", [candle_gap(3, 4)]))
    assert (finding.stream, finding.records) == ("kline_1m", 4)
    assert (finding.missing, finding.declared_missing) == (4, 2)
    assert finding.gap_ids == {"too_old": 2}
    assert finding.missing_ranges == (
        (2 * MINUTE_US, 3 * MINUTE_US - 1), (5 * MINUTE_US, 8 * MINUTE_US - 1),
    )  # fmt: skip
    times = "1970-01-01 00:02:00.000 to 1970-01-01 00:02:59.999"
    assert f"kline_1m BTCUSDT: missing {times}" in table([finding])
    assert not found(batch("kline_1m", events), batch("gap", [candle_gap(2, 7)])).problems()


def test_a_stream_of_nothing_but_gaps_is_shown():
    finding = found(batch("gap", [gap(2, 3)]))
    assert (finding.records, finding.first_id, finding.declared_missing) == (0, None, 2)
    assert "–" in table([finding])[1]


def test_a_foreign_record_is_named_and_the_rest_is_read():
    foreign = Batch(Schema({"name": "x.Quote", "fields": []}), 1, b"1", "there")
    cut = batch("gap", [gap(2, 3)])
    cut = Batch(cut.schema, 1, cut.data[:5], "cut")
    lines: list[str] = []
    outcome = audit(
        Fixed(foreign, cut, Unreadable("torn"), batch("trade", trades([1, 1]))), lines.append
    )
    assert [finding.copies for finding in outcome.findings] == [1]
    assert outcome.problems(no_copies=False)
    assert "there: records of Quote: Trade, AggTrade" in outcome.unreadable[0]
    assert outcome.unreadable[1].startswith("cut: a gap record cannot be decoded")
    assert outcome.unreadable[2] == "torn"
    assert "1 numbers are there more than once" in lines[0]
    assert not outcome.as_json(no_copies=False)["explained"]


def test_only_so_many_are_listed():
    finding = found(batch("trade", trades(range(0, 200, 2))))
    assert finding.missing == 99
    assert len(finding.missing_ranges) == LISTED
    lines = table([finding])
    assert lines[2] == "trade BTCUSDT: 99 missing"
    assert lines[3] == "trade BTCUSDT: missing 1"


def test_the_table_tells_shares():
    some = [event("trade", number, source="backfill" if number < 3 else "live")
            for number in range(1, 9)]  # fmt: skip
    assert "25.00%" in table([found(batch("trade", some))])[1]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=6), st.integers(1, 9))
def test_portions_are_all_of_it(spans, size):
    again = {("trade", "A"): IdRanges(), ("trade", "B"): IdRanges()}
    for index, (first, more) in enumerate(spans):
        again["trade", "AB"[index % 2]].add(first, first + more)
    parts = list(portions(again, size))
    totals = [sum(ranges.total for ranges in part.values()) for part in parts]
    assert all(total == size for total in totals[:-1])
    assert sum(totals) == sum(ranges.total for ranges in again.values())
    rejoined = {key: IdRanges() for key in again}
    for part in parts:
        for key, ranges in part.items():
            for span in ranges:
                assert rejoined[key].add(*span) == span[1] - span[0] + 1
    assert {key: list(ranges) for key, ranges in rejoined.items()} == {
        key: list(ranges) for key, ranges in again.items()
    }


def test_the_second_look_passes_over_what_is_not_asked():
    numbers = IdRanges()
    numbers.add(2, 2)
    look = SecondLook({("trade", "BTCUSDT"): numbers})
    look.take(batch("aggTrade", [event("aggTrade", 2)]))
    look.take(batch("trade", [*trades([2], symbol="ETHUSDT"), *trades([1, 2])]))
    look.take(batch("trade", trades([2])))
    assert list(look.times()) == [(("trade", "BTCUSDT"), 2, 2)]
    assert not list(look.differing())


def test_a_record_without_a_known_source_is_refused():
    definition = {**batch("trade", []).schema.definition}
    definition["fields"] = [one for one in definition["fields"] if one["name"] != "source"]
    with pytest.raises(Mismatch, match="no field source"):
        Auditor().take(Batch(Schema(definition), 0, b"", "here"))


def test_gaps_of_other_symbols_are_not_asked_about():
    mine = batch("gap", [gap(3, 4)])
    assert [one.symbol for one in audit(Fixed(mine), lambda _: None, symbols=["BTCUSDT"]).findings]
    outcome = audit(Fixed(mine), lambda _: None, symbols=["ETHUSDT"])
    assert outcome.findings == []
    assert outcome.problems_of_files == ["any stream ETHUSDT: no records"]


def test_numbers_that_jump_are_said_not_to_be_judged():
    quotes = found(batch("bookTicker", [event("bookTicker", 7)]))
    assert jumping([quotes, found(batch("trade", trades([1])))]) == [
        "not judged: bookTicker: its numbers grow by jumps, missing ones cannot be recognised"
    ]


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("record_id", {"type": " tring"}),
        ("record_id", {"type": {"type": 7}}),
        ("record_id", {"type": {}}),
        ("record_id", {"type": 7}),
        ("source", {"type": {"type": "enum", "name": "Source", "symbols": ["dead"]}}),
        ("source", {"type": {"type": "enum", "name": "Source"}}),
    ],
)
def test_a_schema_that_is_none_is_named(field, changed):
    whole = batch("trade", trades([1]))
    fields = [
        each | changed if each["name"] == field else each
        for each in whole.schema.definition["fields"]
    ]
    spoilt = Schema(whole.schema.definition | {"fields": fields})
    outcome = audit(Fixed(Batch(spoilt, 1, whole.data, "here")), lambda _: None)
    assert outcome.unreadable
    assert outcome.unreadable[0].startswith("here: ")


def test_a_gaps_schema_that_is_none_is_named():
    spoilt = Schema({"name": "Gap", "fields": [{"name": "x", "type": "nothing"}]})
    outcome = audit(Fixed(Batch(spoilt, 1, b"", "here")), lambda _: None)
    assert outcome.unreadable[0].startswith("here: its schema cannot be used")


def later(*ids: int) -> Batch:
    """Return what a back-fill brought, in an order of its own."""
    return batch("trade", trades(ids, source="archive"), lane=BACKFILLED)


def test_a_gap_that_a_back_fill_has_filled_is_no_loss_any_more():
    stream, declared = batch("trade", trades([1, 2, 6, 7])), batch("gap", [gap(3, 5)])
    before = found(stream, declared)
    assert (before.declared_missing, before.filled, before.missing) == (3, 0, 0)
    after = found(stream, later(5), later(3, 4), declared, batch("gap", [gap(3, 5, "filled")]))
    assert (after.declared_missing, after.filled, after.missing) == (0, 3, 0)
    assert (after.disorder, after.copies, after.partitions) == (0, 0, (0,))
    assert not after.problems(no_copies=True)
    text = "\n".join(table([after]))
    assert "1 recorded gap(s), lagging, 3 ids" in text
    assert "3 of these were filled later" in text
    assert "recorded gap(s), filled" not in text


def test_what_is_said_to_be_filled_must_be_there():
    closing = batch("gap", [gap(3, 5), gap(3, 5, "filled")])
    finding = found(batch("trade", trades([1, 2, 6])), later(3, 5), closing)
    assert (finding.missing, finding.missing_ranges) == (1, ((4, 4),))


def test_what_a_back_fill_brought_and_the_stream_too_is_a_copy_and_compared():
    finding = found(batch("trade", trades([1, 2, 3])), later(2))
    assert (finding.copies, finding.differing) == (1, 0)
    other = batch("trade", trades([2], price="9"), lane=BACKFILLED)
    assert found(batch("trade", trades([1, 2, 3])), other).differing_ids == (2,)


def test_the_time_between_a_back_fill_and_the_stream_is_no_hole():
    assert found(batch("trade", trades([10, 11])), later(1, 2)).missing == 0
    assert found(later(1, 2, 4)).missing == 0  # two times that were asked for, by themselves
    partitions = batch("trade", trades([1, 2]), 0), batch("trade", trades([5, 6]), 1)
    assert found(*partitions, later(3)).missing_ranges == ((4, 4),)


def test_a_candle_that_both_the_stream_and_a_back_fill_have_is_one_copy():
    candles = [kline(1, 60, is_closed=True), kline(2, 60.5), kline(2, 61, is_closed=True)]
    live = batch("kline_1m", candles)
    fetched = msgspec.structs.replace(kline(2, 59.5, is_closed=True), source="backfill")
    lines: list[str] = []
    again = batch("kline_1m", [fetched], lane=BACKFILLED)
    (finding,) = audit(Fixed(live, again), lines.append).findings
    assert (finding.copies, finding.differing) == (1, 0)
    beside = Fixed(batch("trade", trades([1, 2])), live, again)
    assert sorted(one.copies for one in audit(beside, lambda _: None).findings) == [0, 1]
    assert lines == ["1 numbers are there more than once or late: comparing them"]
    candle = msgspec.structs.replace(fetched.candle, trade_count=6)
    other = batch("kline_1m", [msgspec.structs.replace(fetched, candle=candle)], lane=BACKFILLED)
    assert found(live, other).differing_ids == (2 * MINUTE_US,)


def test_what_a_back_fill_brought_after_the_period_counts_for_it():
    lost = batch("gap", [gap(3, 5), gap(3, 5, "filled")])
    fetched = [encoder("trade", "BTCUSDT")(one, 9_000_000) for one in trades([3, 4, 5])]
    late = Batch(SCHEMAS["trade"], 3, b"".join(fetched), "here", BACKFILLED)
    source = Fixed(batch("trade", trades([1, 2, 6])), late, lost)
    (finding,) = audit(source, lambda _: None, Period(0, 2_000_000)).findings
    assert (finding.missing, finding.filled) == (0, 3)


def test_where_a_stream_ends_is_not_told_by_a_back_fill():
    assert found(batch("trade", trades([1, 2])), later(3, 4)).end_id == 2
    assert found(later(3, 4)).end_id is None
