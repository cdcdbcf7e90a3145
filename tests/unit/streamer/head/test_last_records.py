from __future__ import annotations

import pytest

from streamer.head.last_records import LastRecords, Wanted, stream_of


def record(number: int, symbol: str = "BTCUSDT", stream: str = "trade") -> dict[str, object]:
    return {"record_id": f"binance:spot:{symbol}:{stream}:{number}", "symbol": symbol}


def test_a_record_says_its_stream():
    assert stream_of("kline", record(1, stream="kline_1m")) == "kline_1m"
    assert stream_of("gap", {"record_id": "binance:spot:BTCUSDT:trade:gap:1-2"}) == "gap"


@pytest.mark.parametrize("value", [{}, {"record_id": None}, {"record_id": "abc"}])
def test_what_is_no_record_of_ours_is_refused(value):
    with pytest.raises(ValueError, match="record_id"):
        stream_of("trade", value)


def test_the_newest_are_kept():
    last = LastRecords("trade", Wanted(2))
    last.add([record(9), record(8, "ETHUSDT"), record(7)])
    last.add([record(6), record(5, "ETHUSDT"), record(4, "ETHUSDT")])
    assert last.found == {
        ("trade", "BTCUSDT"): [record(9), record(7)],
        ("trade", "ETHUSDT"): [record(8, "ETHUSDT"), record(5, "ETHUSDT")],
    }


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (Wanted(1), {("trade", "BTCUSDT"), ("trade", "ETHUSDT")}),
        (Wanted(1, symbols=["ETHUSDT"]), {("trade", "ETHUSDT")}),
        (Wanted(1, streams=["aggTrade"]), set()),
        (Wanted(1, streams=["trade"], symbols=["BTCUSDT"]), {("trade", "BTCUSDT")}),
    ],
)
def test_only_what_is_wanted_is_kept(wanted, places):
    last = LastRecords("trade", wanted)
    last.add([record(9), record(8, "ETHUSDT")])
    assert set(last.found) == places


def test_it_is_complete_when_every_known_stream_has_enough():
    last = LastRecords("trade", Wanted(2))
    known = [("trade", "BTCUSDT"), ("trade", "ETHUSDT")]
    last.add([record(9), record(8), record(7, "ETHUSDT")])
    assert not last.are_complete(known)
    assert not last.are_complete([])  # nothing is known
    last.add([record(6, "ETHUSDT")])
    assert last.are_complete(known)


def test_what_is_not_wanted_is_not_waited_for():
    last = LastRecords("trade", Wanted(1, symbols=["BTCUSDT"]))
    last.add([record(9)])
    assert last.are_complete([("trade", "BTCUSDT"), ("trade", "ETHUSDT")])
