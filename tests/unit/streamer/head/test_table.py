from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from streamer.head.last_records import LastRecords, Wanted
from streamer.head.table import SHOWN, cell, for_machines, tables

NOON = datetime(2026, 11, 27, 12, 0, 0, 5, UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        (12, "12"),
        (Decimal("60123.120000000000000000"), "60123.12"),
        (Decimal("100.000000000000000000"), "100"),
        (Decimal("0E-18"), "0"),
        (Decimal("1E-18"), "0.000000000000000001"),
        (Decimal("100"), "100"),
        (NOON, "2026-11-27 12:00:00.000005"),
        ([], "0"),
        ([{"price": Decimal("1.50"), "quantity": Decimal(2)}], "1: 1.5 × 2"),
        ([{"price": Decimal(1), "quantity": Decimal(2)}] * 3, "3: 1 × 2, …"),
        (["a\n"], r"1: a\n"),
        ("BTC\x1b[31m\u202e", r"BTC\x1b[31m\u202e"),
    ],
)
def test_a_value_is_shown(value, shown):
    assert cell(value) == shown


def trade(number: int, symbol: str = "BTCUSDT", **more: object) -> dict[str, object]:
    record = {"record_id": f"binance:spot:{symbol}:trade:{number}", "symbol": symbol}
    record |= {"trade_id": number, "event_time": NOON, "trade_time": NOON, "received_time": NOON}
    record |= {"price": Decimal("1.50"), "quantity": Decimal(2), "buyer_is_maker": True}
    return record | {"source": "live"} | more


def last(kind: str, *newest_first: dict[str, object]) -> LastRecords:
    found = LastRecords(kind, Wanted(3))
    found.add(newest_first)
    return found


def test_the_latest_is_the_last_of_its_stream_and_columns_are_aligned():
    found = last("trade", trade(12), trade(9), trade(8, "ETHUSDT"))
    assert tables([found]) == [
        "stream  symbol   trade_id  trade_time                  price  quantity  buyer_is_maker"
        "  source",
        "trade   BTCUSDT         9  2026-11-27 12:00:00.000005    1.5         2  yes           "
        "  live",
        "trade   BTCUSDT        12  2026-11-27 12:00:00.000005    1.5         2  yes           "
        "  live",
        "trade   ETHUSDT         8  2026-11-27 12:00:00.000005    1.5         2  yes           "
        "  live",
    ]


def test_each_kind_has_a_table_and_an_empty_one_has_none():
    gap = {"record_id": "binance:spot:BTCUSDT:trade:gap:1-2", "symbol": "BTCUSDT"}
    gap |= {"stream": "trade", "first_id": 1, "last_id": 2, "from_time": None, "reason": "lagging"}
    lines = tables([last("trade", trade(1)), last("depth"), last("gap", gap)])
    assert lines[2:] == [
        "",
        "kind  symbol   stream  first_id  last_id  from_time  reason",
        "gap   BTCUSDT  trade          1        2  –          lagging",
    ]


def test_text_of_others_steers_no_terminal():
    text = "\n".join(tables([last("trade", trade(1, "\x1b]0;owned\x07"))]))
    assert r"\x1b]0;owned\x07" in text
    assert text.replace("\n", "").isprintable()


def test_a_kind_that_nobody_knows_shows_its_first_fields():
    record = trade(1) | {"more": 1, "most": 2}
    heading = tables([last("trades-of-others", record)])[0].split()
    assert heading == [
        "stream",
        "symbol",
        "trade_id",
        "event_time",
        "trade_time",
        "received_time",
        "price",
        "quantity",
        "buyer_is_maker",
    ]
    assert "trades-of-others" not in SHOWN


def test_machines_get_every_field_exact():
    record = trade(1, levels=[{"price": Decimal("1E-18")}], raw=b"\x00\xff")
    (found,) = for_machines([last("trade", record)])
    assert (found["kind"], found["stream"], found["symbol"]) == ("trade", "trade", "BTCUSDT")
    (shown,) = found["records"]
    assert shown.keys() == record.keys()
    assert shown["levels"] == [{"price": "0.000000000000000001"}]
    assert shown["raw"] == "00ff"
    assert shown["trade_time"] == "2026-11-27T12:00:00.000005+00:00"
    assert shown["buyer_is_maker"] is True
