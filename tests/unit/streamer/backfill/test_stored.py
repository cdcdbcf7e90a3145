from __future__ import annotations

import msgspec
import pytest

from streamer.audit.batches import BACKFILLED, Batch, Unreadable
from streamer.backfill.errors import BackfillError
from streamer.backfill.stored import check_same, content_of, holdings, neighbours
from streamer.data.kinds.kline import candle_of_row
from streamer.data.records import encoder
from tests.unit.streamer.audit.stored import SCHEMAS, batch, event, gap, trades
from tests.unit.streamer.audit.test_findings import Fixed

MINUTE_US = 60_000_000
BEGIN_US = 1_795_737_600_000_000


def of_epoch(epoch: int, *ids: int) -> Batch:
    encode = encoder("trade", "BTCUSDT", epoch=epoch)
    records = [encode(one, 1) for one in trades(ids)]
    return Batch(SCHEMAS["trade"], len(records), b"".join(records), "here")


def candle(number: int, *, is_closed: bool = True):
    begin = BEGIN_US + number * MINUTE_US
    row = (begin, "1", "1", "1", "1", "1", begin + MINUTE_US - 1, "1", 1, "1", "1", "0")
    return candle_of_row("BTCUSDT", "1m", row, 1, is_closed=is_closed)


def test_what_is_there_and_what_is_declared():
    counted: list[int] = []
    found = holdings(
        Fixed(
            batch("trade", trades([1, 2, 6])),
            batch("trade", trades([4]), lane=BACKFILLED),
            batch("bookTicker", [event("bookTicker", 7)]),
            batch(
                "gap", [gap(3, 5), gap(9, 9, "empty"), gap(7, 8, "not_wanted"), gap(4, 4, "filled")]
            ),
        ),
        None,
        counted.append,
    )
    (key, holding), *others = found.items()
    assert (key, others) == (("trade", "BTCUSDT"), [])
    assert (list(holding.present), list(holding.brought)) == ([(1, 2), (4, 4), (6, 6)], [(4, 4)])
    assert (list(holding.lost), list(holding.empty)) == ([(3, 5)], [(9, 9)])
    assert list(holding.closed) == [(4, 4)]
    assert sum(counted) == 9


def test_the_latest_numbering_of_ids_counts():
    source = Fixed(of_epoch(9, 5), of_epoch(0, 1, 2), of_epoch(7, 3))
    holding = holdings(source, None, lambda _: None)["trade", "BTCUSDT"]
    assert (holding.epoch, list(holding.present)) == (9, [(5, 5)])
    found = neighbours(source, {("trade", "BTCUSDT"): {5, 3}}, {("trade", "BTCUSDT"): 9})
    assert list(found["trade", "BTCUSDT"]) == [5]


def test_what_cannot_be_read_is_no_ground_to_write_on():
    for source in (
        Fixed(Unreadable("x.avro: torn")),
        Fixed(Batch(SCHEMAS["trade"], 1, b"nonsense", "y.avro")),
    ):
        with pytest.raises(BackfillError, match=r"avro.*audit` lists all of it"):
            holdings(source, None, lambda _: None)


def test_neighbours_say_what_events_say_however_they_came():
    stored = neighbours(Fixed(batch("trade", trades([4, 5]))), {("trade", "BTCUSDT"): {5}}, {})
    (five,) = stored["trade", "BTCUSDT"].values()
    content = content_of("trade", "BTCUSDT")
    told = event("trade", 5, source="archive", price="1.50", event_time=7)
    check_same(content(told), five, 1, "here")
    for change in ({"price": "1.6"}, {"trade_time": 49}, {"buyer_is_maker": False}):
        other = content(msgspec.structs.replace(told, **change))
        with pytest.raises(BackfillError, match=r"here: .* is not what the stream told"):
            check_same(other, five, 1, "here")


def test_milliseconds_are_compared_with_milliseconds():
    content = content_of("trade", "BTCUSDT")
    stored, told = content(event("trade", 5, trade_time=1_234_567)), event("trade", 5)
    check_same(content(msgspec.structs.replace(told, trade_time=1_234_000)), stored, 1000, "here")
    other = content(msgspec.structs.replace(told, trade_time=1_235_000))
    with pytest.raises(BackfillError, match="trade_time"):
        check_same(other, stored, 1000, "here")


def test_of_candles_those_that_are_closed_are_compared():
    source = Fixed(batch("kline_1m", [candle(0), candle(1, is_closed=False)]))
    asked = {("kline_1m", "BTCUSDT"): {BEGIN_US, BEGIN_US + MINUTE_US}}
    found = neighbours(source, asked, {})["kline_1m", "BTCUSDT"]
    assert list(found) == [BEGIN_US]
    check_same(content_of("kline_1m", "BTCUSDT")(candle(0)), found[BEGIN_US], 1, "here")


def test_a_sink_of_milliseconds_is_compared_with_what_tells_microseconds():
    content = content_of("trade", "BTCUSDT")
    stored, told = content(event("trade", 5, trade_time=1_234_000)), event("trade", 5)
    check_same(content(msgspec.structs.replace(told, trade_time=1_234_567)), stored, 1, "here")
    for time_us in (1_233_999, 1_235_000):
        with pytest.raises(BackfillError, match="trade_time"):
            check_same(content(msgspec.structs.replace(told, trade_time=time_us)), stored, 1, "-")
