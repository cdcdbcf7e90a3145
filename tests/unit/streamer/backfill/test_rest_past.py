"""The past over REST, by an exchange that is a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from streamer.backfill.errors import BackfillError
from streamer.backfill.rest_past import RestPast
from streamer.backfill.stored import content_of
from streamer.data.kinds.trade import Trade
from streamer.data.rest_page import RestRequest
from streamer.repair.rest_requests import RestFailure, RestResponse
from streamer.repair.weight import WeightBudget

UNIX = 1_795_780_000.0
US = int(UNIX * 1e6)


class Clock:
    now = 0.0

    def time(self) -> float:
        return UNIX + self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def row(number: int, price: str = "1.5") -> dict[str, Any]:
    return {"id": number, "price": price, "qty": "2", "time": US + number, "isBuyerMaker": True}


def aggregate(number: int) -> dict[str, Any]:
    """Return one of ten trades."""
    return {
        "a": number, "p": "1.5", "q": "2", "f": number * 10, "l": number * 10 + 9,
        "T": US + number * 1_000_000, "m": True,
    }  # fmt: skip


class Exchange:
    """Knows trades by id and aggregates; `troubles` are answered first."""

    def __init__(self, *ids: int) -> None:
        self.rows = {number: row(number) for number in ids}
        self.troubles: list[RestFailure] = []
        self.asked: list[RestRequest] = []
        self.used_weight: int | None = None

    def ask(self, request: RestRequest) -> RestResponse | RestFailure:
        self.asked.append(request)
        if self.troubles:
            return self.troubles.pop(0)
        asked = dict(request.parameters)
        if request.endpoint == "historicalTrades":
            first, limit = int(asked["fromId"]), int(asked["limit"])
            page = [self.rows[number] for number in sorted(self.rows) if number >= first][:limit]
        else:
            since = int(asked.get("startTime", 0)) * 1000
            page = [one for one in map(aggregate, range(5)) if one["T"] >= since]
            page = page[:1] if "startTime" in asked else page[-1:]
        return RestResponse(json.dumps(page).encode(), 0.0, 0.0, self.used_weight)


class World:
    def __init__(self, *ids: int) -> None:
        self.exchange, self.clock, self.said = Exchange(*ids), Clock(), []
        self.past = RestPast(
            self.exchange.ask, WeightBudget(1000, 1.0), False, 600.0, self.said.append, self.clock
        )

    def fetched(self, first: int, last: int, stored: Any = None) -> tuple[list[int], Any, Any]:
        steps = list(self.past.steps("trade", "BTCUSDT", (first, last), stored or {}))
        return (
            [event.id for step in steps for event in step.events],
            [one for step in steps for one in step.empty],
            [one for step in steps for one in step.untold],
        )


def content(number: int, price: str = "1.5") -> Any:
    told = Trade("trade", 0, "BTCUSDT", number, price, "2", US + number, True)
    return content_of("trade", "BTCUSDT")(told)


def test_pages_follow_each_other():
    world = World(*range(1, 2501))
    assert world.fetched(3, 2200) == (list(range(3, 2201)), [], [])
    assert len(world.exchange.asked) == 3


def test_ids_that_the_exchange_passes_over_do_not_exist():
    assert World(1, 2, 6, 7).fetched(3, 6) == ([6], [(3, 5)], [])


def test_the_end_that_it_does_not_tell_is_left():
    assert World(1, 2, 3).fetched(3, 6) == ([3], [], [(4, 6)])


@pytest.mark.parametrize("number", [2, 7])
def test_neighbours_that_say_something_else_refuse_all_of_it(number):
    world = World(*range(1, 10))
    assert world.fetched(3, 6, {2: content(2), 7: content(7)})[0] == [3, 4, 5, 6]
    with pytest.raises(BackfillError, match=f"BTCUSDT {number}, as REST tells it: price"):
        world.fetched(3, 6, {number: content(number, "1.6")})


def test_what_cannot_be_is_not_stored_nor_taken_for_nothing():
    world = World(*range(1, 10))
    world.exchange.rows[4]["price"] = "0"
    world.exchange.rows[5]["qty"] = 7
    assert world.fetched(3, 6) == ([3, 6], [], [(4, 5)])
    assert any("BTCUSDT 4: not stored" in line for line in world.said)


def test_troubles_are_waited_for_and_told():
    world = World(*range(1, 10))
    world.exchange.troubles = [
        RestFailure("throttled", "429", 30.0, 6000),
        RestFailure("unavailable", "502"),
        RestFailure("unavailable", "timeout"),
    ]
    assert world.fetched(3, 6)[0] == [3, 4, 5, 6]
    assert world.clock.now >= 33.0
    assert "429; asked again in 30 s" in world.said


@pytest.mark.parametrize("kind", ["refused", "unknown_symbol"])
def test_a_refusal_of_the_question_ends_it(kind):
    world = World(1)
    world.exchange.troubles = [RestFailure(kind, "Invalid symbol.")]
    with pytest.raises(BackfillError, match="Invalid symbol"):
        world.fetched(3, 6)


def test_an_exchange_that_stays_away_ends_it_at_last():
    world = World(1)
    world.exchange.troubles = [RestFailure("unavailable", "502")] * 1000
    with pytest.raises(BackfillError, match="no answer for"):
        world.fetched(3, 6)
    assert 600 <= world.clock.now < 700


def test_nonsense_is_a_trouble():
    world = World(*range(1, 10))
    answer: Callable[[RestRequest], Any] = world.exchange.ask
    bodies = [b'{"a": 1}', b"[1, 2]"]
    world.past.ask = lambda request: (
        RestResponse(bodies.pop(), 0.0, 0.0) if bodies else answer(request)
    )
    assert world.fetched(3, 6)[0] == [3, 4, 5, 6]
    assert len(world.said) == 2


def test_the_weight_that_others_use_is_counted():
    world = World(*range(1, 3001))
    world.exchange.used_weight = 990
    world.fetched(3, 2500)
    assert world.clock.now == 81.0  # two pages wait for the next minute, which begins after 21 s


def test_what_is_reserved_for_small_questions_is_left():
    """Of 1,000 a minute the streamer's own looks have 100: 36 pages of 25, not 40."""
    world = World(*range(1, 40_001))
    world.fetched(1, 35_000)
    assert (len(world.exchange.asked), world.clock.now) == (36, 0.0)
    world.fetched(36_000, 36_001)
    assert world.clock.now == 21.0  # it waits for the next minute


def test_a_time_is_looked_up_by_aggregate_trades():
    world = World()
    at = lambda number: US + number * 1_000_000  # noqa: E731
    assert world.past.ids_between("BTCUSDT", "aggTrade", at(1), at(3)) == (1, 2)
    assert world.past.ids_between("BTCUSDT", "trade", at(1), at(3)) == (10, 29)
    assert world.past.ids_between("BTCUSDT", "trade", at(3), at(99)) == (30, 49)  # up to now
    assert world.past.ids_between("BTCUSDT", "aggTrade", at(3), at(99)) == (3, 4)
    assert world.past.ids_between("BTCUSDT", "trade", at(98), at(99)) is None
    assert world.past.ids_between("BTCUSDT", "trade", at(1) + 2, at(1) + 3) is None
    assert world.past.ids_between("BTCUSDT", "kline_1m", 60, 120) == (60, 119)


def test_ids_are_not_taken_for_none_by_one_answer():
    world = World(*range(1, 8))
    answer, lagging = world.exchange.ask, World(1, 2, 6, 7).exchange.ask
    asked: list[float] = []

    def ask(request: RestRequest) -> Any:
        asked.append(world.clock.now)
        return (lagging if len(asked) == 1 else answer)(request)

    world.past.ask = ask
    assert world.fetched(3, 6) == ([3, 4, 5, 6], [], [])
    assert asked[1] - asked[0] >= 1.0


def test_ids_of_which_the_answers_never_agree_are_left():
    world = World()
    answers = [World(1, 2, 6, 7).exchange.ask, World(1, 2, 3, 6, 7).exchange.ask] * 3
    world.past.ask = lambda request: answers.pop()(request)
    assert world.fetched(3, 6)[1:] == ([], [(3, 5)])


def test_the_neighbour_above_is_compared_before_anything_is_stored():
    world = World(*range(1, 5000))
    steps = world.past.steps("trade", "BTCUSDT", (3, 4000), {4001: content(4001, "1.6")})
    with pytest.raises(BackfillError, match="BTCUSDT 4001, as REST tells it: price"):
        next(steps)


def test_an_address_of_no_known_venue_is_not_believed_without_anything_to_compare():
    world = World(*range(1, 10))
    world.past.same_venue = False
    assert world.fetched(3, 6, {7: content(7)})[0] == [3, 4, 5, 6]
    for stored in ({}, {9: content(9)}):
        with pytest.raises(BackfillError, match="--uncompared"):
            world.fetched(3, 6, stored)
    assert len(world.exchange.asked) == 2
