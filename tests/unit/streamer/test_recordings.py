"""Every recorded frame is decoded, or counted as a kind that is not supported: none is dropped."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from streamer.classify import Unsupported, classify
from streamer.events import EVENT_TYPES
from streamer.routes import Routes
from tests.unit.streamer.payloads import RECORDINGS, recorded

pytestmark = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not here")


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("BINANCE.ws.1.0", {"aggTrade": 2, "bookTicker": 84, "depthUpdate": 177, "kline": 2}),
        ("BINANCE_US.ws.1.0", {"aggTrade": 11, "bookTicker": 128, "depthUpdate": 336, "kline": 5}),
        (
            "BINANCE_FUTURES.ws.1.0",
            {"aggTrade": 91, "bookTicker": 613, "depthUpdate": 764, "kline": 67},
        ),
    ],
)
def test_every_frame_is_decoded_or_counted(name, counts):
    url = (RECORDINGS / name).read_text().splitlines()[0]
    symbols = {symbol.upper() for symbol in re.findall(r"[=/](\w+)@", url)}
    routes = Routes(EVENT_TYPES, symbols, time_unit="ms")
    seen: Counter[str] = Counter()
    for received, payload in recorded(name):
        route = routes.find(payload)
        if route is None:
            found = classify(payload, routes)
            assert isinstance(found, Unsupported)
            seen[found.kind] += 1
        else:
            event = route.decode(payload, round(received * 10**6))
            data = json.loads(payload)["data"]
            wire = {"trade": "t", "aggTrade": "a", "bookTicker": "u"}[route.kind]
            assert (event.id, event.symbol) == (data[wire], data["s"])
            seen[route.kind] += 1

    assert seen == counts
