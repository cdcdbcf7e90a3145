"""REST over real sockets, and its budget as a pure function."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from simulator.rest import Budget, weight_of
from tests.unit.simulator.conftest import Client

FIRST_TRADE, FIRST_AGGREGATE = 5_000_000_000, 3_000_000_000


def test_trades_are_those_of_the_tape(shared: Client) -> None:
    path = f"historicalTrades?symbol=BTCUSDT&fromId={FIRST_TRADE + 5}&limit=7"
    status, trades, headers = shared.rest(path, **{"X-MBX-TIME-UNIT": "MICROSECOND"})
    tape = shared.exchange.tape("trade", "BTCUSDT", FIRST_TRADE + 5, FIRST_TRADE + 11)
    assert status == 200
    assert [
        (each["id"], each["price"], each["qty"], each["time"], each["isBuyerMaker"])
        for each in trades
    ] == [(each["t"], each["p"], each["q"], each["T"], each["m"]) for each in tape]
    assert len(trades) == 7
    assert int(headers["X-MBX-USED-WEIGHT-1M"]) >= 25


def test_aggregates_are_those_of_the_tape(shared: Client) -> None:
    path = f"aggTrades?symbol=ETHUSDT&fromId={FIRST_AGGREGATE}&limit=9"
    _, aggregates, _ = shared.rest(path, **{"X-MBX-TIME-UNIT": "MICROSECOND"})
    tape = shared.exchange.tape("aggTrade", "ETHUSDT", FIRST_AGGREGATE, FIRST_AGGREGATE + 8)
    for each in tape:
        del each["e"], each["E"], each["s"]
    assert aggregates == tape
    assert len(aggregates) == 9


def test_candles_are_those_of_the_stream(shared: Client) -> None:
    us = {"X-MBX-TIME-UNIT": "MICROSECOND"}
    _, latest, _ = shared.rest("klines?symbol=BTCUSDT&interval=1s&limit=20", **us)
    closed = {
        each["k"]["t"]: [*(each["k"][key] for key in "tohlcvTqnVQ"), "0"]
        for each in shared.exchange.tape("kline_1s", "BTCUSDT")
    }
    assert len(latest) == 20
    assert [each[0] for each in latest] == [latest[0][0] + n * 1_000_000 for n in range(20)]
    assert all(closed[each[0]] == each for each in latest[:-1])

    since = latest[3][0] // 1000
    query = f"klines?symbol=BTCUSDT&interval=1s&startTime={since}&endTime={since + 4000}"
    _, between, _ = shared.rest(query, **us)
    assert between == latest[3:8]
    _, one, _ = shared.rest(f"klines?symbol=BTCUSDT&interval=1s&startTime={since + 1}&limit=1")
    assert one[0][0] == since + 1000, "in milliseconds, as nothing else was asked for"
    status, error, _ = shared.rest("klines?symbol=BTCUSDT&interval=2s")
    assert (status, error["code"]) == (400, -1120)


def test_without_an_id_the_latest_come(shared: Client) -> None:
    _, one, _ = shared.rest("trades?symbol=BTCUSDT&limit=1")
    _, many, _ = shared.rest("trades?symbol=BTCUSDT")
    assert len(many) == 500
    assert 0 <= many[-1]["id"] - one[0]["id"] < 1000
    assert abs(one[0]["time"] - time.time() * 1000) < 10_000


def test_the_limit_is_at_most_1000(shared: Client) -> None:
    _, trades, _ = shared.rest(f"historicalTrades?symbol=BTCUSDT&fromId={FIRST_TRADE}&limit=9999")
    assert len(trades) == 1000


def test_aggregates_by_time(shared: Client) -> None:
    _, first, _ = shared.rest(f"aggTrades?symbol=BTCUSDT&fromId={FIRST_AGGREGATE}&limit=50")
    since, until = first[10]["T"], first[40]["T"]
    query = f"aggTrades?symbol=BTCUSDT&startTime={since}&endTime={until}"
    _, between, _ = shared.rest(query)
    assert between == [each for each in first if since <= each["T"] <= until]


def test_an_id_of_the_future_finds_nothing(shared: Client) -> None:
    assert shared.rest("aggTrades?symbol=BTCUSDT&fromId=9000000000")[:2] == (200, [])


def test_time_and_exchange_info(shared: Client) -> None:
    assert abs(shared.rest("time")[1]["serverTime"] - time.time() * 1e3) < 10_000
    _, micro, _ = shared.rest("time", **{"X-MBX-TIME-UNIT": "MICROSECOND"})
    assert abs(micro["serverTime"] - time.time() * 1e6) < 10_000_000
    _, info, _ = shared.rest("exchangeInfo")
    assert [each["symbol"] for each in info["symbols"]] == ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
    _, info, _ = shared.rest("exchangeInfo?symbol=ETHUSDT")
    assert (info["symbols"][0]["baseAsset"], info["symbols"][0]["quoteAsset"]) == ("ETH", "USDT")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("trades?symbol=NOPE", -1121),
        ("exchangeInfo?symbol=NOPE", -1121),
        ("aggTrades", -1102),
        ("trades?symbol=BTCUSDT&limit=x", -1100),
        ("trades?symbol=BTCUSDT&limit=0", -1130),
        ("aggTrades?symbol=BTCUSDT&fromId=1&startTime=1", -1128),
        ("exchangeInfo?symbols=oops", -1100),
    ],
)
def test_errors(shared: Client, path: str, code: int) -> None:
    status, answer, _ = shared.rest(path)
    assert (status, answer["code"]) == (400, code)
    assert answer["msg"]


def test_the_tail_may_lag(start: Callable[..., Client]) -> None:
    client = start("--rest-lag", "30s")
    _, trades, _ = client.rest("trades?symbol=BTCUSDT&limit=1")
    assert trades[0]["time"] < (time.time() - 29) * 1000


NASTY = "historicalTrades?symbol=BTCUSDT&limit=50"


@contextmanager
def at_work(client: Client, kind: str, **arguments: float) -> Iterator[None]:
    """Have a fault while the block lasts: `client` is shared."""
    number = client.exchange.fault(kind, duration=3600.0, **arguments)["number"]
    client.exchange.begun(number)
    try:
        yield
    finally:
        client.exchange.end(number)


def test_pages_are_cut_emptied_late_and_slow(client: Client) -> None:
    with at_work(client, "rest_short", count=3), at_work(client, "rest_slow", delay=0.3):
        began = time.monotonic()
        assert len(client.rest(NASTY)[1]) == 3
        assert time.monotonic() - began >= 0.3
    with at_work(client, "rest_lag", lag=30):
        assert client.rest(NASTY)[1][-1]["time"] < (time.time() - 29) * 1000
    asked_at = time.time()
    assert client.rest(NASTY)[1][-1]["time"] > (asked_at - 20) * 1000
    with at_work(client, "rest_empty"):
        assert client.rest(NASTY)[1] == []


def test_a_page_for_people_is_no_json(client: Client) -> None:
    with at_work(client, "rest_html"), pytest.raises(ValueError, match="Expecting value"):
        client.rest(NASTY)


def test_a_nasty_exchange_shows_it_all(start: Callable[..., Client]) -> None:
    client = start("--rest-nasty", "1")
    seen: set[Any] = set()
    for _ in range(40):
        try:
            status, items, _ = client.rest(NASTY)
        except ValueError:
            seen.add("html")
        else:
            seen.add(status if status != 200 else len(items))
    assert seen >= {"html", 429, 418, 503, 0, 3, 50}


def test_too_much_weight_is_429_then_418(start: Callable[..., Client]) -> None:
    client = start("--weight-limit", "30", "--ban-after", "1", "--ban-time", "90s")
    results: list[Any] = [client.rest("trades?symbol=BTCUSDT&limit=1") for _ in range(5)]
    statuses = [status for status, _, _ in results]
    assert statuses[0] == 200
    assert {429, 418} <= set(statuses)
    assert results[-1][1]["code"] == -1003
    assert 60 < int(results[-1][2]["Retry-After"]) <= 91


def test_the_budget_begins_anew_every_minute() -> None:
    budget = Budget(limit=50, ban_after=1, ban_seconds=100)
    assert budget.charge(50, 60.0) == (200, 0)
    assert budget.charge(1, 90.0) == (429, 31)
    assert budget.charge(50, 120.0) == (200, 0)
    assert budget.used == 50


def test_a_ban_outlives_the_minute() -> None:
    budget = Budget(limit=1, ban_after=1, ban_seconds=100)
    statuses = [budget.charge(1, second)[0] for second in (60.0, 61.0, 62.0, 130.0, 163.0)]
    assert statuses == [200, 429, 418, 418, 200]


def test_a_book_is_the_one_that_the_streams_change(shared: Client) -> None:
    _, book, _ = shared.rest("depth?symbol=BTCUSDT&limit=5000")
    _, top, _ = shared.rest("depth?symbol=BTCUSDT&limit=5")
    assert list(book) == ["lastUpdateId", "bids", "asks"]
    assert top["lastUpdateId"] >= book["lastUpdateId"]
    assert [len(top["bids"]), len(top["asks"])] == [5, 5]
    assert len(book["bids"]) > 20
    [ticker] = shared.exchange.tape(
        "bookTicker", "BTCUSDT", book["lastUpdateId"], book["lastUpdateId"]
    )
    assert [ticker["b"], ticker["B"]] == book["bids"][0]
    assert [ticker["a"], ticker["A"]] == book["asks"][0]


@pytest.mark.parametrize(
    ("limit", "weight"),
    [("", 5), ("5", 5), ("100", 5), ("101", 25), ("500", 25), ("501", 50), ("1000", 50),
     ("1001", 250), ("5000", 250), ("99999", 250)],
)  # fmt: skip
def test_a_book_costs_by_its_depth(limit: str, weight: int) -> None:
    query = {"symbol": "BTCUSDT"} | ({"limit": limit} if limit else {})
    assert weight_of("depth", query) == weight


def test_a_book_of_no_depth_or_no_symbol_is_refused(shared: Client) -> None:
    for query, code in (("symbol=BTCUSDT&limit=0", -1130), ("symbol=NO", -1121),
                        ("symbol=BTCUSDT&limit=x", -1100)):  # fmt: skip
        status, error, _ = shared.rest(f"depth?{query}")
        assert (status, error["code"]) == (400, code)
