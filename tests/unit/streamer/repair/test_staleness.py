from __future__ import annotations

from itertools import pairwise

from streamer.repair.staleness import StalenessProbe

AFTER = 30.0


def test_only_long_silences_are_asked_about() -> None:
    silences = StalenessProbe(AFTER)

    assert not silences.due("btc", 29.0, 100.0)
    assert silences.finding("btc", 29.0, 100.0) is None
    assert silences.due("btc", 30.0, 101.0)
    assert silences.finding("btc", 30.0, 101.0) == "unconfirmed"
    assert not StalenessProbe(0).due("btc", 1e6, 101.0)


def test_a_quiet_symbol_is_asked_about_ever_more_rarely() -> None:
    silences, began = StalenessProbe(AFTER), 100.0
    asked = []
    for now in range(131, 3700):
        if silences.due("btc", now - began, now):
            asked.append(now)
            silences.told("btc", "quiet", now - began, now)
        assert not silences.blames("btc", now - began, now)
    pauses = [after - before for before, after in pairwise(asked)]
    assert 10 <= pauses[0] <= 20
    assert pauses[-1] == 300


def test_news_is_held_against_this_silence_and_not_the_next() -> None:
    silences = StalenessProbe(AFTER)
    silences.told("btc", "news", 31.0, 131.0)

    assert silences.blames("btc", 32.0, 132.0)
    assert silences.finding("btc", 31.0, 300.0) == "unconfirmed"
    assert silences.due("btc", 31.0, 300.0)


def test_what_rest_cannot_tell_about_is_never_held_against_the_connection() -> None:
    silences = StalenessProbe(AFTER)
    silences.told("btc", "unconfirmed", 31.0, 131.0)

    assert not silences.due("btc", 32.0, 132.0)
    assert silences.due("btc", 34.0, 134.0)
    assert not silences.blames("btc", 60.0, 160.0)
    assert not silences.blames("btc", 86_400.0, 86_500.0)


def test_a_look_without_result_does_not_undo_a_finding() -> None:
    silences = StalenessProbe(AFTER)
    silences.told("btc", "quiet", 31.0, 131.0)
    silences.told("btc", "unconfirmed", 50.0, 150.0)

    assert silences.finding("btc", 51.0, 151.0) == "quiet"


def test_what_is_forgotten_is_asked_about_again():
    silences = StalenessProbe(30.0)
    silences.told("btcusdt@trade", "quiet", 40.0, 100.0)
    assert silences.finding("btcusdt@trade", 40.0, 100.0) == "quiet"
    silences.forget("btcusdt@trade")
    assert silences.finding("btcusdt@trade", 40.0, 100.0) == "unconfirmed"
