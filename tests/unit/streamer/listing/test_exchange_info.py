"""What is read of exchangeInfo, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.listing.exchange_info import SYMBOLS_MAX, is_symbol, read_trading


def info(*symbols: object) -> bytes:
    return json.dumps({"timezone": "UTC", "symbols": symbols}).encode()


def one(symbol: object, status: object = "TRADING") -> dict[str, object]:
    return {"symbol": symbol, "status": status, "filters": []}


def test_the_symbols_that_trade() -> None:
    body = info(one("BTCUSDT"), one("OLDUSDT", "BREAK"), one("币安人生USDT"))
    assert read_trading(body) == {"BTCUSDT", "币安人生USDT"}


@pytest.mark.parametrize(
    "strange",
    [1, None, "BTCUSDT", [], {}, one(7), one("ETHUSDT", None), one(""), one("..") , one("../A"),
     one("A/B"), one("a@b"), one("btcusdt"), one("A" * 41), one("A B"), one("A,B"), one("STRAßE"),
     one("A\u0000"), one("A\n"), one("!A"), one("A*")],
)  # fmt: skip
def test_what_is_no_symbol_is_passed_over_and_the_others_are_taken(strange: object) -> None:
    assert read_trading(info(strange, one("BTCUSDT"))) == {"BTCUSDT"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"symbols":{}}', b'{"symbols":null}', b"[" * 100_000, b"\xff{"]
)
def test_anything_but_the_documented_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not the documented JSON"):
        read_trading(body)


def test_more_symbols_than_can_be_are_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        read_trading(info(*(one(f"A{number}") for number in range(SYMBOLS_MAX + 1))))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(_JSON | st.builds(one, _JSON, st.just("TRADING") | _JSON), max_size=6))
def test_whatever_is_listed_only_symbols_come_out(elements: list[object]) -> None:
    found = read_trading(info(*elements, one("BTCUSDT")))
    assert "BTCUSDT" in found
    assert all(is_symbol(each) and each.lower().upper() == each for each in found)
