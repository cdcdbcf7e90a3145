from __future__ import annotations

import contextlib
import itertools
import json

import pytest

from streamer.classify import ServerShutdown, Unsupported, classify
from streamer.data.checks import ERROR_TYPES
from streamer.errors import FrameRejected
from streamer.routes import Routes
from tests.unit.streamer.payloads import AGG_TRADE, BOOK_TICKER, DEPTH, KLINE, TRADE, frame

ROUTES = Routes(("trade", "aggTrade", "bookTicker"), ("BTCUSDT",))


def of(message: object) -> object:
    return classify(json.dumps(message).encode(), ROUTES)


def test_a_server_shutdown_comes_in_two_shapes():
    shutdown = {"e": "serverShutdown", "E": 1_726_000_000_123}

    assert of(shutdown) == ServerShutdown()
    assert of({"stream": "!serverShutdown", "data": shutdown}) == ServerShutdown()


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("btcusdt@ticker_4h", {"e": "4hTicker"}, "4hTicker"),
        ("!ticker@arr", [{"e": "24hrTicker"}], "list"),
        ("btcusdt@news", {"e": "<script>" * 9}, "other"),
        ("btcusdt@news", {"headline": 1}, "other"),
        ("btcusdt@news", {"e": ["depthUpdate"]}, "other"),
    ],
)
def test_kinds_without_a_schema_are_counted_as_such(name, data, kind):
    assert of({"stream": name, "data": data}) == Unsupported(kind)


@pytest.mark.parametrize("data", [{"e": "1hTicker"}, {"e": "1dTicker", "s": "BTCUSDT"}])
def test_raw_frames_of_such_kinds_are_too(data):
    assert isinstance(of(data), Unsupported)
    assert of([data]) == Unsupported("list")


def test_an_event_in_another_order_of_keys_still_finds_its_route():
    message = {"data": TRADE, "stream": "btcusdt@trade"}

    assert of(message) is ROUTES.by_name["btcusdt@trade"]


@pytest.mark.parametrize(
    ("error_type", "payload"),
    [
        ("not_json", b"nonsense"),
        ("not_json", b"\x00\x01\x02\x03"),
        ("truncated", b""),
        ("truncated", b'{"stream":"btcusdt@trade","data":{"e":"tra'),
        ("invalid_utf8", b'{"stream":"\xff\xfe","data":{}}'),
        ("unknown_shape", b"{}"),
        ("unknown_shape", b"42"),
        ("unknown_shape", b'{"hello":"world"}'),
        ("missing_field", b'{"stream":"btcusdt@trade"}'),
        ("wrong_type", b'{"stream":1,"data":{}}'),
        ("wrong_type", b'{"stream":"x@depth","data":3}'),
        ("unknown_stream", frame(TRADE | {"s": "ETHUSDT"}, "ethusdt@trade")),
        ("unknown_stream", frame(BOOK_TICKER, "ethusdt@bookTicker")),
        ("unknown_stream", frame({}, "ethusdt@trade")),
        ("not_combined", json.dumps(TRADE).encode()),
        ("not_combined", json.dumps(AGG_TRADE).encode()),
        ("not_combined", json.dumps(BOOK_TICKER).encode()),
        ("not_combined", json.dumps(DEPTH).encode()),
        ("unknown_stream", frame(DEPTH, "btcusdt@depth@100ms")),
        ("unknown_stream", frame({}, "btcusdt@depth@100ms")),
        ("unknown_stream", frame(KLINE, "btcusdt@kline_1d@+08:00")),
    ],
)
def test_the_rest_is_refused_by_kind(error_type, payload):
    with pytest.raises(FrameRejected) as raised:
        classify(payload, ROUTES)

    assert raised.value.error_type == error_type
    assert error_type in ERROR_TYPES
    assert len(str(raised.value)) < 300


def test_no_depth_breaks_it():
    depths = range(900, 1050)  # what decodes may be too deep for `repr`
    for depth, (begin, end) in itertools.product(depths, (("[", "]"), ('{"a":', "}"))):
        deep = begin * depth + "1" + end * depth
        for payload in (deep, f'{{"stream":"x","data":{deep}}}', f'{{"stream":{deep},"data":1}}'):
            with contextlib.suppress(FrameRejected):
                classify(payload.encode(), ROUTES)
