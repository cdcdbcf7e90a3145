"""When the exchange is asked which symbols trade, and what the answers change."""

from __future__ import annotations

import json

import pytest

from streamer.feed_counters import FeedCounters
from streamer.listing.exchange_info import REQUEST
from streamer.listing.listing_file import ListingFile
from streamer.listing.symbol_watch import RETRY_KNOWN_SECONDS, RETRY_SECONDS, SymbolWatch
from streamer.repair.rest_requests import RestFailure, RestResponse

EVERY = 3600.0


class Exchange:
    """Answers by hand."""

    def __init__(self) -> None:
        self.asked = 0
        self.outcome: RestResponse | RestFailure | None = None

    def start(self, request) -> None:
        assert request == REQUEST
        self.asked += 1

    def take(self):
        outcome, self.outcome = self.outcome, None
        return outcome

    def close(self) -> None:
        pass

    def lists(self, *symbols: str) -> None:
        body = {"symbols": [{"symbol": each, "status": "TRADING"} for each in symbols]}
        self.outcome = RestResponse(json.dumps(body).encode(), 0.0, 0.0)


@pytest.fixture
def exchange():
    return Exchange()


@pytest.fixture
def make(tmp_path, exchange):
    def watch(*entries: str) -> SymbolWatch:
        counters = FeedCounters()
        made = SymbolWatch(entries, lambda: exchange, ListingFile(tmp_path), counters, EVERY)
        made.counters = counters  # type: ignore[attr-defined]
        return made

    return watch


def test_names_alone_ask_nobody(make, exchange):
    watch = make("BTCUSDT", "ETHUSDT")
    assert watch.selected == ("BTCUSDT", "ETHUSDT")
    assert not watch.is_waiting
    assert not watch.turn(0.0)
    assert exchange.asked == 0


def test_patterns_ask_at_once_and_each_hour(make, exchange):
    watch = make("*USDT")
    assert watch.is_waiting
    assert watch.selected == ()
    watch.turn(0.0)
    exchange.lists("BTCUSDT", "ETHBTC")
    assert watch.turn(1.0)
    assert watch.selected == ("BTCUSDT",)
    assert not watch.is_waiting
    watch.turn(RETRY_SECONDS)
    assert exchange.asked == 1
    watch.turn(RETRY_SECONDS + 1.0)  # the first answer is confirmed by a second one
    exchange.lists("BTCUSDT", "ETHBTC")
    watch.turn(RETRY_SECONDS + 2.0)
    watch.turn(RETRY_SECONDS + EVERY)
    assert exchange.asked == 2
    watch.turn(RETRY_SECONDS + 2.0 + EVERY)
    exchange.lists("BTCUSDT", "ETHBTC", "NEWUSDT")
    assert watch.turn(RETRY_SECONDS + EVERY + 3.0)
    assert watch.selected == ("BTCUSDT", "NEWUSDT")


def test_while_the_exchange_is_away_what_was_known_last_is_used(make, exchange, caplog):
    watch = make("*USDT")
    watch.turn(0.0)
    exchange.lists("BTCUSDT")
    watch.turn(1.0)
    watch.turn(RETRY_SECONDS + 1.0)
    exchange.lists("BTCUSDT")
    watch.turn(RETRY_SECONDS + 1.0)

    again = make("*USDT", "!ETH*")
    assert again.selected == ("BTCUSDT",)
    for number in range(3):
        again.turn(number * RETRY_KNOWN_SECONDS)
        exchange.outcome = RestFailure("unavailable", "exchangeInfo: refused")
        assert not again.turn(number * RETRY_KNOWN_SECONDS)
        assert not again.turn((number + 1) * RETRY_KNOWN_SECONDS - 1)
    assert exchange.asked == 5
    assert again.selected == ("BTCUSDT",)
    assert caplog.text.count("known last") == 1
    assert again.counters.rest_errors["unavailable"] == 3


def test_where_nothing_is_known_it_says_so_and_asks_again_sooner(make, exchange, caplog):
    watch = make("*USDT", "BNBBTC")
    watch.turn(0.0)
    exchange.outcome = RestFailure("unavailable", "exchangeInfo: refused")
    watch.turn(0.0)
    assert watch.selected == ("BNBBTC",)
    assert "not recorded until the exchange lists them" in caplog.text
    watch.turn(RETRY_SECONDS)
    assert exchange.asked == 2
    exchange.outcome = RestFailure("throttled", "429", 120.0)
    watch.turn(RETRY_SECONDS)
    watch.turn(RETRY_SECONDS + 119.0)
    assert exchange.asked == 2


@pytest.mark.parametrize("body", [b"{}", b"<html>", b'{"symbols":[]}'])
def test_strange_answers_change_nothing(make, exchange, body):
    watch = make("*USDT")
    watch.turn(0.0)
    exchange.lists("BTCUSDT")
    watch.turn(1.0)
    watch.turn(EVERY + 1.0)
    exchange.outcome = RestResponse(body, 0.0, 0.0)
    assert not watch.turn(EVERY + 2.0)
    assert watch.selected == ("BTCUSDT",)
    assert len([each for each in watch.counters.notices if each.kind == "rest_trouble"]) == 1


def test_who_is_streamed_by_name_stays_when_patterns_take_over(make, exchange):
    watch = make("BTCUSDT", "ETHUSDT", "ETHBTC")
    assert watch.want(("*USDT", "!ETHUSDT")) == ("BTCUSDT",)
    assert not watch.turn(0.0)
    exchange.lists(*(f"A{number}USDT" for number in range(500)), "BTCUSDT")
    assert watch.turn(1.0)
    assert len(watch.selected) == 501  # at once: what was known is no listing
    # Also at the next start, whatever the names of before.
    assert "BTCUSDT" in make("*USDT").selected


@pytest.mark.parametrize("live", [False, True])
def test_a_start_with_patterns_goes_on_with_those_that_were_named(make, live):
    watch = make("XRPUSDT") if live else make("BTCUSDT", "ETHBTC")
    if live:
        watch.want(("BTCUSDT", "ETHBTC"))
    again = make("*USDT")
    assert again.selected == ("BTCUSDT",)
    assert not again.is_waiting


def test_who_was_named_while_it_ran_stays_too(make, exchange):
    watch = make("BTCUSDT")
    watch.want(("XRPUSDT",))
    assert "XRPUSDT" in watch.want(("*USDT",))


def test_a_symbol_that_is_missing_once_stays_and_is_asked_for_again_soon(make, exchange):
    watch = make("*")
    watch.turn(0.0)
    now, told = 0.0, []
    for listed in (("A", "B"), ("A", "B"), ("A",), ("A",), ("A",)):
        exchange.lists(*listed)
        assert watch.turn(now)
        told.append("B" in watch.selected)
        now += EVERY if len(listed) == 2 else RETRY_KNOWN_SECONDS
        watch.turn(now)
    assert told == [True, True, True, True, False]
    assert not watch.counters.notices


def test_what_cannot_be_recorded_is_left_out_unless_it_is_named(make, exchange, caplog):
    watch = make("*", "B")
    watch.turn(0.0)
    exchange.lists("A", "B", "C")
    watch.turn(0.0)
    watch.refuse(["B", "C"])
    assert watch.selected == ("B", "A")
    assert watch.candidates == ("B", "A", "C")
    assert "cannot be recorded, no topic's name: C" in caplog.text
    watch.refuse([])
    assert len(caplog.records) == 1


def test_other_settings_choose_from_what_is_known_and_ask_again(make, exchange):
    watch = make("BTCUSDT")
    assert watch.want(("*",)) == ("BTCUSDT",)
    watch.turn(0.0)
    exchange.lists("BTCUSDT", "ETHBTC")
    assert watch.turn(1.0)
    assert watch.want(("*BTC",)) == ("ETHBTC",)
    watch.turn(2.0)
    assert exchange.asked == 2
    watch.close()


def test_a_shard_takes_its_part_of_what_is_listed_and_wanted_anew(tmp_path, exchange):
    watch = SymbolWatch(
        ("*USDT", "ETHBTC"),
        lambda: exchange,
        ListingFile(tmp_path),
        FeedCounters(),
        EVERY,
        lambda symbol: symbol[0] in "BE",
    )
    watch.turn(0.0)
    exchange.lists("BTCUSDT", "XRPUSDT", "ETHUSDT", "ETHBTC")
    assert watch.turn(1.0)
    assert watch.selected == ("ETHBTC", "BTCUSDT", "ETHUSDT")
    assert watch.want(["XRPUSDT", "BNBUSDT"]) == ("BNBUSDT",)
    assert watch.names == {"BNBUSDT"}
    assert not watch.is_waiting


def test_of_stored_streams_those_are_chosen_that_a_pattern_wants_once_they_are_listed(make):
    watch = make("*USDT", "!*DOWNUSDT", "ETHBTC")
    stored = (
        "btcusdt@trade",
        "btcusdt@depth@100ms",
        "btcusdt@depth",
        "btcdownusdt@trade",
        "ethbtc@trade",
        "币安人生usdt@trade",
        "usdt",
    )
    chosen = watch.chosen(("trade", "depth@100ms"), stored)
    assert chosen == {"btcusdt@trade", "btcusdt@depth@100ms", "币安人生usdt@trade"}


def test_patterns_that_match_nothing_are_told(make, exchange, tmp_path, caplog):
    watch = make("*USD", "NO*")
    watch.turn(0.0)
    assert caplog.text == "", "nothing is known so far"
    exchange.lists("BTCUSDT", "ETHBTC")
    watch.turn(1.0)
    assert "exchange.symbols = *USD, NO*: none of the 2 symbols that trade matches" in caplog.text
    caplog.clear()
    for others in (make("*USDT"), make("*USD", "NAMED")):
        others.turn(0.0)
        exchange.lists("BTCUSDT", "ETHBTC")
        others.turn(1.0)
    share = SymbolWatch(
        ("*",),
        lambda: exchange,
        ListingFile(tmp_path),
        FeedCounters(),
        EVERY,
        lambda symbol: False,
    )
    share.turn(0.0)
    exchange.lists("BTCUSDT", "ETHBTC")
    share.turn(1.0)
    assert caplog.text == ""
