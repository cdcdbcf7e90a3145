"""What is asked about gaps, and where the answers go."""

from __future__ import annotations

import pytest

from streamer.messages import Backfill
from streamer.order.sequence import RELEASED_AT_ONCE, ContiguousSequence, Gap
from streamer.repair.gap_filler import LOOKED_AT
from streamer.repair.gap_tracker import REFUSED_SECONDS
from streamer.repair.rest_requests import RestFailure
from tests.unit.streamer.payloads import NOW_US, trade
from tests.unit.streamer.repair.exchange_by_hand import (
    FIRST_OPEN,
    MINUTE,
    UNIX,
    World,
    many,
    parameters,
    told,
)


def test_a_gap_waits_for_the_other_connection_then_rest_is_asked(world):
    world.hear(10, 14)
    assert world.turn(0.4) is None

    request = world.turn(0.2)

    assert request is not None
    assert request.endpoint == "historicalTrades"
    # With the neighbours that the stream told, 10 and 14.
    assert parameters(request) == {"symbol": "BTCUSDT", "fromId": "10", "limit": "5"}


def test_what_rest_brings_goes_before_what_waited_and_is_counted(world):
    world.hear(10, 14)
    world.turn(0.6)
    assert world.backfiller.progress == Backfill(gaps=1, ids_left=3, ids_done=0, seconds_left=0.0)

    world.answer(11, 12, 13, 14, 15)

    assert world.backfiller.progress == Backfill()
    assert world.stored == [10, 11, 12, 13, 14]  # and 15 is left to the stream
    assert world.route.repaired_total == 3
    assert world.route.repaired_gaps_total == 1
    [told] = world.notices("gap_repaired")
    assert (told["first_id"], told["last_id"], told["repaired"]) == (11, 13, 3)
    assert world.backfiller.open_gaps == 0


def test_what_a_connection_brings_meanwhile_is_no_repair(world):
    world.hear(10, 14)
    world.turn(0.6)
    world.hear(11, 12, 13)

    world.answer(11, 12, 13)

    assert world.stored == [10, 11, 12, 13, 14]
    assert world.route.repaired_total == 0
    assert not world.notices("gap_repaired")


def test_while_the_sink_takes_nothing_what_waits_is_left_where_it_is(world):
    world.hear(10, 12)
    world.turn(0.6)
    world.hear(11)
    assert world.stored == [10, 11, 12]  # an arrival frees what follows it

    world.hear(20_000, *range(14, 19_999))
    world.hear(13, 19_999)  # frees more than is released at once
    stored = len(world.stored)
    world.turn(0.1, accepting=False)
    assert len(world.stored) == stored
    world.turn(0.1)
    assert len(world.stored) > stored


def test_a_refusal_to_serve_is_waited_out(world):
    world.hear(10, 14)
    world.turn(0.6)
    world.exchange.outcome = RestFailure("throttled", "429", 7.0)

    assert world.turn() is None
    assert world.turn(6.5) is None
    assert parameters(world.turn(1.0))["fromId"] == "10"
    assert world.counters.rest_errors == {"throttled": 1}


@pytest.mark.parametrize("body", [{"code": -1}, [{"price": "1"}], [{"id": "x"}]])
def test_an_answer_that_is_no_page_is_trouble_and_asked_again(world, body):
    world.hear(10, 14)
    world.turn(0.6)

    world.say(body)

    assert world.counters.rest_errors == {"unavailable": 1}
    assert parameters(world.turn(1.0))["fromId"] == "10"


@pytest.mark.parametrize("wrong", [{"qty": "0"}, {"price": "NA"}, {"qty": None}, {"time": "NA"}])
def test_what_rest_confirms_though_it_is_no_trade_is_declared_within_seconds(world, wrong):
    world.hear(10, 14)
    world.turn(0.6)
    page = [told(11), told(12, **wrong), told(13)]

    world.say(page)
    assert world.stored == [10, 11]  # once may be a mistake
    world.turn(1.0)
    world.say(page)

    assert world.stored == [10, 11, Gap(12, 12), 13, 14]
    assert world.stored[2].reason == "unusable"
    assert world.counters.rest_errors == {"unusable": 1}
    assert [error_type for error_type, _ in world.refused] == ["unusable"]
    assert world.backfiller.open_gaps == 0


def test_a_trade_that_rest_tells_otherwise_the_next_time_is_stored(world):
    world.hear(10, 12)
    world.turn(0.6)

    world.answer(11, qty="0")
    world.turn(1.0)
    world.answer(11)

    assert world.stored == [10, 11, 12]


def test_a_gap_of_an_unknown_symbol_is_declared_with_that_reason(world):
    world.hear(10, 14)
    world.turn(0.6)
    while world.backfiller.open_gaps and world.now < 200:
        world.exchange.outcome = RestFailure("unknown_symbol", "historicalTrades: HTTP 400")
        world.turn(1.0)

    assert REFUSED_SECONDS < world.now < 2 * REFUSED_SECONDS
    assert world.stored == [10, Gap(11, 13), 14]
    assert world.stored[1].reason == "unknown_symbol"


def test_what_is_too_old_is_declared_up_to_the_first_that_is_not(tmp_path):
    world = World(tmp_path, max_age=3600.0)
    world.hear(10)
    world.route.latest = None  # it was forwarded by an earlier run
    world.hear(5000)
    request = world.turn(0.6)
    old_up_to = 3210
    for _ in range(40):
        if request is None:
            request = world.turn(0.1)
            continue
        if request.endpoint == "time":
            request = world.say({"serverTime": round((UNIX + world.now) * 1e6)})
            continue
        first, limit = int(parameters(request)["fromId"]), int(parameters(request)["limit"])
        ids = range(first, min(first + limit, 5000))
        time = [7200.0 if each <= old_up_to else 60.0 for each in ids]
        request = world.say(
            [
                {
                    "id": each,
                    "price": "1",
                    "qty": "2",
                    "time": round((UNIX + world.now - age) * 1e6),
                    "isBuyerMaker": False,
                }
                for each, age in zip(ids, time, strict=True)
            ]
        )
        if world.backfiller.open_gaps == 0:
            break

    gaps = [item for item in world.stored if isinstance(item, Gap)]
    assert [gap.reason for gap in gaps] == ["too_old"]
    # Whole pages are judged: less than one of them is fetched though it is older.
    assert gaps[0].first_id == 11
    assert old_up_to - 1000 < gaps[0].last_id <= old_up_to
    assert world.stored[2:] == list(range(gaps[0].last_id + 1, 5001))


def test_a_gap_that_nothing_helps_is_given_up(tmp_path):
    world = World(tmp_path, give_up_after=5.0)
    world.hear(10, 14)
    while world.now < 20.0:
        request = world.turn(0.5)
        if request is not None and request.endpoint == "historicalTrades":
            world.answer()

    assert world.stored == [10, Gap(11, 13), 14]
    assert world.stored[1].reason == "lagging"


def test_missing_candles_are_asked_for_by_time_and_go_before_what_waited(candles):
    candles.hear(1, 4)
    request = candles.turn(0.6)

    assert request is not None
    assert request.endpoint == "klines"
    assert parameters(request)["startTime"] == str((FIRST_OPEN + MINUTE) // 1000)
    progress = candles.backfiller.progress
    assert (progress.gaps, progress.ids_left, progress.ids_done) == (1, 2, 0)
    candles.answer(2, 3, 4, 5)
    assert candles.stored == [1, 2, 3, 4]
    assert (candles.route.repaired_total, candles.route.repaired_gaps_total) == (2, 1)


def test_a_candle_that_rest_may_hold_for_open_is_asked_for_again(candles):
    candles.hear(1, 4)
    candles.turn(0.6)

    candles.answer(2, 3)
    assert candles.stored == [1, 2]
    candles.turn(1.0)
    candles.answer(3)
    assert candles.stored == [1, 2]
    candles.turn(1.0)
    candles.answer(3, 4)
    assert candles.stored == [1, 2, 3, 4]


def test_candles_that_rest_passes_over_twice_do_not_exist(candles):
    candles.hear(1, 4)
    candles.turn(0.6)
    candles.answer(4, 5)
    assert candles.stored == [1]
    candles.turn(1.1)
    candles.answer(4, 5)

    [_, declared, last] = candles.stored
    assert (declared.reason, declared.missing, last) == ("empty", 2, 4)
    assert candles.route.sequence.missing_total == 0


def test_of_many_gaps_a_turn_looks_at_some_and_all_are_found_within_seconds(world, monkeypatch):
    routes = many(world, 10 * LOOKED_AT)
    looks = []
    suspected = ContiguousSequence.suspected
    monkeypatch.setattr(
        ContiguousSequence,
        "suspected",
        lambda own, now: looks.append(own) or suspected(own, now),
    )
    world.turn(0.6)
    assert len(looks) <= LOOKED_AT + 1  # and the one that is asked about
    for _ in range(9):
        world.turn(0.1)
    assert world.backfiller.open_gaps == len(routes)
    looks.clear()
    world.turn(0.1)
    assert len(looks) <= LOOKED_AT + 1


def test_of_many_gaps_one_that_has_closed_is_not_asked_about(world):
    routes = many(world, 3 * LOOKED_AT)
    for _ in range(4):
        world.turn(0.3)
    asked = {parameters(each)["symbol"] for each in world.exchange.asked if each.parameters}
    left = [route for route in routes if route.symbol not in asked]
    for route in left[:-1]:  # another connection brings what was missing
        for event_id in (11, 12, 13):
            event = world.route.decode(trade(t=event_id), NOW_US)
            route.sequence.take(event_id, (event, NOW_US), world.now)
    request = world.answer(10, 11, 12, 13, 14)
    assert parameters(request)["symbol"] == left[-1].symbol


def request_of(world):
    """Return the question under way."""
    return world.exchange.asked[-1]


def test_of_many_gaps_what_one_has_freed_is_handed_on_in_each_turn(world):
    many(world, 10 * LOOKED_AT)
    world.hear(10, *range(12, 12 + 4 * RELEASED_AT_ONCE))
    for _ in range(12):
        world.turn(0.1)
    while not (
        parameters(request_of(world))["symbol"] == world.route.symbol
        and request_of(world).endpoint == "historicalTrades"
    ):
        world.say([])
        world.turn(0.1)
    world.answer(10, 11, 12)
    for _ in range(4):
        world.turn(0.1)
    assert world.route.sequence.pending == 0
    assert world.stored == [10, 11, *range(12, 12 + 4 * RELEASED_AT_ONCE)]


def test_of_many_gaps_each_is_given_up_in_time(tmp_path):
    world = World(tmp_path, give_up_after=60.0)
    world.turn()
    world.say({"serverTime": round(UNIX * 1e6)})
    many(world, 3 * LOOKED_AT)
    for _ in range(10):
        world.turn(0.3)
    assert world.backfiller.open_gaps == 3 * LOOKED_AT
    world.turn(61.0)
    for _ in range(4):
        world.turn(0.3)
    assert world.backfiller.open_gaps == 0
    assert world.stored.count(Gap(11, 13)) == 3 * LOOKED_AT
