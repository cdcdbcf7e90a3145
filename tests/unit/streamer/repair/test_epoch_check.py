"""Ids that began anew while a stream leaves: what waits above a gap of it goes on."""

from __future__ import annotations

import msgspec
import pytest

from streamer.order.epochs import NEW_EPOCH
from streamer.order.sequence import Gap
from streamer.repair.epoch_check import LAGGING_FIRST
from tests.unit.streamer.payloads import NOW_US, trade
from tests.unit.streamer.repair.exchange_by_hand import UNIX, World, latest, parameters, told


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.turn()
    world.say({"serverTime": round(UNIX * 1e6)})
    world.hear(1000, 1004)
    return world


def lag(world) -> None:
    """Have REST know nothing of the gap, until the latest trade would be asked for."""
    for _ in range(LAGGING_FIRST):
        assert parameters(ask(world))["fromId"] == "1000"
        world.answer(1000)  # what is below the gap, and nothing above


def ask(world):
    """Wait for the next question."""
    for _ in range(100):
        if (request := world.turn(0.25)) is not None:
            return request
    raise AssertionError("nothing was asked")


def test_what_can_be_told_no_more_is_declared(world):
    world.route.leaving = True
    lag(world)
    assert ask(world).endpoint == "aggTrades"

    world.say([latest(trade_id=40, age_seconds=-60)])

    assert world.stored == [1000, Gap(1001, 1003), 1004]
    assert world.stored[1].reason == NEW_EPOCH
    assert world.backfiller.open_gaps == 0


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([latest(trade_id=1010, age_seconds=-60)], id="rest lags no longer"),
        pytest.param([latest(trade_id=990, age_seconds=3600)], id="rest lags far behind"),
        pytest.param([latest(trade_id=1000, age_seconds=1)], id="rest lags a little"),
        pytest.param([], id="nothing"),
        pytest.param([{"a": "x"}], id="no trade"),
    ],
)
def test_what_may_be_told_still_is_asked_for_again(world, answer):
    world.route.leaving = True
    lag(world)
    assert ask(world).endpoint == "aggTrades"

    world.say(answer)

    assert world.stored == [1000]
    assert ask(world).endpoint == "historicalTrades"
    world.say([told(each) for each in (1000, 1001, 1002, 1003, 1004)])
    assert world.stored == [1000, 1001, 1002, 1003, 1004]


def test_rest_that_contradicted_the_stream_is_not_believed(world):
    world.route.leaving = True
    ask(world)
    world.say([told(1000, price="77")])  # another venue
    for _ in range(12):
        if ask(world).endpoint == "aggTrades":
            world.say([latest(trade_id=40, age_seconds=-60)])
        else:
            world.answer()
    assert world.stored == [1000]


def test_a_stream_that_goes_on_tells_it_itself(world):
    lag(world)
    for _ in range(6):
        assert ask(world).endpoint == "historicalTrades"
        world.answer(1000)
    assert world.stored == [1000]


@pytest.fixture
def strange(tmp_path):
    """A world with a REST interface of an unknown host, and a second stream beside the first."""
    world = World(tmp_path, same_venue=False)
    world.turn()
    world.say({"serverTime": round(UNIX * 1e6)})
    world.hear(1000, 1004)
    world.route.leaving = True
    return world


def beside(world, *, source="live", leaving=False) -> None:
    """Let a second stream have told trade 77."""
    route = world.routes.make("trade", "ETHUSDT")
    world.routes.add(route)
    world.heard.add(route)
    event = msgspec.structs.replace(
        world.route.decode(trade(t=77), NOW_US), symbol="ETHUSDT", source=source
    )
    route.latest, route.leaving = event, leaving


def lag_for_good(world, compare=None) -> list[str]:
    """Have REST know nothing of the gap, but the latest trade, of new ids; return what it told."""
    asked, request = [], ask(world)
    for _ in range(3 * LAGGING_FIRST):
        answer: object = []
        if request.endpoint == "aggTrades":
            answer = [latest(trade_id=40, age_seconds=-60)]
            asked.append("latest")
        elif parameters(request)["symbol"] == "ETHUSDT":
            answer = compare
            asked.append("comparison")
        following = world.say(answer)
        if not world.backfiller.open_gaps:
            break
        request = following or ask(world)
    return asked


def test_rest_of_an_unknown_host_is_not_believed_before_anything_was_compared(strange):
    assert lag_for_good(strange) == []
    assert strange.stored == [1000]


def test_rest_of_an_unknown_host_is_compared_with_another_stream_first(strange):
    beside(strange)
    assert lag_for_good(strange, [told(77)]) == ["comparison", "latest"]
    assert strange.stored == [1000, Gap(1001, 1003), 1004]
    assert strange.stored[1].reason == NEW_EPOCH


@pytest.mark.parametrize("compare", [[told(77, price="77")], [], [{"id": "x"}], {"no": "page"}])
def test_rest_that_tells_something_else_of_the_other_stream_is_not_believed(strange, compare):
    beside(strange)
    assert set(lag_for_good(strange, compare)) == {"comparison"}
    assert strange.stored == [1000]


def test_what_rest_told_itself_is_no_comparison(strange):
    beside(strange, source="backfill")
    assert lag_for_good(strange) == []


def test_a_stream_that_leaves_too_is_no_comparison(strange):
    beside(strange, leaving=True)
    assert lag_for_good(strange) == []


def test_each_answer_needs_a_comparison_of_its_own(strange):
    beside(strange)
    request = ask(strange)
    for _ in range(3):
        while parameters(request)["symbol"] != "ETHUSDT":
            request = strange.say([]) or ask(strange)
        request = strange.say([told(77)]) or ask(strange)
        assert request.endpoint == "aggTrades"
        request = strange.say([latest(trade_id=1010, age_seconds=0)]) or ask(strange)
        assert request.endpoint != "aggTrades"
    assert strange.stored == [1000]
