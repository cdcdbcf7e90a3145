from __future__ import annotations

import pytest

from streamer.streams import interval_of, kind_of


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        ("trade", "trade"),
        ("aggTrade", "aggTrade"),
        ("depth", "depth"),
        ("depth@100ms", "depth"),
        ("kline_1m", "kline"),
        ("gap", "gap"),
    ],
)
def test_a_stream_is_of_a_kind(stream, kind):
    assert kind_of(stream) == kind


def test_a_month_is_no_minute():
    assert [interval_of(stream) for stream in ("kline_1m", "kline_1M")] == ["1m", "1M"]
