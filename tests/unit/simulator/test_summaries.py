"""Depth, klines and tickers: functions of the trades, the same whichever way they are read."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.summaries import SUMMARIES, Depth, Kline, Summaries, Summary, Ticker, sources
from simulator.summary_payloads import rest_candle, summary_payload
from simulator.tape import EVENT_DELAY_MICROSECONDS, STREAMS, Rhythm, SymbolTape

START = 1_700_000_000_250_000
RHYTHMS = {"busy": Rhythm(40.0), "quiet": Rhythm(0.05)}


def new(rhythm: str) -> Summaries:
    return Summaries(SymbolTape(3, "BTCUSDT", RHYTHMS[rhythm], START))


@cache
def summaries_of(rhythm: str = "busy") -> Summaries:
    return new(rhythm)


def sent(summaries: Summaries, stream: str, count: int) -> list[Any]:
    return [
        event
        for event in (summaries.event(stream, index) for index in range(count))
        if event.changed
    ]


def payload(event: Summary) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(summary_payload("BTCUSDT", event, "us"))
    return decoded


def test_every_stream_has_its_source() -> None:
    tape = SymbolTape(3, "BTCUSDT", RHYTHMS["busy"], START)
    by_stream = sources(tape)
    assert set(by_stream) == {*STREAMS, *SUMMARIES}
    assert by_stream["trade"] is tape


@pytest.mark.parametrize("rhythm", list(RHYTHMS))
@pytest.mark.parametrize("stream", ["depth", "depth@100ms"])
def test_changes_of_a_book_follow_each_other(rhythm: str, stream: str) -> None:
    events: list[Depth] = sent(summaries_of(rhythm), stream, 600 if rhythm == "quiet" else 60)
    assert len(events) > 2
    assert all(after.first == before.id + 1 for before, after in pairwise(events))
    assert all(each.first <= each.id and (each.bids or each.asks) for each in events)
    assert events[0].first == 70_000_000_000


def test_both_depth_streams_keep_the_same_book() -> None:
    summaries = summaries_of()
    books: list[dict[tuple[str, int], int]] = []
    for stream, count in (("depth", 12), ("depth@100ms", 118)):  # both end at the same moment
        book: dict[tuple[str, int], int] = {}
        for event in sent(summaries, stream, count):
            book |= {("bid", price): quantity for price, quantity in event.bids}
            book |= {("ask", price): quantity for price, quantity in event.asks}
        books.append({level: quantity for level, quantity in book.items() if quantity})
    assert summaries.event("depth", 11).time == summaries.event("depth@100ms", 117).time
    assert books[0] == books[1]


@pytest.mark.parametrize("interval", ["1s", "1m", "3m"])
@pytest.mark.parametrize("rhythm", list(RHYTHMS))
def test_every_candle_is_closed_and_the_next_one_follows(interval: str, rhythm: str) -> None:
    events: list[Kline] = sent(summaries_of(rhythm), f"kline_{interval}", 400)
    closed = [each for each in events if each.is_closed]
    assert len(closed) > 3
    assert all(before.end == after.start for before, after in pairwise(closed))
    assert all(each.time == each.end * 1_000_000 for each in closed)
    assert all(each.start * 1_000_000 < each.time <= each.end * 1_000_000 for each in events)
    assert all(a.id < b.id for a, b in pairwise(events))


def test_a_candle_has_the_documented_keys_and_sums_up_its_trades() -> None:
    summaries = summaries_of()
    event = next(each for each in sent(summaries, "kline_1m", 99)[40:] if each.is_closed)
    assert isinstance(event, Kline)
    assert event.span is not None
    data = payload(event)

    assert list(data) == ["e", "E", "s", "k"]
    assert list(data["k"]) == list("tTsifLochlvnxqVQB")
    assert data["E"] == event.time + EVENT_DELAY_MICROSECONDS
    candle = data["k"]
    assert (candle["t"], candle["T"]) == (event.start * 10**6, event.end * 10**6 - 1)
    assert (candle["i"], candle["x"], candle["B"]) == ("1m", True, "0")
    assert candle["n"] == candle["L"] - candle["f"] + 1 == event.span.trades
    assert float(candle["l"]) <= min(float(candle["o"]), float(candle["c"]))
    assert float(candle["h"]) >= max(float(candle["o"]), float(candle["c"]))
    assert float(candle["q"]) / float(candle["v"]) == pytest.approx(float(candle["o"]), rel=0.01)
    assert float(candle["V"]) <= float(candle["v"])
    assert json.loads(rest_candle(event, "us")) == [
        *(candle[key] for key in "tohlcvTqnVQ"),
        "0",
    ]
    assert json.loads(rest_candle(event, "ms"))[:7:6] == [
        event.start * 1000,
        event.end * 1000 - 1,
    ]
    assert summaries.candle("1m", event.start, event.end)[2:] == event[2:]


def test_a_candle_without_trades_stands_still() -> None:
    summaries = summaries_of("quiet")
    event = next(each for each in sent(summaries, "kline_1s", 300)[100:] if each.span is None)
    candle = payload(event)["k"]
    assert (candle["f"], candle["L"], candle["n"], candle["v"]) == (-1, -1, 0, "0.00000000")
    assert candle["o"] == candle["h"] == candle["l"] == candle["c"] != "0.00000000"
    assert json.loads(rest_candle(event, "us"))[5] == "0.00000000"


def test_a_quiet_symbol_is_told_of_when_something_happens_and_when_a_candle_ends() -> None:
    summaries = summaries_of("quiet")
    assert 0 < len(sent(summaries, "ticker", 600)) < 50
    updates = [each for each in sent(summaries, "kline_1m", 300) if not each.is_closed]
    assert 0 < len(updates) < 50


def test_a_ticker_has_the_documented_keys_and_tells_what_the_mini_one_tells() -> None:
    summaries = summaries_of()
    ticker, brief = summaries.event("ticker", 300), summaries.event("miniTicker", 300)
    assert isinstance(ticker, Ticker)
    assert ticker.span is not None
    data, short = payload(ticker), payload(brief)

    assert list(data) == list("eEspPwxcQbBaAohlvqOCFLn")
    assert list(short) == list("eEscohlvq")
    assert (data["e"], short["e"]) == ("24hrTicker", "24hrMiniTicker")
    assert all(data[key] == short[key] for key in "Escohlvq")
    assert float(data["p"]) == pytest.approx(float(data["c"]) - float(data["o"]))
    assert float(data["P"]) == pytest.approx(float(data["p"]) / float(data["o"]) * 100, abs=0.001)
    assert data["P"].startswith("-") == data["p"].startswith("-")
    assert float(data["l"]) <= float(data["w"]) <= float(data["h"])
    assert data["C"] - data["O"] == 86_400_000_000
    assert data["n"] == data["L"] - data["F"] + 1 == ticker.span.trades
    assert float(data["b"]) < float(data["a"])


def test_a_day_without_trades_is_all_still() -> None:
    summaries = summaries_of("quiet")
    [still] = [each for each in (summaries.event("ticker", 0),) if isinstance(each, Ticker)]
    data = payload(still._replace(span=None))
    assert (data["p"], data["F"], data["n"]) == ("0.00000000", -1, 0)


@given(st.sampled_from(SUMMARIES), st.integers(0, 2000), st.sampled_from(list(RHYTHMS)))
def test_indices_ids_and_times_agree(stream: str, index: int, rhythm: str) -> None:
    summaries = summaries_of(rhythm)
    event = summaries.event(stream, index)
    assert summaries.index_after(stream, event.time - 1) == index
    assert summaries.index_after(stream, event.time) == index + 1
    if event.changed:
        assert summaries.index_of(stream, event.id) == index


@pytest.mark.parametrize("stream", ["depth@100ms", "kline_1m", "ticker"])
def test_the_past_does_not_depend_on_who_asked_before(stream: str) -> None:
    assert [new("busy").event(stream, index) for index in (300, 40)] == [
        summaries_of().event(stream, index) for index in (300, 40)
    ]


def test_before_the_beginning_there_is_nothing() -> None:
    with pytest.raises(IndexError, match="before the tape began"):
        summaries_of().event("ticker", -1)
    assert summaries_of().index_after("ticker", 0) == 0


def test_a_partial_book_is_the_top_of_the_deeper_one_after_the_same_update() -> None:
    summaries = summaries_of()
    five, twenty = (summaries.event(f"depth{levels}", 200) for levels in (5, 20))
    change = summaries.event("depth", 200)
    top, book = payload(five), payload(twenty)

    assert list(top) == list(book) == ["lastUpdateId", "bids", "asks"]
    assert top["lastUpdateId"] == book["lastUpdateId"] == payload(change)["u"]
    for side in ("bids", "asks"):
        assert [len(top[side]), len(book[side])] == [5, 20]
        assert top[side] == book[side][:5]
    bids, asks = ([float(price) for price, _ in book[side]] for side in ("bids", "asks"))
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert 0 < bids[0] < asks[0]


@pytest.mark.parametrize("rhythm", list(RHYTHMS))
def test_an_average_has_the_documented_keys_and_lies_between_the_prices(rhythm: str) -> None:
    summaries = summaries_of(rhythm)
    data = payload(summaries.event("avgPrice", 500))
    ticker = payload(summaries.event("ticker", 500))

    assert list(data) == list("eEsiwT")
    assert (data["e"], data["i"], data["E"]) == ("avgPrice", "5m", ticker["E"])
    assert float(ticker["l"]) <= float(data["w"]) <= float(ticker["h"])
    assert 0 < data["E"] - data["T"] < 1_000_000_000
