"""Which pages of REST are believed."""

from __future__ import annotations

import pytest

from streamer.data.rest_page import RestRequest
from streamer.order.sequence import Gap
from streamer.repair.gap_tracker import REFUSALS, REFUSED_SECONDS
from streamer.repair.staleness import UNSURE_SECONDS
from tests.unit.streamer.payloads import NOW_US, TRADE
from tests.unit.streamer.repair.exchange_by_hand import (
    SILENT_AFTER,
    UNIX,
    Candles,
    World,
    latest,
    parameters,
    told,
)


def test_a_page_in_another_unit_is_trouble_and_declares_nothing(world):
    world.hear(10, 12)
    world.turn(0.6)

    world.answer(11, time=NOW_US // 1000)

    assert world.stored == [10]
    assert world.counters.rest_errors == {"unavailable": 1}


OTHER_VENUE = [{"price": "62946.1"}, {"qty": "9"}, {"time": NOW_US + 1}, {"isBuyerMaker": False}]


@pytest.mark.parametrize("other", OTHER_VENUE)
def test_nothing_is_taken_from_another_venue_and_the_gap_is_declared_with_its_reason(world, other):
    world.hear(10, 14)
    world.turn(0.6)
    while world.backfiller.open_gaps and world.now < 200:
        world.answer(10, 11, 12, 13, 14, **other)
        world.turn(1.0)

    assert REFUSED_SECONDS < world.now < 2 * REFUSED_SECONDS
    assert world.stored == [10, Gap(11, 13), 14]
    assert world.stored[1].reason == "misfit"
    assert world.route.repaired_total == 0
    assert world.counters.rest_errors["misfit"] >= REFUSALS
    assert {error_type for error_type, _ in world.refused} == {"misfit"}


def test_a_venue_that_is_right_again_repairs(world):
    world.hear(10, 14)
    world.turn(0.6)
    world.answer(10, 11, 12, 13, 14, price="62946.1")
    assert world.stored == [10]

    world.turn(1.0)
    world.answer(10, 11, 12, 13, 14)

    assert world.stored == [10, 11, 12, 13, 14]


@pytest.mark.parametrize("seconds", [-3600, 200])
def test_trades_out_of_time_between_their_neighbours_are_refused(world, seconds):
    world.hear(10, 14)
    world.turn(0.6)
    page = [told(10), told(11, time=TRADE["T"] + seconds * 1_000_000), told(14)]

    world.say(page)

    assert world.stored == [10]
    assert world.counters.rest_errors == {"misfit": 1}


def test_of_an_unknown_host_something_the_stream_told_is_compared_first(tmp_path):
    world = World(tmp_path, same_venue=False)
    world.hear(1)
    world.route.latest = None  # it was forwarded by an earlier run
    world.hear(5000)
    request = world.turn(0.6)
    assert parameters(request) == {"symbol": "BTCUSDT", "fromId": "5000", "limit": "1"}

    request = world.answer(5000)
    if request == RestRequest("time", (), 1):
        request = world.say({"serverTime": round((UNIX + world.now) * 1e6)})
    assert parameters(request)["fromId"] == "2"
    world.answer(*range(2, 1002))
    assert world.stored == [*range(1, 1002)]


def test_of_an_unknown_host_a_short_page_without_what_the_stream_told_is_asked_for_again(tmp_path):
    world = World(tmp_path, same_venue=False)
    world.hear(1)
    world.route.latest = None  # it was forwarded by an earlier run
    world.hear(50)
    assert parameters(world.turn(0.6))["fromId"] == "50"
    request = world.answer(50)
    if request == RestRequest("time", (), 1):
        request = world.say({"serverTime": round((UNIX + world.now) * 1e6)})
    assert parameters(request)["fromId"] == "2"

    world.answer(2, 3, 4, price="1.5")  # of another venue since a moment
    assert world.stored == [1]
    while (request := world.turn(0.5)) is None or request.endpoint != "historicalTrades":
        assert world.now < 60
    world.answer(*range(2, 51))
    assert world.stored == [*range(1, 51)]


def test_what_is_only_compared_shows_no_ids_not_to_exist(tmp_path):
    world = World(tmp_path, same_venue=False)

    def page(request: RestRequest | None) -> dict[str, str]:
        while request is None or request.endpoint != "historicalTrades":
            assert world.now < 60
            if request is not None:
                request = world.say({"serverTime": round((UNIX + world.now) * 1e6)})
            else:
                request = world.turn(0.5)
        return parameters(request)

    world.hear(1)
    world.route.latest = None  # it was forwarded by an earlier run
    world.hear(50)
    asked = page(None)
    for _ in range(2):  # REST tells the same, then it is another venue's for a moment
        assert (asked["fromId"], asked["limit"]) == ("50", "1")
        assert page(world.answer(50))["fromId"] == "2"
        asked = page(world.answer(*range(5_000_000, 5_000_050), time=TRADE["T"] - 10**8))
    assert world.stored == [1]
    assert page(world.answer(50))["fromId"] == "2"
    world.answer(*range(2, 51))
    assert world.stored == [*range(1, 51)]


def test_of_an_unknown_host_nothing_is_taken_while_nothing_can_be_compared(tmp_path):
    world = World(tmp_path, same_venue=False, give_up_after=5.0)
    world.hear(10)
    world.route.latest = None
    world.silent_seconds = SILENT_AFTER + 1
    while world.now < 30.0:
        request = world.turn(0.5)
        if request is None:
            continue
        if request.endpoint == "aggTrades":
            world.say([latest(trade_id=900, age_seconds=UNSURE_SECONDS + 1)])
        elif request.endpoint == "historicalTrades":
            world.answer(*range(11, 901))

    assert world.stored == [10]  # and no gap up to 900 is declared, which nobody knows of
    assert world.route.sequence.last_id == 10


def gap_question(world, request=None) -> dict[str, str]:
    """Answer questions for the time, and for silences with news, until a gap is asked about."""
    while request is None or request.endpoint != "historicalTrades":
        assert world.now < 120
        if request is None:
            request = world.turn(0.5)
        elif request.endpoint == "time":
            request = world.say({"serverTime": round((UNIX + world.now) * 1e6)})
        else:
            request = world.say([latest(trade_id=900, age_seconds=UNSURE_SECONDS + 1)])
    return parameters(request)


def trusted(tmp_path):
    """REST of an unknown host, which has told what the stream told; then the streamer restarts."""
    world = World(tmp_path, same_venue=False)
    world.turn()
    world.say({"serverTime": round(UNIX * 1e6)})
    world.hear(10, 12)
    gap_question(world)
    world.answer(10, 11, 12)
    assert world.stored == [10, 11, 12]
    world.route.latest = None
    return world


def test_of_an_unknown_host_nothing_is_taken_before_the_stream_has_spoken(tmp_path):
    world = trusted(tmp_path)
    world.silent_seconds = SILENT_AFTER + 1
    request = None
    for _ in range(4):
        assert gap_question(world, request)["fromId"] == "13"
        # Of another venue since REST was compared:
        request = world.answer(*range(13, 901), price="1.5")
    assert world.stored == [10, 11, 12]

    world.hear(901)
    gap_question(world, request)
    world.answer(*range(13, 902))
    assert world.stored == [*range(10, 902)]


def test_of_an_unknown_host_a_page_without_neighbours_follows_a_comparison(tmp_path):
    world = trusted(tmp_path)
    world.hear(5000)

    assert gap_question(world)["fromId"] == "5000"
    request = world.answer(5000)
    assert gap_question(world, request)["fromId"] == "13"
    request = world.answer(*range(13, 1013))

    assert world.stored[-1] == 1012
    assert gap_question(world, request)["fromId"] == "1012"  # below what is asked for


def test_what_waits_on_disk_right_above_a_gap_keeps_no_page_from_being_believed(tmp_path):
    world = trusted(tmp_path)
    world.hear(*range(200, 320), 150)  # a hundred in memory, then on disk

    assert gap_question(world)["fromId"] == "200"
    request = world.answer(200)
    assert gap_question(world, request)["fromId"] == "13"
    world.answer(*range(13, 150))

    assert world.stored == [*range(10, 151)]


def test_of_an_unknown_host_a_gap_as_long_as_a_page_is_filled(tmp_path):
    world = trusted(tmp_path)
    world.hear(1013)  # the page ends one id below it

    assert gap_question(world)["fromId"] == "1013"
    request = world.answer(1013)
    assert gap_question(world, request)["fromId"] == "13"
    world.answer(*range(13, 1013))

    assert world.stored == [*range(10, 1014)]


def test_candles_next_to_one_without_trades_are_as_believed_as_the_venue(tmp_path):
    world = Candles(tmp_path, same_venue=False)
    world.hear(0)
    world.route.latest = None  # it was forwarded by an earlier run
    world.backfiller._gap_filler._page_check.trusted = True  # by what another stream told
    empty = {"v": "0.0", "q": "0.0", "V": "0.0", "Q": "0.0", "n": 0, "f": -1, "L": -1}
    world.hear(4, closed=False, **empty)
    while (request := world.turn(0.5)) is None or request.endpoint != "klines":
        assert world.now < 60

    world.answer(1, 2, 3, 4)

    assert world.stored[:4] == [0, 1, 2, 3]
