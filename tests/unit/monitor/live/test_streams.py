from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.live.streams import (
    PAGE_ROWS,
    SEARCH_CHARACTERS_MAX,
    QueryError,
    StreamQuery,
    StreamTable,
    query_of,
)
from monitor.snapshot import Snapshot
from monitor.soak_plans import PROFILES
from tests.unit.monitor.observations import EPOCH, stream
from tests.unit.monitor.runs import Run

STREAMS = (
    stream(500, "BTCUSDT"),
    stream(9000, "BTCUSDT", "bookTicker", silent_seconds=2.0),
    stream(100, "ETHUSDT", silent_seconds=45.0, silence="news"),
    stream(20, "BNBUSDT", silent_seconds=600.0, silence="quiet"),
    stream(70, "SOLUSDT", silent_seconds=1.0, pending=7),
    stream(0, "NONESUCH", silent_seconds=50.0, unavailable="unknown_symbol"),
    stream(3, "GONEUSDT", leaving=True),
)


def snapshot(*streams: object) -> Snapshot:
    run = Run(PROFILES["smoke"]).seconds(3, lambda _: {"streams": streams or STREAMS})
    return run.recorder.snapshot(run.now, EPOCH)


def names(table: StreamTable, query: StreamQuery) -> list[str]:
    return [f"{row['symbol']} {row['stream']}" for row in table.page(query)["rows"]]


def test_what_is_wrong_comes_first_and_a_confirmed_quiet_is_not_wrong() -> None:
    table = StreamTable(snapshot())
    assert [(row.symbol, row.state) for row in table.worst(9)] == [
        ("ETHUSDT", "silent"),
        ("NONESUCH", "unavailable"),
        ("SOLUSDT", "repairing"),
        ("BNBUSDT", "quiet"),
        ("BTCUSDT", "ok"),
        ("BTCUSDT", "ok"),
    ]
    assert table.counts() == {"silent": 1, "unavailable": 1, "repairing": 1, "quiet": 1, "ok": 2}
    assert table.worst(1)[0].symbol == "ETHUSDT"
    assert table.worst(3)[2].held == 7
    assert table.worst(2)[1].why == "unknown_symbol"


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("name", "BNBUSDT trade"),
        ("silence", "BNBUSDT trade"),
        ("events", "BTCUSDT bookTicker"),
        ("worst", "ETHUSDT trade"),
    ],
)
def test_it_is_sorted(sort: str, first: str) -> None:
    assert names(StreamTable(snapshot()), query_of(f"sort={sort}"))[0] == first


def test_it_is_sorted_by_rate() -> None:
    run = Run(None)
    run.seconds(5, lambda at: {"streams": (stream(at, "AUSDT"), stream(9 * at, "BUSDT"))})
    rows = StreamTable(run.recorder.snapshot(5.0, EPOCH)).page(query_of("sort=rate"))["rows"]
    assert [(row["symbol"], row["per_second"]) for row in rows] == [("BUSDT", 9), ("AUSDT", 1)]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("eth", ["ETHUSDT trade"]),
        ("  BTC   book ", ["BTCUSDT bookTicker"]),
        ("silent", ["ETHUSDT trade"]),
        ("streamer-1 quiet", ["BNBUSDT trade"]),
        ("nothing", []),
    ],
)
def test_every_word_of_a_search_is_found(search: str, found: list[str]) -> None:
    table = StreamTable(snapshot())
    query = query_of(urlencode({"search": search}))
    assert names(table, query) == found
    assert table.page(query)["matched"] == len(found)
    assert table.page(query)["total"] == 6


def test_pages_have_every_row_once_and_none_is_beyond_the_last() -> None:
    table = StreamTable(snapshot(*(stream(1, f"S{number:04}") for number in range(120))))
    every = [f"S{number:04} trade" for number in range(120)]
    pages = [names(table, query_of(f"sort=name&page={page}")) for page in range(3)]
    assert [len(page) for page in pages] == [PAGE_ROWS, PAGE_ROWS, 20]
    assert [name for page in pages for name in page] == every
    beyond = table.page(query_of("sort=name&page=999999"))
    assert (beyond["page"], beyond["pages"], len(beyond["rows"])) == (2, 3, 20)


def test_without_streams_there_is_an_empty_page() -> None:
    run = Run(None)
    table = StreamTable(run.recorder.snapshot(0.0, EPOCH))
    assert table.page(StreamQuery()) == {
        "total": 0,
        "matched": 0,
        "page": 0,
        "pages": 1,
        "rows": [],
    }


def test_a_streamer_that_reports_no_more_is_silent_for_longer() -> None:
    told = snapshot(stream(1, silent_seconds=1.0))
    (streamer,) = told.streamers
    late = replace(told, streamers=(replace(streamer, report_age_seconds=60.0),))
    (row,) = StreamTable(late).rows
    assert (row.state, row.silent_seconds) == ("silent", 61.0)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sort=symbol", "sort: expected one of worst, name, rate, silence, events"),
        ("page=-1", "page: expected a number from 0"),
        ("page=%D9%A1", "page: expected a number"),
        ("page=1234567", "page: expected a number"),
        (f"search={'x' * (SEARCH_CHARACTERS_MAX + 1)}", "search: expected at most 60"),
        ("&".join("a=b" for _ in range(9)), "expected at most 8 fields"),
    ],
)
def test_a_query_that_cannot_be_is_refused_with_what_is_expected(query: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        query_of(query)


def test_a_query_without_fields_asks_for_the_worst() -> None:
    assert query_of("") == query_of("x=y&sort=worst&page=0") == StreamQuery("", "worst", 0)


@given(st.text())
def test_any_query_is_a_query_or_an_error(text: str) -> None:
    try:
        query = query_of(text)
    except QueryError:
        return
    assert len(query.search) <= SEARCH_CHARACTERS_MAX * 3  # lower case may be longer
    assert 0 <= query.page < 10**6
