from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audit.decoded import DecodedRecords, reader
from streamer.audit.pattern import Mismatch, NoPattern, RecordPattern, number, text
from streamer.avro.binary import long, string
from streamer.data.events import GapRecord
from streamer.data.kinds.agg_trade import AggTrade
from streamer.data.kinds.book_ticker import BookTicker
from streamer.data.kinds.trade import Trade
from streamer.data.records import encoder, load_schema

IDS = st.integers(0, (1 << 63) - 1)
PRICES = st.decimals("0", "99999999999999999999", places=18).map("{:f}".format)
WANTED = ("symbol", "trade_id", "received_time", "source")


@st.composite
def trades(draw):
    symbol = draw(st.sampled_from(("BTCUSDT", "币安人生USDT", "A" * 20)))
    source = draw(st.sampled_from(("live", "backfill")))
    trade = Trade(
        "trade", draw(IDS), symbol, draw(IDS), draw(PRICES), draw(PRICES), draw(IDS),
        draw(st.booleans()), source,
    )  # fmt: skip
    return trade, draw(IDS)


def encoded(trade, received_us):
    return encoder("trade", trade.symbol)(trade, received_us)


@given(st.lists(trades(), max_size=6))
def test_rows_are_the_wanted_fields_of_every_record(records):
    data = b"".join(encoded(*one) for one in records)
    for reads in (RecordPattern, DecodedRecords):
        rows = reads(load_schema("trade"), WANTED).rows(data, len(records))
        assert [(text(row[0]), number(row[1]), number(row[2])) for row in rows] == [
            (trade.symbol, trade.id, received_us) for trade, received_us in records
        ]


@given(st.lists(trades(), min_size=1, max_size=3), st.data())
def test_what_is_no_record_is_noticed(records, data):
    content = b"".join(encoded(*one) for one in records)
    pattern = RecordPattern(load_schema("trade"), WANTED)
    cut = data.draw(st.integers(1, len(content) - 1))
    with pytest.raises(Mismatch):
        pattern.rows(content[:cut], len(records))
    with pytest.raises(Mismatch):
        pattern.rows(content, len(records) + 1)
    with pytest.raises(Mismatch):
        pattern.rows(content + b"\x00", len(records))


AGGREGATE = AggTrade("aggTrade", 5, "BTCUSDT", 7, "1", "2", 3, 4, 5, False)


@pytest.mark.parametrize(
    ("kind", "event", "field"),
    [
        ("aggTrade", AGGREGATE, "last_trade_id"),
        ("bookTicker", BookTicker(8, "BTCUSDT", "1", "2", "3", "4"), "update_id"),
        ("gap", GapRecord(5, "BTCUSDT", "trade", "empty", 5, 9, 5), "reason"),
    ],
)
def test_every_schema_has_a_pattern(kind, event, field):
    data = encoder(kind, "BTCUSDT")(event, 1) * 3
    assert len(RecordPattern(load_schema(kind), (field,)).rows(data, 3)) == 3


def test_a_field_that_is_not_there_is_named():
    for reads in (RecordPattern, DecodedRecords):
        with pytest.raises(Mismatch, match="Trade has no field nonsense"):
            reads(load_schema("trade"), ("symbol", "nonsense"))


LEVELS = {
    "type": "record",
    "name": "Depth",
    "fields": [
        {"name": "symbol", "type": "string"},
        {"name": "weight", "type": "double"},
        {"name": "levels", "type": {"type": "array", "items": "long"}},
    ],
}


def test_what_is_not_flat_is_decoded():
    with pytest.raises(NoPattern):
        RecordPattern(LEVELS, ("symbol",))
    record = string("BTCUSDT") + bytes(8) + long(2) + long(7) + long(8) + long(0)
    rows = reader(LEVELS, ("symbol", "levels")).rows(record * 2, 2)
    assert rows == [(string("BTCUSDT"), b"[7, 8]", b"")] * 2
    with pytest.raises(Mismatch, match="decoded"):
        reader(LEVELS, ("symbol",)).rows(record[:-3], 1)
    with pytest.raises(Mismatch, match="2 are there"):
        reader(LEVELS, ("symbol",)).rows(record * 2, 1)


def test_the_cache_of_numbers_has_a_bound():
    for value in range(0, 1 << 31, 1 << 14):
        assert number(long(value)) == value
