"""The book of the simulated exchange: one, whichever way it is looked at."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.book import LEVELS, BookState, OrderBook
from simulator.summaries import Depth, Summaries
from simulator.summary_payloads import rest_depth
from simulator.tape import BookTicker, Rhythm, SymbolTape

START = 1_700_000_000_250_000
SYMBOLS = ("BTCUSDT", "PEPEUSDT", "LOWBTC")
TAPES = {symbol: SymbolTape(3, symbol, Rhythm(40.0), START) for symbol in SYMBOLS}
TAPES["BTCUSDT"] = SymbolTape(3, "BTCUSDT", Rhythm(500.0), START)  # not looked at each time
BOOKS = {symbol: OrderBook(tape) for symbol, tape in TAPES.items()}

symbols = st.sampled_from(SYMBOLS)


def applied(book: BookState, depth: Depth) -> BookState:
    """Return a book after a change, in the order of the exchange."""
    sides = [dict(book.bids), dict(book.asks)]
    for side, levels in zip(sides, (depth.bids, depth.asks), strict=True):
        for price, quantity in levels:
            side.pop(price, None)
            if quantity:
                side[price] = quantity
    bids, asks = sides
    return BookState(dict(sorted(bids.items(), reverse=True)), dict(sorted(asks.items())))


@given(symbols, st.integers(0, 5000))
def test_the_top_is_the_book_ticker_and_both_sides_are_in_order(symbol: str, index: int) -> None:
    top = TAPES[symbol].event("bookTicker", index)
    assert isinstance(top, BookTicker)
    bids, asks = BOOKS[symbol].state(index)
    assert next(iter(bids.items())) == (top.bid, top.bid_quantity)
    assert next(iter(asks.items())) == (top.ask, top.ask_quantity)
    assert list(bids) == sorted(bids, reverse=True)
    assert list(asks) == sorted(asks)
    assert all(20 <= len(side) <= LEVELS + 1 for side in (bids, asks))
    assert all(quantity > 0 for side in (bids, asks) for quantity in side.values())
    assert min(bids) > 0


@pytest.mark.parametrize("stream", ["depth", "depth@100ms"])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_snapshot_and_the_changes_after_it_make_the_book_at_each_moment(
    symbol: str, stream: str
) -> None:
    summaries = Summaries(TAPES[symbol])
    at = summaries.book.snapshot_index(START + 2_030_000)
    assert at % 2 or symbol != "BTCUSDT"
    book, last_id = summaries.book.state(at), summaries.book.id_at(at)
    followed = 0
    for index in range(12 if stream == "depth" else 80):
        depth = summaries.event(stream, index)
        assert isinstance(depth, Depth)
        if depth.id <= last_id or not depth.changed:
            continue
        assert depth.first <= last_id + 1
        book, last_id = applied(book, depth), depth.id
        assert book == summaries.book.state(summaries.book.index_before(depth.time))
        followed += 1
    assert followed >= 9


@given(st.integers(1, 60), st.sampled_from([40.0, 300.0]))
def test_every_quote_within_a_change_is_of_a_touched_price_or_the_best_other_one(
    tick: int, rate: float
) -> None:
    tape = SymbolTape(3, "BTCUSDT", Rhythm(rate), START)
    summaries = Summaries(tape)
    depth = summaries.event("depth@100ms", tick)
    assert isinstance(depth, Depth)
    if not depth.changed:
        return
    index = summaries.book.index_before(depth.time)
    after = summaries.book.state(index)
    while (top := tape.update(index)).id >= depth.first:
        for side, price, quantity, levels in (
            (after.bids, top.bid, top.bid_quantity, depth.bids),
            (after.asks, top.ask, top.ask_quantity, depth.asks),
        ):
            touched = {each for each, _ in levels}
            best = next(each for each in side if each not in touched)
            is_better = price > best if side is after.bids else price < best
            assert (price in touched and is_better) or (price, quantity) == (best, side[best])
        index -= 1
        if index < 0:
            break


def test_who_misses_a_change_has_another_book_for_long() -> None:
    summaries = Summaries(TAPES["BTCUSDT"])
    book, wrong = summaries.book.state(-1), 0
    for index in range(200):
        depth = summaries.event("depth@100ms", index)
        assert isinstance(depth, Depth)
        if not 50 <= index < 60:
            book = applied(book, depth)
        if index >= 60:
            wrong += book != summaries.book.state(summaries.book.index_before(depth.time))
    assert wrong > 100


def test_before_the_first_update_the_book_is_empty() -> None:
    book = BOOKS["BTCUSDT"]
    assert book.index_before(START) == -1
    assert book.state(-1) == BookState({}, {})
    assert book.id_at(-1) == TAPES["BTCUSDT"].first.update - 1


def test_where_ids_begin_anew_those_of_the_book_go_on() -> None:
    tape = SymbolTape(3, "BTCUSDT", Rhythm(400.0), START)
    summaries = Summaries(tape)
    before = [summaries.event("depth@100ms", index) for index in range(60)]
    tape.begin_ids_anew(1, START + 2_000_000)
    assert [summaries.event("depth@100ms", index) for index in range(60)] == before
    assert summaries.index_of("depth@100ms", before[50].id) == 50
    assert tape.event("bookTicker", 2000).id < tape.first.update


def test_an_answer_holds_the_best_levels_of_each_side() -> None:
    state = BOOKS["BTCUSDT"].state(300)
    answer = json.loads(rest_depth(7, state, 5))
    assert list(answer) == ["lastUpdateId", "bids", "asks"]
    assert answer["lastUpdateId"] == 7
    for side, levels in (("bids", state.bids), ("asks", state.asks)):
        told = [
            (round(float(price) * 1e8), round(float(each) * 1e8)) for price, each in answer[side]
        ]
        assert told == list(levels.items())[:5]
    assert len(json.loads(rest_depth(7, state, 5000))["bids"]) == len(state.bids)
