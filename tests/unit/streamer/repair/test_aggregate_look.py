"""The cheaper question for small gaps, where the minute's weight is not enough for all."""

from __future__ import annotations

import pytest

from streamer.data.rest_page import RestRequest
from streamer.order.sequence import Gap
from streamer.repair.rest_requests import RestFailure
from tests.unit.streamer.payloads import NOW_US, TRADE, frame
from tests.unit.streamer.repair.exchange_by_hand import UNIX, World, parameters, told


@pytest.fixture
def world(tmp_path):
    """Weight for one page, and two gaps: another symbol's takes a page of its own."""
    return scarce(tmp_path, same_venue=True)


@pytest.fixture
def unknown(tmp_path):
    """The same, of a host that may be of any venue."""
    return scarce(tmp_path, same_venue=False)


def scarce(directory, *, same_venue: bool) -> World:
    made = World(directory, weight_per_minute=50, weight_share=1.0, same_venue=same_venue)
    made.turn()
    made.say({"serverTime": round(UNIX * 1e6)})
    other = made.routes.make("trade", "ETHUSDT")
    made.routes.add(other)
    for event_id in (1, 50):
        payload = frame({**TRADE, "s": "ETHUSDT", "t": event_id}, other.name)
        arrival = other.decode(payload, NOW_US), NOW_US
        other.sequence.take(event_id, arrival, made.now)
    made.routes.hold(other)
    return made


def one(trade_id: int, last_id: int | None = None, **other: object) -> dict[str, object]:
    return {
        "a": trade_id,
        "p": TRADE["p"],
        "q": TRADE["q"],
        "f": trade_id,
        "l": last_id or trade_id,
        "T": TRADE["T"],
        "m": TRADE["m"],
        **other,
    }


def look(world: World) -> RestRequest:
    world.hear(10, 13, 14)
    request = world.turn(0.6)
    assert request is not None
    assert request.endpoint == "aggTrades"
    return request


def takes_nothing_but_trades(world: World, page: object) -> None:
    """Nothing of an answer to the cheaper question is stored; the trades are asked for then."""
    look(world)
    world.say(page)
    assert world.stored == [10]

    ask_for_trades(world)
    world.say([told(each) for each in range(10, 14)])
    assert world.stored == [10, 11, 12, 13, 14]


def test_the_aggregates_of_its_time_close_a_gap_of_single_trades(world):
    request = look(world)

    time = str(TRADE["T"] // 1000)
    assert parameters(request) == {
        "symbol": "BTCUSDT", "startTime": time, "endTime": time, "limit": "1000"
    }  # fmt: skip
    assert request.weight == 4
    world.say([one(9), one(10), one(11), one(12), one(13), one(14)])
    assert world.stored == [10, 11, 12, 13, 14]
    assert world.route.latest.source == "live"
    assert world.route.repaired_total == 2
    [notice] = world.notices("gap_repaired")
    assert notice["repaired"] == 2


@pytest.mark.parametrize(
    "page",
    [
        [one(10), one(11, 12), one(13)],  # the quantities of two are not told
        [one(10), one(11), one(13)],
        [],
        [one(10), one(11, q="0"), one(12), one(13)],
        [one(10, p="62946.1"), one(11), one(12), one(13)],  # another venue's
        [one(10), one(11, T=TRADE["T"] - 3_600_000_000), one(12), one(13)],
        {"code": -1},
    ],
)
def test_of_anything_else_nothing_is_taken_and_the_trades_are_asked_for(world, page):
    takes_nothing_but_trades(world, page)


def test_what_a_connection_brings_meanwhile_is_left_to_it(world):
    look(world)
    world.hear(11, 12)
    world.say([one(10), one(11), one(12), one(13)])
    assert world.stored == [10, 11, 12, 13, 14]
    assert world.route.repaired_total == 0


def test_a_failed_look_is_followed_by_the_trades_and_no_gap_is_declared(world):
    look(world)
    world.exchange.outcome = RestFailure("refused", "HTTP 400")
    world.turn()
    ask_for_trades(world)
    assert not any(isinstance(each, Gap) for each in world.stored)


def test_a_large_gap_is_asked_for_by_trades(world):
    world.hear(10, 40)
    assert world.turn(0.6).endpoint == "historicalTrades"


def test_an_unknown_host_is_believed_by_an_answer_with_the_trade_above_the_gap(unknown):
    look(unknown)
    unknown.say([one(9), one(11), one(12), one(13)])
    assert unknown.stored == [10, 11, 12, 13, 14]


def test_of_an_unknown_host_the_trade_below_the_gap_is_enough(unknown):
    look(unknown)
    unknown.say([one(10), one(11), one(12), one(13, 14)])
    assert unknown.stored == [10, 11, 12, 13, 14]


@pytest.mark.parametrize(
    "page",
    [
        [one(11), one(12)],  # no trade of the stream's is in it
        [one(11), one(12), one(13, 14)],
        [one(11), one(12), one(13, p="62946.1")],
    ],
)
def test_of_an_unknown_host_nothing_is_taken_without_a_trade_of_the_streams(unknown, page):
    takes_nothing_but_trades(unknown, page)


def test_what_rest_told_before_of_an_unknown_host_is_no_reason_to_believe_aggregates(unknown):
    unknown.backfiller._gap_filler._page_check.trusted = True  # by a page, a moment ago
    look(unknown)
    unknown.backfiller._gap_filler._gap_tracker.open[unknown.route].is_compared = True
    unknown.say([one(11), one(12)])
    assert unknown.stored == [10]


def test_while_the_weight_is_enough_for_all_pages_they_are_the_answer(tmp_path):
    world = World(tmp_path)
    world.hear(10, 13)
    assert world.turn(0.6).endpoint == "historicalTrades"


def test_after_a_restart_the_time_is_that_of_the_last_record(world):
    world.route.resumed_us = TRADE["T"]
    world.route.sequence.start_after(10)
    world.hear(13, 14)  # the first that is live waits, nothing was forwarded yet
    request = world.turn(0.6)
    assert parameters(request)["startTime"] == str(TRADE["T"] // 1000 - 10_000)


def ask_for_trades(world: World) -> None:
    """Let time pass until the trades of the gap are asked for."""
    while True:
        request = world.exchange.asked[-1] if world.exchange.asked else None
        is_page = request is not None and request.endpoint == "historicalTrades"
        if is_page and parameters(request)["symbol"] == "BTCUSDT":
            return
        assert world.now < 300
        if world.turn(1.0) is not None:
            continue
        world.say([])
