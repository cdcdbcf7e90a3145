"""When the exchange is asked for the time, and what is made of it."""

from __future__ import annotations

import pytest

from streamer.data.rest_page import RestRequest
from streamer.errors import FrameRejected
from streamer.repair.clock_check import CLOCK_RETRY_SECONDS
from tests.unit.streamer.payloads import NOW_US, trade
from tests.unit.streamer.repair.exchange_by_hand import UNIX, World


def test_a_clock_that_is_far_off_is_told_once_and_judged_by(world):
    for _ in range(2):
        world.now += 700.0
        assert world.turn() == RestRequest("time", (), 1)
        world.say({"serverTime": round((UNIX + world.now + 600.0) * 1e6)})

    assert world.counters.clock_offset_seconds == pytest.approx(600.0, abs=1e-3)
    [warning] = world.notices("warning")
    assert "600.0 s behind" in str(warning["message"])
    world.route.decode(trade(E=NOW_US + 600_000_000), NOW_US)
    with pytest.raises(FrameRejected) as caught:
        world.route.decode(trade(E=NOW_US + 1_000_000_000), NOW_US)
    assert caught.value.error_type == "bad_time"


def test_a_clock_that_is_set_is_measured_again_and_judged_by_at_once(world):
    world.turn(1.0)
    world.set_by = -600.0

    assert world.turn(0.1) == RestRequest("time", (), 1)
    assert world.counters.clock_offset_seconds == pytest.approx(600.0, abs=1e-3)
    world.route.decode(trade(E=NOW_US + 600_000_000), NOW_US)


def test_the_clocks_offset_is_that_of_the_middle_of_the_question(world):
    world.now = 700.0  # longer than clock_every
    assert world.turn() == RestRequest("time", (), 1)
    world.say({"serverTime": round((UNIX + 700.0 - 0.1 + 2.5) * 1e6)}, seconds=0.2)

    assert world.counters.clock_offset_seconds == pytest.approx(2.5, abs=1e-3)
    assert len(world.clock_notes) == 2
    assert world.clock_notes[-1] == pytest.approx((UNIX + 700.0, 2.5, 0.1), abs=1e-3)


def test_a_step_of_the_clock_here_is_noted_with_the_offset_since(world):
    world.turn(1.0)
    world.set_by = -600.0
    world.turn(0.1)

    at, offset, uncertainty = world.clock_notes[-1]
    assert at == pytest.approx(UNIX + 1.1 - 600.0, abs=1e-3)
    assert (offset, uncertainty) == (pytest.approx(600.0, abs=1e-3), None)


def test_an_answer_that_took_long_says_nothing_about_the_clock(tmp_path):
    world = World(tmp_path)
    world.turn()
    world.say({"serverTime": round(UNIX * 1e6)}, seconds=3.0)

    assert world.counters.clock_offset_seconds is None
    assert world.turn(CLOCK_RETRY_SECONDS - 1) is None
    assert world.turn(2.0) == RestRequest("time", (), 1)
