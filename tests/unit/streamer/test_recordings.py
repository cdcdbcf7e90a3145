"""Every recorded frame is decoded and stored exactly; none is dropped."""

from __future__ import annotations

import json
import re
from collections import Counter
from io import BytesIO

import fastavro
import pytest

from streamer.data.records import encoder, load_schema
from streamer.routes import Routes
from tests.audit import differences
from tests.unit.streamer.payloads import RECORDINGS, recorded

pytestmark = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not here")
STREAMS = ("trade", "aggTrade", "bookTicker", "depth@100ms", "kline_1m")
MILLISECONDS = 1000  # ticks per second: what was recorded


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("BINANCE.ws.1.0", {"aggTrade": 2, "bookTicker": 84, "depth": 177, "kline": 2}),
        ("BINANCE_US.ws.1.0", {"aggTrade": 11, "bookTicker": 128, "depth": 336, "kline": 5}),
        ("BINANCE_FUTURES.ws.1.0", {"aggTrade": 91, "bookTicker": 613, "depth": 764, "kline": 67}),
    ],
)
def test_every_frame_is_decoded_and_stored_exactly(name, counts):
    url = (RECORDINGS / name).read_text().splitlines()[0]
    symbols = {symbol.upper() for symbol in re.findall(r"[=/](\w+)@", url)}
    routes = Routes(STREAMS, symbols, time_unit="ms")
    schemas = {kind: fastavro.parse_schema(load_schema(kind)) for kind in counts}
    encoders = {route: encoder(route.stream, route.symbol) for route in routes}
    seen: Counter[str] = Counter()
    for received, payload in recorded(name):
        route = routes.find(payload)
        assert route is not None, payload
        event = route.decode(payload, round(received * 10**6))
        encoded = BytesIO(encoders[route](event, round(received * 10**6)))
        record = fastavro.schemaless_reader(encoded, schemas[route.kind])
        data = json.loads(payload)["data"]
        assert differences(route.stream, record, data, MILLISECONDS) == []
        assert round(record["received_time"].timestamp() * 10**6) == round(received * 10**6)
        seen[route.kind] += 1

    assert seen == counts
