"""The driver of repairs: what it asks, in which order, and what it makes of the answers."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from streamer.availability import Availability
from streamer.config import RepairConfig
from streamer.data.rest_page import RestRequest
from streamer.errors import FrameRejected
from streamer.feed_counters import FeedCounters
from streamer.messages import Backfill
from streamer.order.sequence import Gap
from streamer.order.sequences import Waiting
from streamer.repair.backfiller import CLOCK_RETRY_SECONDS, TROUBLE_REPEAT_SECONDS, Backfiller
from streamer.repair.gap_tracker import REFUSALS, REFUSED_SECONDS
from streamer.repair.rest_requests import RestFailure, RestResponse
from streamer.repair.staleness import UNSURE_SECONDS, StalenessProbe
from streamer.repair.weight import RESERVED_SHARE
from streamer.routes import Routes
from tests.unit.streamer.payloads import KLINE, NOW_US, TRADE, frame, trade

UNIX = NOW_US / 1e6
SILENT_AFTER = 30.0


class Exchange:
    """Answers by hand: what was asked, and what the answer shall be."""

    def __init__(self) -> None:
        self.asked: list[RestRequest] = []
        self.outcome: RestResponse | RestFailure | None = None

    def start(self, request: RestRequest) -> None:
        self.asked.append(request)

    def take(self) -> RestResponse | RestFailure | None:
        outcome, self.outcome = self.outcome, None
        return outcome

    def close(self) -> None:
        pass


class World:
    """One symbol's trades, a REST interface, and a backfiller between them."""

    def __init__(self, directory, stream="trade", *, same_venue=True, **config) -> None:
        self.routes = Routes(
            (stream,), ("BTCUSDT",), gap_wait_seconds=0.5, waiting=Waiting(100, directory)
        )
        self.route = self.routes.by_name[f"btcusdt@{stream}"]
        self.counters = FeedCounters()
        self.availability = Availability(self.routes, self.counters)
        self.listed: list[str] = []
        self.availability.on_listed = lambda routes, _: self.listed.extend(
            route.name for route in routes
        )
        self.exchange = Exchange()
        self.stored: list[object] = []
        self.refused: list[tuple[str, str]] = []
        self.silent_seconds = 0.0
        self.now = self.set_by = 0.0
        self.backfiller = Backfiller(
            RepairConfig(**config),
            self.routes,
            self.exchange,
            lambda route, released: self.keep(released),
            self.refuse,
            self.counters,
            StalenessProbe(SILENT_AFTER),
            self.availability,
            silent_seconds=lambda route, now: self.silent_seconds,
            unix_time=lambda: UNIX + self.now + self.set_by,
            same_venue=same_venue,
        )

    def hear(self, *ids: int) -> None:
        for event_id in ids:
            event = self.route.decode(trade(t=event_id), NOW_US)
            sequence = self.route.sequence
            if sequence.advance(event_id):
                self.stored.append(event_id)
                self.route.latest = event
            else:
                self.keep(sequence.take(event_id, (event, NOW_US), self.now))
                self.routes.hold(self.route)

    def keep(self, released) -> None:
        for item in released:
            self.stored.append(item if isinstance(item, Gap) else item[0].id)
            if not isinstance(item, Gap):
                self.route.latest = item[0]

    def refuse(self, route, content, error_type, error, now) -> None:
        self.refused.append((error_type, error))

    def turn(self, seconds: float = 0.0, *, accepting: bool = True) -> RestRequest | None:
        """Let time pass; return the question that was asked in this turn, if one was."""
        self.now += seconds
        before = len(self.exchange.asked)
        self.backfiller.turn(self.now, accepting=accepting)
        return self.exchange.asked[-1] if len(self.exchange.asked) > before else None

    def answer(self, *ids: int, **other: object) -> RestRequest | None:
        """Tell of trades with these ids, as the stream does; or something else."""
        return self.say([told(each, **other) for each in ids])

    def say(self, body: object, seconds: float = 0.0) -> RestRequest | None:
        self.exchange.outcome = RestResponse(
            json.dumps(body).encode(), UNIX + self.now - seconds, UNIX + self.now
        )
        return self.turn()

    def notices(self, kind: str) -> list[dict[str, object]]:
        return [dict(each.detail) for each in self.counters.notices if each.kind == kind]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    assert made.turn() == RestRequest("time", (), 1)  # the first thing asked, as nothing is urgent
    made.say({"serverTime": round(UNIX * 1e6)})
    return made


def parameters(request: RestRequest | None) -> dict[str, str]:
    assert request is not None
    return dict(request.parameters)


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
    assert world.backfiller.progress == Backfill(gaps=1, ids_left=3, ids_done=0)

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


def test_one_question_at_a_time(world):
    world.hear(10, 14)
    assert world.turn(0.6) is not None
    assert world.turn(5.0) is None


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


def test_trouble_is_counted_each_time_and_told_once_a_minute(world):
    world.hear(10, 14)
    world.turn(0.6)
    while world.now < TROUBLE_REPEAT_SECONDS:
        if world.exchange.outcome is None:
            world.exchange.outcome = RestFailure("unavailable", "502 Bad Gateway")
        world.turn(1.0)

    assert world.counters.rest_errors["unavailable"] > 3
    assert len(world.notices("rest_trouble")) == 1


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
    assert 0 <= 6000 * 0.5 * (1 - RESERVED_SHARE) - used < 25
    assert world.now < 60.0  # the minute is not over, and its weight is spent
    world.silent_seconds = world.now - silent_since + 20.0
    assert world.turn(20.0) == RestRequest("aggTrades", (("symbol", "BTCUSDT"), ("limit", "1")), 4)


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
    world.backfiller._silent_seconds = lambda route, now: 0.0 if route is heard else 31.0
    assert world.turn(1.0).endpoint == "aggTrades"
    world.exchange.outcome = UNKNOWN
    world.turn()

    assert world.availability.streams.reason("btcusdt@trade") is None
    assert world.backfiller.silences.finding("btcusdt@trade", 31.0, world.now) == "unconfirmed"


def test_a_gap_of_an_unknown_symbol_is_declared_with_that_reason(world):
    world.hear(10, 14)
    world.turn(0.6)
    while world.backfiller.open_gaps and world.now < 200:
        world.exchange.outcome = RestFailure("unknown_symbol", "historicalTrades: HTTP 400")
        world.turn(1.0)

    assert REFUSED_SECONDS < world.now < 2 * REFUSED_SECONDS
    assert world.stored == [10, Gap(11, 13), 14]
    assert world.stored[1].reason == "unknown_symbol"


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


def test_the_clocks_offset_is_that_of_the_middle_of_the_question(world):
    world.now = 700.0  # longer than clock_every
    assert world.turn() == RestRequest("time", (), 1)
    world.say({"serverTime": round((UNIX + 700.0 - 0.1 + 2.5) * 1e6)}, seconds=0.2)

    assert world.counters.clock_offset_seconds == pytest.approx(2.5, abs=1e-3)


def test_an_answer_that_took_long_says_nothing_about_the_clock(tmp_path):
    world = World(tmp_path)
    world.turn()
    world.say({"serverTime": round(UNIX * 1e6)}, seconds=3.0)

    assert world.counters.clock_offset_seconds is None
    assert world.turn(CLOCK_RETRY_SECONDS - 1) is None
    assert world.turn(2.0) == RestRequest("time", (), 1)


def told(trade_id: int, **other: object) -> dict[str, object]:
    """A trade as REST tells it, the same as the stream does."""
    trade = {
        "id": trade_id,
        "price": TRADE["p"],
        "qty": TRADE["q"],
        "time": TRADE["T"],
        "isBuyerMaker": TRADE["m"],
    }
    return {**trade, **other}


def latest(*, trade_id: int, age_seconds: float) -> dict[str, object]:
    """The latest aggregate trade, which ends with `trade_id`."""
    time_us = round((UNIX + 1.0 - age_seconds) * 1e6)
    return {
        "a": 7,
        "p": "1.5",
        "q": "2",
        "f": trade_id,
        "l": trade_id,
        "T": time_us,
        "m": True,
    }


MINUTE = 60_000_000
"""In microseconds; candle n opens n minutes after the first, the 20th before now."""
FIRST_OPEN = KLINE["k"]["t"] - 20 * MINUTE


class Candles(World):
    """One symbol's candles of a minute."""

    def __init__(self, directory, **config) -> None:
        super().__init__(directory, "kline_1m", **config)
        assert self.turn() == RestRequest("time", (), 1)
        self.say({"serverTime": round(UNIX * 1e6)})

    def hear(self, *numbers: int, closed: bool = True) -> None:
        for number in numbers:
            begin = FIRST_OPEN + number * MINUTE
            candle = {**KLINE["k"], "t": begin, "T": begin + MINUTE - 1, "x": closed}
            payload = frame({**KLINE, "E": begin + MINUTE + 5, "k": candle}, self.route.name)
            arrival = self.route.decode(payload, NOW_US), NOW_US
            self.keep(self.route.sequence.take(arrival[0].id, arrival, self.now))
            self.routes.hold(self.route)

    def keep(self, released) -> None:
        for item in released:
            if isinstance(item, Gap):
                self.stored.append(item)
            else:
                self.stored.append((item[0].id - FIRST_OPEN) // MINUTE)
                self.route.latest = item[0]

    def answer(self, *numbers: int) -> RestRequest | None:
        rows = []
        for number in numbers:
            begin = FIRST_OPEN + number * MINUTE
            numbers_ = [KLINE["k"][key] for key in "ohlcv"]
            rows.append([begin, *numbers_, begin + MINUTE - 1, "15", 90, "4", "6", "0"])
        return self.say(rows)


@pytest.fixture
def candles(tmp_path):
    return Candles(tmp_path)


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
