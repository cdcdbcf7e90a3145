from __future__ import annotations

import pytest

from monitor.evidence import evidence_of
from monitor.report.rates import DRAWN, PREDECESSORS, Rates, rates
from monitor.rows import STREAMS_PER_ROW
from tests import profiles
from tests.unit.monitor.observations import stream
from tests.unit.monitor.runs import Run

PROFILE = profiles.PROFILES["smoke"]


def rates_of(symbols: dict[str, int]) -> Rates:
    """Return the rates of a run in which each symbol has its events per second."""
    run = Run(PROFILE).seconds(
        20, lambda at: {"streams": tuple(stream(at * n, one) for one, n in symbols.items())}
    )
    return rates(evidence_of(run.document()))


def test_each_stream_has_its_rate_in_each_interval_the_busiest_first() -> None:
    found = rates_of({"AAA": 5, "BBB": 50})
    assert [one.name for one in found.lines] == ["trade:BBB", "trade:AAA"]
    assert found.lines[0].per_second == pytest.approx([50] * len(found.seconds))
    assert found.judged is not None
    assert found.judged.per_second == pytest.approx([55] * len(found.seconds))


def test_one_stream_alone_is_not_drawn_twice() -> None:
    assert rates_of({"AAA": 5}).judged is None


def test_many_streams_are_drawn_as_few_lines_and_told_one_by_one() -> None:
    found = rates_of({f"S{number:03}": 100 - number for number in range(STREAMS_PER_ROW)})
    assert len(found.lines) == DRAWN
    assert found.lines[-1].name == f"{STREAMS_PER_ROW - DRAWN + 1} others together"
    rest = sum(100 - number for number in range(DRAWN - 1, STREAMS_PER_ROW))
    assert found.lines[-1].per_second[0] == pytest.approx(rest)
    assert len(found.streams) == STREAMS_PER_ROW


def test_too_many_for_the_rows_are_drawn_together_and_told_one_by_one() -> None:
    count = STREAMS_PER_ROW + 1
    found = rates_of({f"S{number:03}": 100 - number for number in range(count)})
    assert [one.name for one in found.lines] == ["trade"]
    rate = sum(100 - number for number in range(count))
    assert found.lines[0].per_second == pytest.approx([rate] * len(found.seconds))
    assert [one.name for one in found.streams[:2]] == ["trade:S000", "trade:S001"]
    assert len(found.streams) == count
    assert found.streams[0].events == 100 * 19  # until the last row
    assert found.streams[0].lowest_per_second is None
    assert found.streams[0].longest_silence_seconds is not None


def test_a_stream_that_never_came_is_told() -> None:
    last = rates_of({"AAA": 5, "DEAD": 0}).streams[-1]
    assert (last.name, last.events, last.lowest_per_second) == ("trade:DEAD", 0, 0)


def test_the_predecessors_format_has_one_line() -> None:
    found = rates(evidence_of(profiles.predecessors()))
    assert [one.name for one in found.lines] == [PREDECESSORS]
    assert found.lines[0].per_second == pytest.approx([30.0] * 59)
    assert found.streams[0].longest_silence_seconds is None
