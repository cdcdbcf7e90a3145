"""Addresses that belong together, and those that do not."""

from __future__ import annotations

import pytest

from streamer.config import ExchangeConfig
from streamer.venues import DEMO, SPOT, TESTNET, belong_together, contradiction, venue_of

SPOT_STREAM, SPOT_REST = "wss://stream.binance.com:9443", "https://api.binance.com"
DATA_STREAM, DATA_REST = "wss://data-stream.binance.vision", "https://data-api.binance.vision"
TEST_STREAM, TEST_REST = "wss://stream.testnet.binance.vision", "https://testnet.binance.vision"
PROXY = "wss://cache.example.com"


@pytest.mark.parametrize(
    ("url", "venue"),
    [
        (SPOT_STREAM, SPOT),
        (SPOT_REST, SPOT),
        ("https://api4.binance.com", SPOT),
        (DATA_STREAM, SPOT),
        (DATA_REST, SPOT),
        ("wss://STREAM.binance.com.:443", SPOT),
        (TEST_STREAM, TESTNET),
        (TEST_REST, TESTNET),
        ("wss://demo-stream.binance.com", DEMO),
        ("wss://fstream.binance.com", "Binance Futures (USD-M)"),
        ("wss://stream.binance.us:9443", "binance.us"),
        ("https://testnet.binancefuture.com", "the testnet of Binance Futures"),
        (PROXY, None),
        ("ws://127.0.0.1:9", None),
        ("wss://new.binance.com", None),
        ("wss://notbinance.us", None),
        ("https://api.binance.com.evil.example", None),
    ],
)
def test_the_venue_of_a_host(url, venue):
    assert venue_of(url) == venue


@pytest.mark.parametrize(
    ("stream", "rest"),
    [(SPOT_STREAM, SPOT_REST), (DATA_STREAM, SPOT_REST), (SPOT_STREAM, DATA_REST),
     (TEST_STREAM, TEST_REST), ("wss://demo-stream.binance.com", "https://demo-api.binance.com")],
)  # fmt: skip
def test_addresses_of_one_venue_belong_together(stream, rest):
    assert belong_together(stream, rest)
    assert contradiction(stream, rest) is None


@pytest.mark.parametrize(
    ("stream", "rest"), [(PROXY, SPOT_REST), (SPOT_STREAM, PROXY), (PROXY, PROXY)]
)
def test_an_unknown_host_may_be_of_any_venue(stream, rest):
    assert not belong_together(stream, rest)
    assert contradiction(stream, rest) is None


@pytest.mark.parametrize(
    ("stream", "rest", "right"),
    [
        (TEST_STREAM, SPOT_REST, TEST_REST),
        (SPOT_STREAM, TEST_REST, SPOT_REST),
        ("wss://demo-stream.binance.com", SPOT_REST, "https://demo-api.binance.com"),
        ("wss://fstream.binance.com", SPOT_REST, SPOT_STREAM),
        ("wss://fstream.binance.com", "https://fapi.binance.com", SPOT_STREAM),
        (SPOT_STREAM, "https://fapi.binance.com", SPOT_REST),
        (PROXY, "https://dapi.binance.com", SPOT_REST),
        ("wss://stream.binance.us", "https://api.binance.us", SPOT_STREAM),
    ],
)
def test_what_does_not_belong_together_is_said_with_the_cure(stream, rest, right):
    problem = contradiction(stream, rest)
    assert problem is not None
    assert problem.startswith("exchange.")
    assert right in problem


def test_the_defaults_belong_together():
    assert belong_together(ExchangeConfig().websocket_url, ExchangeConfig().rest_url)
