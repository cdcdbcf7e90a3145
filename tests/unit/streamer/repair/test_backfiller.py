"""Which question comes next, of the three that are asked."""

from __future__ import annotations

import pytest

from streamer.data.rest_page import RestRequest
from streamer.repair.weight import RESERVED_MAX
from tests.unit.streamer.payloads import NOW_US, trade
from tests.unit.streamer.repair.exchange_by_hand import SILENT_AFTER, latest, many, parameters


def test_one_question_at_a_time(world):
    world.hear(10, 14)
    assert world.turn(0.6) is not None
    assert world.turn(5.0) is None


def test_a_long_back_fill_leaves_room_for_questions_about_silence(world):
    """Room in turn, and room in the minute's weight, which a back-fill uses up at once."""
    world.now = 30.0  # the clock's minute has just begun
    world.hear(10, 5_000_000)
    request = world.turn(0.6)
    silent_since = world.now - SILENT_AFTER
    asked = []
    while request is not None:
        asked.append(request.endpoint)
        world.silent_seconds = world.now - silent_since
        if request.endpoint == "historicalTrades":
            first = int(parameters(request)["fromId"])
            request = world.answer(*range(first, first + 10))
        else:
            request = world.say([latest(trade_id=5_000_000, age_seconds=99.0)])
        request = request or world.turn(0.1)

    # A page was under way: the look comes right after.
    assert asked[:3] == ["historicalTrades", "aggTrades", "historicalTrades"]
    used = sum(25 if each == "historicalTrades" else 4 for each in asked)
    assert 0 <= 6000 * 0.97 - RESERVED_MAX - used < 25
    assert world.now < 60.0  # the minute is not over, and its weight is spent
    world.silent_seconds = world.now - silent_since + 20.0
    assert world.turn(20.0) == RestRequest("aggTrades", (("symbol", "BTCUSDT"), ("limit", "1")), 4)


def test_a_back_fill_that_lacks_weight_is_not_slowed_by_looks_at_many_silences(world):
    many(world, 300)
    world.turn(0.6)
    world.now = 30.0  # a minute of the clock has begun, with weight for 218 of the gaps
    world.silent_seconds = 2 * SILENT_AFTER
    request, looks, weight = world.exchange.asked[-1], 0, 0
    while world.now < 60.0:
        world.silent_seconds += 0.1
        if request is None:
            request = world.turn(0.1)
            continue
        if set(parameters(request)) == {"symbol", "limit"}:
            looks += 1
        else:
            weight += request.weight
        request = world.say([])
    assert 0 < looks <= RESERVED_MAX / 4
    assert abs(6000 * 0.97 - RESERVED_MAX - weight) < 50  # all the rest is for the gaps


@pytest.mark.parametrize(
    ("last_id", "is_reserved"),
    [
        (400_000, True),  # 400 pages: one gap that takes two minutes' weight
        (20_000, False),  # 20 pages, of which ten trades are told at once
    ],
)
def test_one_gap_of_many_pages_lacks_weight_as_many_gaps_do(world, last_id, is_reserved):
    for number in range(300):
        route = world.routes.make("trade", f"S{number:04}USDT")
        world.routes.add(route)
        route.sequence.advance(10)
        route.latest = world.route.decode(trade(t=10), NOW_US)
    world.hear(10, last_id)
    world.turn(0.6)
    world.now = 30.0  # a minute of the clock has begun, with weight for 225 pages
    world.silent_seconds = 2 * SILENT_AFTER
    request, looks = world.exchange.asked[-1], 0
    while world.now < 60.0:
        world.silent_seconds += 0.1
        world.heard = {world.route}
        if request is None:
            request = world.turn(0.1)
        elif request.endpoint == "historicalTrades":
            first_id = int(parameters(request)["fromId"])
            request = world.answer(*range(first_id, first_id + 10))
        else:
            looks += 1
            request = world.say([])
    assert looks > 0
    assert (looks <= RESERVED_MAX / 4) is is_reserved
