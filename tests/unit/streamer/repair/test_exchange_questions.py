"""The weight of questions, and the troubles with them."""

from __future__ import annotations

from streamer.repair.exchange_questions import TROUBLE_REPEAT_SECONDS
from streamer.repair.rest_requests import RestFailure, RestResponse
from tests.unit.streamer.repair.exchange_by_hand import UNIX, World


def test_trouble_is_counted_each_time_and_told_once_a_minute(world):
    world.hear(10, 14)
    world.turn(0.6)
    while world.now < TROUBLE_REPEAT_SECONDS:
        if world.exchange.outcome is None:
            world.exchange.outcome = RestFailure("unavailable", "502 Bad Gateway")
        world.turn(1.0)

    assert world.counters.rest_errors["unavailable"] > 3
    assert len(world.notices("rest_trouble")) == 1


def test_rest_is_not_asked_beyond_our_share_of_the_weight(tmp_path):
    world = World(tmp_path, weight_per_minute=100, weight_share=0.5)
    world.hear(10, 14)
    requests = []
    while world.now < 10.0:
        request = world.turn(0.25)
        if request is not None:
            requests.append(request)
            world.exchange.outcome = RestResponse(b"[]", UNIX, UNIX + world.now)

    assert sum(request.weight for request in requests) <= 50
