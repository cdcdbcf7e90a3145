"""Bad frames are bad, each in the way its name says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.malformed import HARMLESS, VARIANTS, frames_of

TRADE = '{"e":"trade","E":1,"s":"BTCUSDT","t":7,"p":"1.5","q":"2","T":1,"m":true,"M":true}'
BOOK = '{"u":5,"s":"BTCUSDT","b":"2.0","B":"3.0","a":"4.0","A":"5.0"}'


def body(variant: str, payload: str = TRADE) -> bytes:
    """Return the payload of the single short frame of a variant."""
    (frame,) = frames_of(variant, "btcusdt@trade", payload, wrapped=False)
    start = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[start:]


def changed(variant: str, payload: str = TRADE) -> dict[str, Any]:
    before, after = json.loads(payload), json.loads(body(variant, payload))
    return {key: after.get(key, "missing") for key in before if after.get(key) != before[key]}


def test_there_are_more_than_ten() -> None:
    assert len(HARMLESS) > 10
    assert "other_price" not in HARMLESS  # well-formed: nothing tells that it is wrong


@pytest.mark.parametrize(
    ("variant", "difference"),
    [
        ("wrong_types", {"t": "7"}),
        ("missing_field", {"p": "missing"}),
        ("negative_price", {"p": "-1.00000000"}),
        ("zero_price", {"p": "0.00000000"}),
        ("nan_price", {"p": "NaN"}),
        ("infinite_price", {"p": "Infinity"}),
        ("price_no_number", {"p": "12,5"}),
        ("absurd_time", {"E": 4_102_444_800_000_000, "T": 4_102_444_800_000_000}),
        ("unknown_symbol", {"s": "NOSUCHUSDT"}),
        ("other_symbol", {"s": "ETHUSDT"}),
        ("unknown_event", {"e": "somethingNew"}),
    ],
)
def test_one_thing_is_wrong_and_the_id_stays(variant: str, difference: dict[str, Any]) -> None:
    assert changed(variant) == difference


@pytest.mark.parametrize("variant", ["not_json", "truncated", "empty"])
def test_texts_that_are_no_json(variant: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(body(variant))


def test_invalid_utf8() -> None:
    with pytest.raises(UnicodeDecodeError):
        body("invalid_utf8").decode()


def test_broken_frames() -> None:
    first = {name: frames_of(name, "x", TRADE, wrapped=False)[0][:2] for name in VARIANTS}
    assert first["binary"][0] == 0x82
    assert first["reserved_bit"][0] == 0xC1
    assert first["unknown_opcode"][0] == 0x83
    assert first["stray_continuation"][0] == 0x80
    assert first["masked"][1] & 0x80
    assert len(body("oversized")) > 1 << 21


def test_a_book_ticker_has_no_type_or_time_to_spoil() -> None:
    assert frames_of("absurd_time", "x", BOOK, wrapped=True) == []
    assert changed("negative_price", BOOK) == {"b": "-1.00000000"}


DEPTH = '{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":5,"u":7,"b":[],"a":[["4.0","5.0"]]}'
KLINE = '{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":1,"T":2,"s":"BTCUSDT","c":"1.5","x":false}}'
MINI = '{"e":"24hrMiniTicker","E":1,"s":"BTCUSDT","c":"1.5"}'
PARTIAL = '{"lastUpdateId":7,"bids":[],"asks":[["4.0","5.0"]]}'
AVERAGE = '{"e":"avgPrice","E":1,"s":"BTCUSDT","i":"5m","w":"1.5","T":1}'
TICKER = '{"e":"24hrTicker","E":1,"s":"BTCUSDT","p":"-1","c":"1.5","a":"2"}'


@pytest.mark.parametrize(
    ("variant", "payload", "difference"),
    [
        ("negative_price", DEPTH, {"a": [["-1.00000000", "5.0"]]}),
        ("missing_field", DEPTH, {"b": "missing"}),
        ("wrong_types", DEPTH, {"u": "7"}),
        ("negative_price", PARTIAL, {"asks": [["-1.00000000", "5.0"]]}),
        ("missing_field", PARTIAL, {"bids": "missing"}),
        ("wrong_types", PARTIAL, {"lastUpdateId": "7"}),
        ("nan_price", AVERAGE, {"w": "NaN"}),
        ("missing_field", AVERAGE, {"w": "missing"}),
        ("wrong_types", AVERAGE, {"E": "1"}),
        ("nan_price", MINI, {"c": "NaN"}),
        ("missing_field", TICKER, {"c": "missing"}),
        ("wrong_types", TICKER, {"E": "1"}),
    ],
)
def test_other_streams_are_spoilt_where_it_hurts(
    variant: str, payload: str, difference: dict[str, Any]
) -> None:
    assert changed(variant, payload) == difference


def test_a_partial_book_gets_a_symbol_that_is_wrong() -> None:
    for variant in ("other_symbol", "unknown_symbol"):
        assert json.loads(body(variant, PARTIAL))["s"] in ("ETHUSDT", "NOSUCHUSDT")


def test_a_candle_is_spoilt_inside() -> None:
    assert json.loads(body("negative_price", KLINE))["k"]["c"] == "-1.00000000"
    assert "c" not in json.loads(body("missing_field", KLINE))["k"]
    assert json.loads(body("wrong_types", KLINE))["k"]["t"] == "1"
    for payload in (TICKER, AVERAGE):
        assert frames_of("zero_price", "x", payload, wrapped=True) == [], "which is a price there"


@given(st.sampled_from([TRADE, BOOK, DEPTH, PARTIAL, KLINE, MINI, TICKER, AVERAGE]), st.booleans())
def test_all_is_every_harmless_one(payload: str, wrapped: bool) -> None:
    together = frames_of("all", "x", payload, wrapped=wrapped)
    single = [frames_of(name, "x", payload, wrapped=wrapped) for name in HARMLESS]
    assert together == [frame for frames in single for frame in frames]


def test_combined_frames_are_spoilt_inside_their_wrapper() -> None:
    (frame,) = frames_of("negative_price", "btcusdt@trade", TRADE, wrapped=True)
    assert b'{"stream":"btcusdt@trade","data":{"e":"trade"' in frame
