"""The tape: contiguous, ordered, the same whichever way it is read."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.tape import (
    STREAMS,
    Aggregate,
    BookTicker,
    Event,
    FirstIds,
    Rhythm,
    SymbolTape,
    Trade,
)

START = 1_700_000_000_000_000
RHYTHMS = [Rhythm(50.0), Rhythm(0.02), Rhythm(7.3, 20.0, 3.0, 0.5), Rhythm(5000.0, 4.0, 1.0, 1.0)]


@cache
def tape_of(seed: int, rhythm: Rhythm, symbol: str = "BTCUSDT") -> SymbolTape:
    return SymbolTape(seed, symbol, rhythm, START)


tapes = st.builds(tape_of, st.integers(0, 3), st.sampled_from(RHYTHMS))
indices = st.integers(0, 10_000_000)
streams = st.sampled_from(STREAMS)


@given(tapes, streams, indices)
def test_times_never_fall_and_ids_rise(tape: SymbolTape, stream: str, index: int) -> None:
    events = [tape.event(stream, index + offset) for offset in range(25)]
    pairs = list(pairwise(events))
    assert all(a.time <= b.time for a, b in pairs)
    if stream == "bookTicker":
        assert all(a.id < b.id for a, b in pairs)
    else:
        assert all(a.id + 1 == b.id for a, b in pairs)


@given(tapes, indices)
def test_aggregates_cover_their_trades(tape: SymbolTape, index: int) -> None:
    before, aggregate = tape.event("aggTrade", index), tape.event("aggTrade", index + 1)
    assert isinstance(before, Aggregate)
    assert isinstance(aggregate, Aggregate)
    assert aggregate.first == before.last + 1
    first = tape.index_of("trade", aggregate.first)
    count = aggregate.last - aggregate.first + 1
    trades = [tape.event("trade", first + offset) for offset in range(count)]
    assert sum(each.quantity for each in trades if isinstance(each, Trade)) == aggregate.quantity
    assert {each[1:3] + each[4:] for each in trades} == {
        (aggregate.time, aggregate.price, aggregate.buyer_is_maker)
    }


@given(tapes, streams, indices)
def test_index_of_finds_every_id(tape: SymbolTape, stream: str, index: int) -> None:
    event_id = tape.event(stream, index).id
    assert tape.index_of(stream, event_id) == index
    assert tape.index_of(stream, event_id + 1) == index + 1


@given(tapes, streams, st.floats(0, 500))
def test_index_after_splits_the_tape_at_a_time(tape: SymbolTape, stream: str, after: float) -> None:
    moment = START + int(after * 1e6)
    index = tape.index_after(stream, moment)
    assert tape.event(stream, index).time > moment
    assert index == 0 or tape.event(stream, index - 1).time <= moment


@given(tapes, streams, indices)
def test_numbers_are_positive_and_the_book_is_not_crossed(
    tape: SymbolTape, stream: str, index: int
) -> None:
    event: Event = tape.event(stream, index)
    if isinstance(event, BookTicker):
        assert 0 < event.bid < event.ask
        assert min(event.bid_quantity, event.ask_quantity) > 0
    else:
        assert min(event.price, event.quantity) > 0


def test_the_same_seed_gives_the_same_tape_in_any_order() -> None:
    one, other = (SymbolTape(5, "ETHUSDT", RHYTHMS[0], START) for _ in range(2))
    forward = [one.event(stream, index) for stream in STREAMS for index in range(100)]
    backward = [
        other.event(stream, index) for stream in reversed(STREAMS) for index in reversed(range(100))
    ]
    assert forward == backward[::-1]


def test_seed_and_symbol_change_the_tape() -> None:
    reference = tape_of(1, RHYTHMS[0]).event("trade", 10)
    assert tape_of(2, RHYTHMS[0]).event("trade", 10) != reference
    assert tape_of(1, RHYTHMS[0], "ETHUSDT").event("trade", 10) != reference


def test_the_rate_is_kept_and_bursts_add_to_it() -> None:
    calm, lively = Rhythm(100.0), Rhythm(100.0, 5.0, 10.0, 1.0)
    assert SymbolTape(1, "X", calm, START).index_after(
        "trade", START + 100_000_000
    ) == pytest.approx(10_000, abs=10)
    tape = SymbolTape(1, "X", lively, START)
    assert tape.index_after("trade", START + 100_000_000) == pytest.approx(14_000, abs=10)
    assert tape.index_after("trade", START + 500_000) == pytest.approx(250, abs=10)


@given(st.sampled_from(RHYTHMS), st.floats(0, 1e6))
def test_rhythm_position_is_the_inverse_of_seconds(rhythm: Rhythm, position: float) -> None:
    assert rhythm.position(rhythm.seconds(position)) == pytest.approx(position, rel=1e-9, abs=1e-6)


def test_a_tape_has_a_beginning() -> None:
    with pytest.raises(IndexError, match="before the tape began"):
        tape_of(1, RHYTHMS[0]).event("trade", -1)
    assert tape_of(1, RHYTHMS[0]).index_of("trade", 0) == 0


def test_first_ids_can_be_chosen() -> None:
    chosen = SymbolTape(1, "X", RHYTHMS[0], START, first=FirstIds(7, 5, 3))
    first = chosen.event("aggTrade", 0)
    assert (first.id, chosen.event("trade", 0).id) == (5, 7)
    assert isinstance(first, Aggregate)
    assert first.first == 7
    assert chosen.event("bookTicker", 0).id >= 3


def test_a_meme_coin_trades_more_than_ten_digits() -> None:
    meme = SymbolTape(1, "PEPEUSDT", RHYTHMS[0], START)
    trades = [meme.event("trade", index) for index in range(1000)]
    assert max(each.quantity for each in trades if isinstance(each, Trade)) > 10**10 * 10**8
