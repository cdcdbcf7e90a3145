from __future__ import annotations

from itertools import pairwise

from monitor.stream_changes import changes
from monitor.subscription_history import CHANGES_KEPT, SubscriptionHistory, spans
from monitor.totals import EventTotal
from tests.unit.monitor.observations import report, stream


def names(*symbols: str) -> dict[str, object]:
    return {"streams": tuple(stream(symbol=symbol) for symbol in symbols)}


def test_changes_are_what_later_reports_name_besides_the_first() -> None:
    wanted = SubscriptionHistory()
    wanted.take(report(1, **names("BTCUSDT", "ETHUSDT")), 1.0)
    wanted.take(report(2, **names("BTCUSDT", "ETHUSDT")), 2.0)
    wanted.take(report(1, 2, **names("BTCUSDT", "BNBUSDT")), 3.0)
    assert wanted.changes == [
        {"elapsed_seconds": 3.0, "added": ["trade:BNBUSDT"], "removed": ["trade:ETHUSDT"]}
    ]


def test_one_that_leaves_is_no_longer_wanted() -> None:
    wanted = SubscriptionHistory()
    wanted.take(report(1, **names("BTCUSDT")), 1.0)
    wanted.take(report(2, streams=(stream(leaving=True),)), 2.0)
    assert [one["removed"] for one in wanted.changes] == [["trade:BTCUSDT"]]


def test_changes_are_bounded() -> None:
    wanted = SubscriptionHistory()
    for number in range(2 * CHANGES_KEPT):
        wanted.take(report(number + 1, **names(f"S{number}USDT")), float(number))
    assert sum(len(one["added"]) + len(one["removed"]) for one in wanted.changes) == CHANGES_KEPT


def test_spans_are_the_last_time_in_which_a_stream_was_wanted() -> None:
    changes = [
        {"elapsed_seconds": 10.0, "added": ["c"], "removed": ["b"]},
        {"elapsed_seconds": 20.0, "added": ["b"], "removed": ["c"]},
    ]
    assert spans(["a", "b"], changes, 60.0) == {
        "a": (0.0, 60.0),
        "b": (20.0, 60.0),
        "c": (10.0, 20.0),
    }


def test_what_was_removed_stays_in_the_sum() -> None:
    everything, trades = EventTotal(), EventTotal({"trade"})
    first = report(1, streams=(stream(10), stream(5, "ETHUSDT"), stream(7, kind="bookTicker")))
    second = report(2, streams=(stream(11),))
    third = report(3, streams=(stream(12), stream(2, "ETHUSDT")))
    sums = []
    for before, now in pairwise(((), first.streams, second.streams, third.streams)):
        difference = changes(before, now)
        sums.append((everything.take(difference), trades.take(difference)))
    assert sums == [(22, 15), (23, 16), (26, 19)]
