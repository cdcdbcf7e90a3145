"""Listings join and delistings leave; one that cannot be recorded keeps no other one out."""

from __future__ import annotations

import pytest

from streamer.errors import SettingsError
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
        self.went_on = False

    def change(self, streams, symbols, now, *, go_on=False):
        self.went_on = go_on
        symbols = tuple(symbols)
        if self.refused & set(symbols):
            raise SettingsError("no topic for it")
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
