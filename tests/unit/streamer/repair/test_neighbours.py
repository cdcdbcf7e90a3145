"""What the pages of a gap take of the request weight."""

from __future__ import annotations

import pytest

from streamer.data.catalogue import KINDS
from streamer.repair.neighbours import pages_weight
from streamer.repair.rest_requests import page_request
from streamer.routes import Routes

STREAMS = [
    stream for kind in KINDS if kind.past is not None for stream in kind.streams
    if kind.name != "kline" or stream == "kline_1m"
]  # fmt: skip


@pytest.mark.parametrize("stream", STREAMS)
def test_pages_weigh_what_their_requests_do(stream):
    route = Routes((stream,), ("BTCUSDT",)).by_name[f"btcusdt@{stream}"]
    weight = page_request(stream, "BTCUSDT", 0, 1).weight
    step = 60_000_000 if stream == "kline_1m" else 1
    for count, pages in ((1, 1), (1000, 1), (1001, 2), (2500, 3)):
        assert pages_weight(route, 0, count * step) == pages * weight
