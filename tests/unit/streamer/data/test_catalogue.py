"""What every kind of stream must say of itself."""

from __future__ import annotations

import io
from decimal import Decimal

import fastavro
import pytest

from streamer.data.catalogue import (
    BY_EVENT,
    BY_NAME,
    BY_STREAM,
    CONTIGUOUS,
    KINDS,
    NUMBERED,
    REPAIRABLE,
    kind_of,
)
from streamer.data.intervals import INTERVALS
from streamer.data.records import encoder, load_schema
from streamer.routes import Routes
from tests.unit.streamer.payloads import NOW_US, PAYLOADS, frame


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        ("trade", "trade"),
        ("aggTrade", "aggTrade"),
        ("depth", "depth"),
        ("depth@100ms", "depth"),
        ("depth5", "partialDepth"),
        ("depth20@100ms", "partialDepth"),
        ("depth50@100ms", "depth50"),
        ("kline_1m", "kline"),
        ("kline_2m", "kline"),
        ("gap", "gap"),
        ("ticker_4h", "ticker_4h"),
    ],
)
def test_a_stream_is_of_a_kind(stream, kind):
    assert kind_of(stream) == kind


def test_nothing_is_of_two_kinds():
    streams = [stream for kind in KINDS for stream in kind.streams]
    assert len(BY_STREAM) == len(streams)
    assert len(BY_NAME) == len(BY_EVENT) == len(KINDS)
    assert len({kind.topic for kind in KINDS}) == len(KINDS)
    assert len({kind.event_type for kind in KINDS}) == len(KINDS)
    assert {f"kline_{interval}" for interval in INTERVALS} < set(streams)


def test_what_ids_promise():
    assert {"trade", "aggTrade"} == CONTIGUOUS
    assert {*CONTIGUOUS, "bookTicker", "depth", "depthSnapshot", "partialDepth"} == NUMBERED
    assert {*CONTIGUOUS, "kline"} == REPAIRABLE
    clocks = {kind.name: kind.clock for kind in KINDS if kind.clock is not None}
    assert clocks == {"trade": "trade_time", "aggTrade": "trade_time", "depth": "event_time"}


def test_there_is_a_payload_of_each_kind():
    assert {kind_of(stream) for stream in PAYLOADS} == {each.name for each in KINDS if each.streams}


@pytest.mark.parametrize("stream", PAYLOADS)
def test_a_payload_becomes_a_record_of_the_schema(stream):
    kind = BY_STREAM[stream]
    route = Routes((stream,), ("BTCUSDT",)).by_name[f"btcusdt@{stream}"]
    event = route.decode(frame(PAYLOADS[stream], route.name), NOW_US)
    body = io.BytesIO(encoder(stream, "BTCUSDT")(event, NOW_US))
    schema = load_schema(kind.name)
    record = fastavro.schemaless_reader(body, fastavro.parse_schema(schema))

    assert body.read() == b""
    assert schema["name"] == kind.event.__name__
    assert record["symbol"] == "BTCUSDT"
    assert record["source"] == "live"
    assert record["received_time"].timestamp() == NOW_US / 1e6
    assert record["record_id"].startswith(f"binance:spot:BTCUSDT:{stream}:")
    assert {*kind.fields.ordering, kind.fields.number} <= record.keys()
    assert kind.last_id(event) == getattr(event, "last_update_id", event.id)
    assert kind.fields.part is None or (
        stream == f"{kind.fields.part_prefix}{record[kind.fields.part]}"
    )
    told = [each for each in _texts(PAYLOADS[stream]) if "." in each]
    stored = [str(each) for each in _numbers(record)]
    assert sorted(Decimal(each) for each in told) == sorted(Decimal(each) for each in stored)


@pytest.mark.parametrize("stream", PAYLOADS)
def test_milliseconds_become_microseconds(stream):
    kind = BY_STREAM[stream]
    route = Routes((stream,), ("BTCUSDT",)).by_name[f"btcusdt@{stream}"]
    event = route.decode(frame(PAYLOADS[stream], route.name), NOW_US)
    times = _times(event)
    assert _times(kind.in_microseconds(event)) == {name: at * 1000 for name, at in times.items()}


def _texts(part):
    """Return every text in JSON, but for the fields that hold no number."""
    if isinstance(part, str):
        return [part]
    if isinstance(part, dict):
        return [text for each in part.values() for text in _texts(each)]
    return [text for each in part for text in _texts(each)] if isinstance(part, list) else []


def _numbers(part):
    if isinstance(part, Decimal):
        return [part]
    if isinstance(part, dict):
        return [number for each in part.values() for number in _numbers(each)]
    return [number for each in part for number in _numbers(each)] if isinstance(part, list) else []


def _times(event):
    """Return every field that is a time, those of a candle too."""
    fields = event.__struct_fields__
    found = {name: getattr(event, name) for name in fields if name.endswith("_time")}
    return found | (_times(event.candle) if "candle" in fields else {})
