from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.report_assembly import ReportAssembler
from streamer.messages import StreamCounts
from streamer.report_parts import REFRESH_REPORTS, ReportParts
from tests.unit.monitor.observations import replace, report, stream

Streams = tuple[StreamCounts, ...]


def assembled(assembler: ReportAssembler, parts: ReportParts, sequence: int, told: Streams) -> list:
    whole = report(sequence, streams=told)
    for part in parts.of(whole):
        parts.told(part)
        assembler.take(part)
    return sorted(assembler.whole(replace(whole, streams=())).streams, key=lambda one: one.symbol)


def placed(sequence: int, told: Streams) -> list:
    return sorted(report(sequence, streams=told).streams, key=lambda one: one.symbol)


# By symbol: events so far; absent: not streamed.
SECONDS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from([f"S{n}" for n in range(12)]), st.integers(0, 3)),
        st.sets(st.integers(0, 5)),  # parts that are lost
    ),
    max_size=12,
)


def told_of(symbols: dict[str, int]) -> Streams:
    return tuple(replace(stream(count, name), silent_since=0.0) for name, count in symbols.items())


@given(SECONDS)
def test_lost_parts_heal_within_the_refresh(seconds: list[tuple[dict[str, int], set[int]]]) -> None:
    parts, assembler = ReportParts(streams_per_part=3), ReportAssembler()
    sequence, symbols = 0, {}
    for symbols, lost in seconds:
        sequence += 1
        whole = report(sequence)
        whole = replace(whole, streams=told_of(symbols))
        for number, part in enumerate(parts.of(whole)):
            parts.told(part)  # handed over, and lost after that
            if number not in lost:
                assembler.take(part)
        assembler.whole(replace(whole, streams=()))
    # Numbers are given once: the more streams have come and gone, the more the refresh walks over.
    for _ in range(REFRESH_REPORTS * (1 + sequence)):
        sequence += 1
        whole = replace(report(sequence), streams=told_of(symbols))
        for part in parts.of(whole):
            parts.told(part)
            assembler.take(part)
    found = assembler.whole(replace(whole, streams=())) if seconds else None
    if found is not None:
        by_symbol = {one.symbol: one.events_total for one in found.streams}
        assert by_symbol == symbols
        assert len(found.streams) == len(symbols)


def test_nothing_lost_is_the_same_at_once() -> None:
    parts, assembler = ReportParts(streams_per_part=2), ReportAssembler()
    first = tuple(stream(n, f"S{n}") for n in range(7))
    assert assembled(assembler, parts, 1, first) == placed(1, first)
    second = (stream(9, "S3"), *first[4:], stream(1, "NEW"))
    assert assembled(assembler, parts, 2, second) == placed(2, second)


def test_streams_that_do_not_change_stay_the_same_objects() -> None:
    parts, assembler = ReportParts(), ReportAssembler()
    told = tuple(replace(stream(n, f"S{n}"), silent_since=0.0) for n in range(5))
    for sequence in (1, 2, 3):
        whole = replace(report(sequence), streams=told)
        for part in parts.of(whole):
            parts.told(part)
            assembler.take(part)
        latest = assembler.whole(replace(whole, streams=())).streams
        if sequence == 1:
            first = latest
        assert all(one is other for one, other in zip(first, latest, strict=True))


def test_a_part_of_a_report_that_is_over_changes_nothing() -> None:
    parts, assembler = ReportParts(), ReportAssembler()
    (old,) = parts.of(report(1, streams=(stream(1),)))
    assembler.whole(report(2, streams=()))
    assembler.take(old)
    assert assembler.whole(report(3, streams=())).streams == ()


def test_the_order_is_that_of_the_numbers_whatever_came_first() -> None:
    parts, assembler = ReportParts(streams_per_part=1), ReportAssembler()
    told = tuple(stream(n, f"S{n}") for n in range(3))
    for part in reversed(list(parts.of(report(1, streams=told)))):
        assembler.take(part)
    found = assembler.whole(report(1, streams=())).streams
    assert [one.symbol for one in found] == ["S0", "S1", "S2"]
