from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.counters import Counters
from tests.unit.monitor.observations import NAME, report, slot, stream

EVENTS = ("events", "trade", "BTCUSDT")


def test_sums_over_generations() -> None:
    counters = Counters()
    counters.observe(report(1, 1, streams=(stream(40),), rotations={"age": 2}))
    counters.observe(report(1, 2, streams=(stream(0),)))
    assert counters.of(NAME)[EVENTS] == 40
    counters.observe(report(2, 2, streams=(stream(5),), rotations={"age": 1, "stale": 1}))
    totals = counters.all()
    assert totals[EVENTS] == 45
    assert totals["rotations", "age"] == 3
    assert totals["rotations", "stale"] == 1


def test_streamers_add_up_and_stay_apart() -> None:
    counters = Counters()
    counters.observe(report(1, streams=(stream(1),), slots=(slot(drops_total=1),)))
    counters.observe(report(1, streamer="streamer-2", streams=(stream(2, "ETHUSDT"),)))
    assert counters.of("streamer-2")[EVENTS] == 0
    assert counters.all()[EVENTS] == 1
    assert counters.all()["events", "trade", "ETHUSDT"] == 2
    assert counters.all()["drops", "slot-1"] == 1


def test_what_the_last_report_no_longer_names_keeps_its_count() -> None:
    counters = Counters()
    counters.observe(report(1, slots=(slot(drops_total=3),), streams=(stream(7),)))
    counters.observe(report(2, slots=(), streams=()))
    assert counters.all()["drops", "slot-1"] == 3
    counters.observe(report(1, 2, slots=(slot(drops_total=1),), streams=()))
    assert counters.all()["drops", "slot-1"] == 4
    assert counters.all()[EVENTS] == 7


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 20)), max_size=80))
def test_lost_repeated_and_reordered_reports_never_take_anything_back(
    arrivals: list[tuple[int, int]],
) -> None:
    counters, before = Counters(), 0
    latest: dict[int, int] = {}
    newest = (0, 0)
    for generation, sequence in arrivals:
        fresh = counters.observe(report(sequence, generation, streams=(stream(10 * sequence),)))
        assert fresh == ((generation, sequence) > newest)
        if fresh:
            newest = (generation, sequence)
            latest[generation] = sequence
        total = counters.all()[EVENTS]
        assert total >= before
        assert total == 10 * sum(latest.values())
        before = total


def test_a_stream_that_comes_back_counts_on() -> None:
    counters = Counters()
    counters.observe(report(1, streams=(stream(7), stream(4, "ETHUSDT"))))
    counters.observe(report(2, streams=(stream(9),)))
    assert counters.named() == {("trade", "BTCUSDT")}
    assert counters.all()["events", "trade", "ETHUSDT"] == 4
    counters.observe(report(3, streams=(stream(9), stream(1, "ETHUSDT"))))
    assert counters.all()["events", "trade", "ETHUSDT"] == 5
    assert counters.named() == {("trade", "BTCUSDT"), ("trade", "ETHUSDT")}
