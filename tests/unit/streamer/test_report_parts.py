from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streamer.messages import MAX_MESSAGE_BYTES, Report, SinkCounts, StreamCounts, pack
from streamer.report_parts import REFRESH_REPORTS, STREAMS_PER_PART, ReportParts


def counts(number: int, events: int = 0) -> StreamCounts:
    return StreamCounts("trade", f"S{number}USDT", events, 0, 0, 0, events or None, 0.0, None)


def report(sequence: int, streams: tuple[StreamCounts, ...]) -> Report:
    sink = SinkCounts("null")
    return Report("streamer-1", 1, sequence, 4711, 1e9, 1.0, "streaming", streams, (), sink)


def tell(parts: ReportParts, whole: Report) -> list:
    """Return the parts of a report, all of them handed over."""
    told = list(parts.of(whole))
    for part in told:
        parts.told(part)
    return told


def names(told: list) -> list[str]:
    return [one.symbol for part in told for one in part.streams.values()]


def test_everything_is_told_at_first_in_bounded_parts():
    told = tell(ReportParts(), report(1, tuple(map(counts, range(4500)))))
    assert sorted(names(told)) == sorted(f"S{number}USDT" for number in range(4500))
    assert max(len(part.streams) for part in told) <= STREAMS_PER_PART
    assert {(part.streamer, part.generation, part.sequence, part.pid) for part in told} == {
        ("streamer-1", 1, 1, 4711)
    }


def test_then_only_what_changes_and_a_share_of_the_rest():
    parts = ReportParts()
    streams = list(map(counts, range(3000)))
    tell(parts, report(1, tuple(streams)))
    streams[2999] = counts(2999, events=7)
    told = tell(parts, report(2, tuple(streams)))
    assert "S2999USDT" in names(told)
    assert len(names(told)) == 1 + 3000 // REFRESH_REPORTS
    assert len(names(tell(parts, report(3, tuple(streams))))) == 3000 // REFRESH_REPORTS


def test_every_stream_is_told_again_within_the_refresh():
    parts = ReportParts()
    streams = tuple(map(counts, range(1234)))
    tell(parts, report(1, streams))
    again = [
        name
        for sequence in range(2, REFRESH_REPORTS + 3)
        for name in names(tell(parts, report(sequence, streams)))
    ]
    assert set(again) == {one.symbol for one in streams}


def test_what_was_not_handed_over_is_told_again():
    parts = ReportParts()
    streams = tuple(map(counts, range(100)))
    list(parts.of(report(1, streams)))
    assert len(names(tell(parts, report(2, streams)))) == 100
    list(parts.of(report(3, streams[1:])))
    assert [part.removed for part in parts.of(report(4, streams[1:]))][:1] == [(0,)]


def test_many_removals_are_told_in_bounded_parts():
    parts = ReportParts(streams_per_part=10)
    tell(parts, report(1, tuple(map(counts, range(35)))))
    told = tell(parts, report(2, ()))
    assert sorted(number for part in told for number in part.removed) == list(range(35))
    assert max(len(part.removed) for part in told) <= 10
    assert all(not part.removed for part in tell(parts, report(3, ())))


def test_a_stream_that_comes_back_gets_another_number():
    parts = ReportParts()
    tell(parts, report(1, (counts(1),)))
    tell(parts, report(2, ()))
    (part,) = tell(parts, report(3, (counts(1),)))
    assert list(part.streams) == [1]


def test_a_removal_right_after_a_part_that_was_on_its_way_harms_nothing():
    parts = ReportParts()
    (part,) = parts.of(report(1, (counts(1),)))
    list(parts.of(report(2, ())))
    parts.told(part)  # of a stream that is gone by now
    assert [part.removed for part in tell(parts, report(3, ()))] == [(0,)]


@given(st.text(st.characters(min_codepoint=0x10000), min_size=200, max_size=200))
def test_a_part_with_the_longest_names_fits_into_a_message(name):
    parts = ReportParts()
    long = StreamCounts(
        name, name, *([(1 << 63) - 1] * 5), 1e15, 1e9, name, *([(1 << 63) - 1] * 4), "unconfirmed"
    )
    (part,) = parts.of(report(1, (long,)))
    one = len(b"".join(pack(part)))
    empty = len(b"".join(pack(replace(part, streams={}))))
    most = empty + STREAMS_PER_PART * (one - empty + 8) + 9 * STREAMS_PER_PART  # and numbers gone
    assert most <= MAX_MESSAGE_BYTES
