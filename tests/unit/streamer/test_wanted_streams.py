"""Listings join and delistings leave; one that cannot be recorded keeps no other one out."""

from __future__ import annotations

import pytest

from streamer.errors import SettingsError, SinkNotReady
from streamer.feed_counters import FeedCounters
from streamer.listing.patterns import SymbolPatterns
from streamer.subscription_manager import Change
from streamer.wanted_streams import WantedStreams


class Watch:
    def __init__(self, *listed: str) -> None:
        self.patterns = SymbolPatterns(("*",))
        self.listed = listed
        self.is_news = False
        self.refused: set[str] = set()

    @property
    def names(self):
        return frozenset(self.patterns.names)

    @property
    def candidates(self):
        return self.patterns.select(self.listed)

    @property
    def entries(self):
        return self.patterns.entries

    @property
    def selected(self):
        return self.patterns.select(set(self.listed) - self.refused)

    def want(self, entries):
        self.patterns = SymbolPatterns(entries)
        return self.selected

    def turn(self, now):
        return self.is_news

    def close(self):
        pass


class Subscriptions:
    def __init__(self) -> None:
        self.now: tuple[str, ...] = ()
        self.refused: set[str] = set()
        self.not_ready: set[str] = set()
        self.is_over = False
        self.went_on = False
        self.asked = 0

    def change(self, streams, symbols, now, *, go_on=False):
        self.went_on = go_on
        self.asked += 1
        symbols = tuple(symbols)
        if self.refused & set(symbols):
            raise SettingsError("no topic for it")
        if self.not_ready & set(symbols):
            raise SinkNotReady("no topic yet", lambda: self.is_over or not self.not_ready)
        self.now = symbols
        return Change()


class Stage:
    def __init__(self) -> None:
        self.watch, self.subscriptions = Watch("AUSDT", "BUSDT"), Subscriptions()
        self.counters = FeedCounters()
        self.delisted: list[str] = []
        self.wanted = WantedStreams(
            ("trade",),
            self.watch,  # type: ignore[arg-type]
            self.subscriptions,
            self.counters,
            lambda symbol, _: self.delisted.append(symbol),
        )

    def list(self, *symbols: str) -> None:
        self.watch.listed, self.watch.is_news = symbols, True
        self.wanted.turn(0.0)

    def notices(self) -> list[tuple[str, object]]:
        return [
            (each.kind, each.detail.get("symbols") or each.detail["message"])
            for each in self.counters.notices
        ]


@pytest.fixture
def stage():
    return Stage()


def test_who_is_listed_joins_and_who_is_delisted_leaves_with_a_record_and_a_notice(stage):
    stage.list("BUSDT", "CUSDT")

    assert stage.subscriptions.now == ("BUSDT", "CUSDT")
    assert stage.delisted == ["AUSDT"]
    assert stage.notices() == [("symbols_delisted", "AUSDT"), ("symbols_listed", "CUSDT")]


def test_an_answer_without_news_changes_nothing(stage):
    stage.subscriptions.refused = {"AUSDT"}  # a change would raise
    stage.list("AUSDT", "BUSDT")
    assert stage.notices() == []


def test_one_that_cannot_be_recorded_is_told_once_and_keeps_no_other_one_out(stage):
    stage.subscriptions.refused = {"XUSDT"}
    for _ in range(3):
        stage.list("BUSDT", "CUSDT", "XUSDT", "YUSDT")

    assert stage.subscriptions.now == ("BUSDT", "CUSDT", "YUSDT")
    assert [kind for kind, _ in stage.notices()] == [
        "warning",
        "symbols_delisted",
        "symbols_listed",
    ]
    stage.list("BUSDT", "XUSDT")
    assert stage.subscriptions.now == ("BUSDT",)


def test_other_settings_are_followed_from_then_on_or_not_at_all(stage):
    stage.wanted.change(("trade",), ("B*",), 0.0)
    assert stage.subscriptions.now == ("BUSDT",)
    stage.subscriptions.refused = {"XUSDT"}
    with pytest.raises(SettingsError):
        stage.wanted.change(("trade",), ("XUSDT",), 0.0)
    stage.list("AUSDT", "BUSDT", "B2USDT")
    assert stage.subscriptions.now == ("BUSDT", "B2USDT")


def test_who_is_listed_goes_on_where_it_left_and_who_is_added_to_the_settings_does_not(stage):
    stage.list("AUSDT", "BUSDT", "CUSDT")
    assert stage.subscriptions.went_on
    stage.wanted.change(("trade",), ("B*", "C*"), 0.0)
    assert not stage.subscriptions.went_on


def test_one_that_cannot_be_recorded_keeps_no_change_of_the_settings_out(stage):
    stage.subscriptions.refused = {"XUSDT"}
    stage.list("AUSDT", "BUSDT", "XUSDT")
    stage.wanted.change(("trade",), ("B*", "X*"), 0.0)  # refused before
    assert stage.subscriptions.now == ("BUSDT",)
    stage.subscriptions.refused = {"XUSDT", "YBTC"}
    stage.watch.listed = "BUSDT", "XUSDT", "YBTC", "ZBTC"
    stage.wanted.change(("trade",), ("B*", "?BTC"), 0.0)  # not known before
    assert stage.subscriptions.now == ("BUSDT", "ZBTC")
    with pytest.raises(SettingsError):
        stage.wanted.change(("trade",), ("B*", "XUSDT"), 0.0)  # named
    stage.subscriptions.refused = set()
    stage.list("BUSDT", "YBTC", "ZBTC")
    assert stage.subscriptions.now == ("BUSDT", "ZBTC", "YBTC")


def test_what_the_sink_is_not_ready_for_joins_when_it_is(stage):
    stage.subscriptions.not_ready = {"CUSDT"}
    stage.list("BUSDT", "CUSDT")
    assert stage.subscriptions.now == ("BUSDT",)
    assert stage.notices() == [("symbols_delisted", "AUSDT")]
    stage.watch.is_news = False
    stage.wanted.turn(1.0)
    assert stage.subscriptions.asked == 2, "asked again only when it is over"

    stage.subscriptions.not_ready = set()
    stage.wanted.turn(2.0)
    assert stage.subscriptions.now == ("BUSDT", "CUSDT")
    assert stage.subscriptions.went_on
    assert stage.notices() == [("symbols_delisted", "AUSDT"), ("symbols_listed", "CUSDT")]
    stage.wanted.turn(3.0)
    assert stage.subscriptions.asked == 3


def test_it_may_take_several_times_until_the_sink_is_ready(stage):
    stage.subscriptions.not_ready = {"CUSDT", "DUSDT"}
    stage.list("AUSDT", "BUSDT", "CUSDT", "DUSDT")
    stage.watch.is_news = False
    stage.subscriptions.not_ready = {"DUSDT"}
    stage.subscriptions.is_over = True
    stage.wanted.turn(1.0)
    assert stage.subscriptions.now == ("AUSDT", "BUSDT")
    stage.subscriptions.not_ready = set()
    stage.wanted.turn(2.0)
    assert stage.subscriptions.now == ("AUSDT", "BUSDT", "CUSDT", "DUSDT")


def test_settings_that_name_what_the_sink_is_not_ready_for_are_followed_in_two_steps(stage):
    stage.subscriptions.not_ready = {"DUSDT"}
    change = stage.wanted.change(("trade",), ("AUSDT", "DUSDT"), 0.0)
    assert change == Change(awaited=("DUSDT",))
    assert str(change) == "topics are prepared first for DUSDT"
    assert stage.subscriptions.now == ("AUSDT",)
    stage.subscriptions.not_ready = set()
    stage.wanted.turn(1.0)
    assert stage.subscriptions.now == ("AUSDT", "DUSDT")


def test_settings_are_refused_while_the_sink_is_not_ready_for_what_is_streamed(stage):
    """Such as a kind that all of it is to have from now on."""
    stage.subscriptions.not_ready = {"AUSDT", "BUSDT"}
    with pytest.raises(SinkNotReady, match="no topic yet"):
        stage.wanted.change(("trade", "depth"), ("AUSDT", "BUSDT"), 0.0)
    assert stage.watch.entries == ("*",)
