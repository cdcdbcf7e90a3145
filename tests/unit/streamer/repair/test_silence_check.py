"""What is asked about silent streams, and what the answers mean."""

from __future__ import annotations

from itertools import pairwise

from streamer.data.rest_page import RestRequest
from streamer.repair.rest_requests import RestFailure
from streamer.repair.staleness import UNSURE_SECONDS
from tests.unit.streamer.repair.exchange_by_hand import SILENT_AFTER, UNIX, latest, parameters

UNKNOWN = RestFailure("unknown_symbol", "aggTrades: HTTP 400: Invalid symbol.")


def test_an_unknown_symbol_is_named_once_asked_about_ever_more_rarely_and_pauses_nothing(
    world, caplog
):
    """A day of it: what comes first, hourly in the end, and as soon as it is listed."""
    silences, asked_at = world.backfiller.silences, []
    while world.now < 86_400.0:
        world.silent_seconds = world.now % (4 * 3600)  # a rotation begins it anew
        request = world.turn(1.0 if world.now < 300 else 10.0)
        if request is not None and request.endpoint == "aggTrades":
            asked_at.append(world.now)
            world.exchange.outcome = UNKNOWN
            world.turn()
            assert not world.backfiller._gap_tracker.paused(world.now)
        elif request is not None:
            world.say({"serverTime": round((UNIX + world.now) * 1e6)})
        assert not silences.blames("btcusdt@trade", world.silent_seconds, world.now)

    pauses = [after - before for before, after in pairwise(asked_at)]
    assert SILENT_AFTER <= asked_at[0] < SILENT_AFTER + 2
    assert 60 <= pauses[0] < 62
    assert pauses == sorted(pauses)
    assert 3600 <= pauses[-1] <= 3610
    assert len(asked_at) < 35
    assert caplog.text.count("does not know the symbol BTCUSDT") == 1
    [notice] = world.notices("stream_unavailable")
    assert notice["reason"] == "unknown_symbol"
    assert world.notices("rest_trouble") == []
    assert world.counters.rest_errors["unknown_symbol"] == len(asked_at)

    world.silent_seconds = 86_400.0
    while (request := world.turn(10.0)) is None or request.endpoint != "aggTrades":
        if request is not None:
            world.say({"serverTime": round((UNIX + world.now) * 1e6)})
    assert world.availability.streams.reason("btcusdt@trade") == "unknown_symbol"
    world.say([latest(trade_id=5, age_seconds=3.0)])
    assert world.listed == ["btcusdt@trade"]
    assert world.availability.streams.reason("btcusdt@trade") is None
    assert not silences.blames("btcusdt@trade", world.silent_seconds, world.now)
    assert len(world.notices("stream_available")) == 1


def test_a_symbol_is_not_unknown_while_one_of_its_streams_speaks(world):
    heard = world.routes.make("bookTicker", "BTCUSDT")
    world.routes.add(heard)
    world.silent_seconds = SILENT_AFTER + 1
    world.heard.add(heard)
    assert world.turn(1.0).endpoint == "aggTrades"
    world.exchange.outcome = UNKNOWN
    world.turn()

    assert world.availability.streams.reason("btcusdt@trade") is None
    assert world.backfiller.silences.finding("btcusdt@trade", 31.0, world.now) == "unconfirmed"


def test_a_stream_that_never_spoke_is_blamed_when_there_is_news(world):
    world.silent_seconds = SILENT_AFTER + 1
    assert world.turn(1.0).endpoint == "aggTrades"
    world.say([latest(trade_id=5, age_seconds=5.0)])

    silences = world.backfiller.silences
    assert silences.blames("btcusdt@trade", world.silent_seconds, world.now)


def test_while_rest_is_doubted_it_says_nothing_about_silence(world):
    world.hear(10, 14)
    world.turn(0.6)
    world.answer(10, 11, 12, 13, 14, price="62946.1")
    world.silent_seconds = SILENT_AFTER + 1
    for _ in range(10):
        request = world.turn(0.2)
        if request is not None and request.endpoint == "aggTrades":
            world.say([latest(trade_id=12, age_seconds=UNSURE_SECONDS + 1)])
            break

    silences = world.backfiller.silences
    assert silences.finding("btcusdt@trade", world.silent_seconds, world.now) == "unconfirmed"


def test_a_silence_is_looked_at_and_a_quiet_symbol_found_quiet(world):
    world.hear(10)
    world.silent_seconds = SILENT_AFTER + 1

    request = world.turn(1.0)
    assert request == RestRequest("aggTrades", (("symbol", "BTCUSDT"), ("limit", "1")), 4)
    world.say([latest(trade_id=10, age_seconds=SILENT_AFTER - 5)])  # clocks differ, ids do not

    silences = world.backfiller.silences
    assert silences.finding("btcusdt@trade", world.silent_seconds, world.now) == "quiet"


def test_news_that_a_silent_stream_did_not_bring_is_fetched_and_blames_the_connection(world):
    world.hear(10)
    world.silent_seconds = SILENT_AFTER + 1
    world.turn(1.0)

    request = world.say([latest(trade_id=12, age_seconds=UNSURE_SECONDS + 1)])

    silences = world.backfiller.silences
    assert silences.blames("btcusdt@trade", world.silent_seconds, world.now)
    assert parameters(request or world.turn(0.1))["fromId"] == "10"


def test_very_young_news_may_be_on_its_way(world):
    world.hear(10)
    world.silent_seconds = SILENT_AFTER + 1
    world.turn(1.0)

    world.say([latest(trade_id=12, age_seconds=UNSURE_SECONDS / 2)])

    silences = world.backfiller.silences
    assert silences.finding("btcusdt@trade", world.silent_seconds, world.now) == "unconfirmed"
    assert world.backfiller.open_gaps == 0


def test_a_silent_kline_is_judged_by_the_times_of_trades(candles):
    candles.hear(1)
    candles.silent_seconds = 60.0
    request = candles.turn(1.0)
    assert request is not None
    assert request.endpoint == "aggTrades"

    trade_us = round((UNIX + candles.now - 30) * 1e6)
    row = {"a": 7, "p": "1", "q": "1", "f": 1, "l": 2, "T": trade_us, "m": True}
    candles.say([row])

    finding = candles.backfiller.silences.finding(candles.route.name, 60.0, candles.now)
    assert finding == "news"
    assert candles.backfiller.open_gaps == 0
