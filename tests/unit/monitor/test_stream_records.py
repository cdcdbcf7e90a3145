from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.evidence import evidence_of
from monitor.judge_feed import feed_criteria
from monitor.soak_plans import PROFILES
from monitor.stream_records import (
    StreamRecord,
    StreamRecords,
    as_json,
    from_json,
    joined,
    records_of,
)
from tests.unit.monitor.observations import stream
from tests.unit.monitor.runs import Run

NAME = "trade:BTCUSDT"


def record(counts: list[int], begin: int = 1) -> StreamRecord:
    records = StreamRecords()
    for place, count in enumerate(counts):
        records.take(60.0 * (begin + place), {NAME: count})
    (found,) = records.all()[NAME]
    return found


def test_a_stream_that_never_stands_still_has_no_standstill() -> None:
    assert record([1, 2, 3]) == StreamRecord(60.0, 1, 180.0, 3)


def test_only_standstills_longer_than_all_before_are_kept() -> None:
    counts = [1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 4]
    assert record(counts).standstills == ((60.0, 120.0), (180.0, 300.0), (480.0, 660.0))


def rows_of(counts: list[int]) -> list[dict[str, Any]]:
    return [
        {"elapsed_seconds": 60.0 * (1 + place), "events": {NAME: count}}
        for place, count in enumerate(counts)
    ]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.integers(1, 20))
def test_the_first_standstill_above_any_limit_is_known(growth: list[int], minutes: int) -> None:
    counts = [sum(growth[: place + 1]) for place in range(len(growth))]
    since = 60.0
    first = None
    for place, count in enumerate(counts):
        at = 60.0 * (1 + place)
        if place and count > counts[place - 1]:
            since = at
        if first is None and at - since >= 60.0 * minutes:
            first = since
    kept = (a for a, b in record(counts).standstills if b - a >= 60.0 * minutes)
    assert next(kept, None) == first


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12))
def test_rows_with_events_tell_the_same(growth: list[int]) -> None:
    counts = [sum(growth[: place + 1]) for place in range(len(growth))]
    told = records_of(rows_of(counts), {NAME: (0.0, 1e9), "trade:ABSENT": (-2.0, -1.0)})
    assert told == {NAME: [record(counts)]}


def test_a_stream_that_leaves_and_comes_back_has_two_records() -> None:
    records = StreamRecords()
    for at, totals in enumerate(({NAME: 1}, {}, {NAME: 5}, {NAME: 6}), start=1):
        records.take(float(at), totals)
    assert records.all()[NAME] == [StreamRecord(1.0, 1, 1.0, 1), StreamRecord(3.0, 5, 4.0, 6)]


def test_they_survive_the_profile() -> None:
    told = {NAME: [record([1, 1, 2, 2, 2]), record([3, 4], begin=9)]}
    assert from_json(json.loads(json.dumps(as_json(told)))) == told


def test_segments_are_joined_in_time_and_events() -> None:
    first, second = {NAME: [record([1, 2])]}, {NAME: [record([0, 5, 5])], "trade:NEW": []}
    found = joined(first, second, 1000.0)
    assert found[NAME] == [
        StreamRecord(60.0, 1, 120.0, 2),
        StreamRecord(1060.0, 2, 1180.0, 7, ((1120.0, 1180.0),)),
    ]


# The same verdict, whether the rows tell of each stream or only the records do.


def many(of: Callable[[int, int], int]) -> Callable[[int], dict[str, Any]]:
    return lambda at: {
        "streams": tuple(stream(of(number, at), f"S{number}USDT") for number in range(COUNT))
    }


COUNT = 4
CASES = {
    "well": lambda number, at: 50 * at,
    "one stops": lambda number, at: 50 * (min(at, 1200) if number == 3 else at),
    "one never came": lambda number, at: 0 if number == 2 else 50 * at,
    "two pauses": lambda number, at: 50 * (at - min(max(at - 600, 0), 400 if number < 1 else 0)),
    "too quiet to be judged": lambda number, at: at // 60,
}


@pytest.mark.parametrize("case", CASES)
def test_records_lead_to_the_verdict_of_the_rows(case: str) -> None:
    told = many(CASES[case])
    document = Run(PROFILES["1h"]).seconds(1900, told, every=10).end(**told(1900)).document()
    document["test_metadata"]["symbols"] = [f"S{number}USDT" for number in range(COUNT)]
    by_rows = evidence_of(document)
    assert by_rows.rows
    assert all("events" in row for row in by_rows.rows)
    without = [{k: v for k, v in row.items() if k != "events"} for row in by_rows.rows]
    by_records = replace(by_rows, rows=without)
    assert by_records.delivered == by_rows.delivered
    assert feed_criteria(by_records) == feed_criteria(by_rows)


def test_a_profile_is_as_large_whatever_the_time_and_small_for_each_stream() -> None:
    def document_of(streams: int, seconds: int) -> int:
        run = Run(PROFILES["24h"])
        run.seconds(
            seconds,
            lambda at: {
                "streams": tuple(stream(at * (1 + n), f"S{n:04}USDT") for n in range(streams))
            },
            every=60,
        )
        return len(json.dumps(run.document()))

    few, many_streams = document_of(31, 1800), document_of(131, 1800)
    assert (many_streams - few) / 100 < 250  # bytes for each stream
    longer = document_of(131, 3600)
    assert longer - many_streams < 30 * 1500  # bytes for each minute, of all streams together
