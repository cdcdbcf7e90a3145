"""REST against servers that misbehave, and what is made of its answers."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from streamer.config import ExchangeConfig
from streamer.data.kinds.kline import Kline
from streamer.repair.rest import RestClient
from streamer.repair.rest_outcome import THROTTLED_SECONDS
from streamer.repair.rest_requests import (
    TIME_REQUEST,
    RestFailure,
    RestResponse,
    page_request,
    read_page,
    read_time,
)
from streamer.retry_after import BAN_SECONDS_MAX
from streamer.secret import SecretUrl
from tests.unit.streamer.loopback import read_head, serve

QUESTION = page_request("trade", "BTCUSDT", 7, 3)
Reply = Callable[[BaseHTTPRequestHandler], None]


def replies(status: int, body: bytes = b"[]", **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


class Server(ThreadingHTTPServer):
    daemon_threads = True
    reply: Reply
    seen: list[tuple[str, dict[str, str]]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        with suppress(OSError):  # a client that has given up
            self.server.reply(self)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.seen = []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def client(server: Server, timeout: float = 60.0, **settings: str) -> RestClient:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    return RestClient(ExchangeConfig(rest_url=url, **settings), None, timeout)


def test_the_question_and_the_unit_of_time_are_sent(server: Server) -> None:
    server.reply = replies(200, b"[]", X_MBX_USED_WEIGHT_1M="29")
    rest = client(server)
    outcome = rest.ask(QUESTION)

    assert isinstance(outcome, RestResponse)
    assert (outcome.body, outcome.used_weight) == (b"[]", 29)
    [(path, headers)] = server.seen
    assert path == "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=7&limit=3"
    assert headers["X-MBX-TIME-UNIT"] == "MICROSECOND"


@pytest.mark.parametrize(
    ("reply", "kind", "wait"),
    [
        (replies(429, b"{}", Retry_After="7"), "throttled", 7),
        (replies(429, b"{}", Retry_After="9" * 400), "throttled", BAN_SECONDS_MAX),
        (replies(418, b"{}", Retry_After="9" * 5000), "throttled", BAN_SECONDS_MAX),
        (replies(429, b"{}", Retry_After="-5"), "throttled", THROTTLED_SECONDS),
        (replies(418, b"{}", Retry_After="\xb2"), "throttled", THROTTLED_SECONDS),
        (replies(418, b"{}"), "throttled", THROTTLED_SECONDS),
        (replies(403, b"<html>"), "blocked", 60),
        (replies(400, b'{"code":-1121}'), "unknown_symbol", 0),
        (replies(400, b'{"code":-1100,"msg":"in parameter \'symbol\'"}'), "unknown_symbol", 0),
        (replies(400, b'{"code":-1100,"msg":"in parameter \'fromId\'"}'), "refused", 0),
        (replies(400, b'{"code":1e999}'), "refused", 0),
        (replies(503, b"{}", Retry_After="3"), "unavailable", 3),
        (replies(200, b"<html>please wait</html>"), "unavailable", 0),
        (replies(200, b""), "unavailable", 0),
        (replies(302, b"", Location="http://127.0.0.1:9/"), "unavailable", 0),
        (replies(200, b"[", Content_Length="99", Connection="close"), "unavailable", 0),
    ],
)
def test_every_other_answer_is_a_trouble(
    server: Server, reply: Reply, kind: str, wait: float
) -> None:
    server.reply = reply
    outcome = client(server).ask(QUESTION)

    assert isinstance(outcome, RestFailure)
    assert (outcome.kind, outcome.wait_seconds) == (kind, wait)
    assert "historicalTrades" in outcome.detail


@pytest.mark.parametrize("used", ["9" * 5000, "-5", "\xb2", ""])
def test_a_used_weight_that_cannot_be_read_spoils_no_answer(server: Server, used: str) -> None:
    server.reply = replies(200, b"[]", X_MBX_USED_WEIGHT_1M=used)
    outcome = client(server).ask(QUESTION)

    assert isinstance(outcome, RestResponse)
    assert outcome.used_weight is None


def test_whatever_is_raised_on_the_way_ends_one_question_only(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.reply = replies(200)
    rest = client(server)
    with monkeypatch.context() as patch:
        patch.setattr("http.client.HTTPResponse.begin", lambda self: [][1])
        outcome = rest.ask(QUESTION)
    assert isinstance(outcome, RestFailure)
    assert outcome.detail == "historicalTrades: list index out of range"
    assert isinstance(rest.ask(QUESTION), RestResponse)


def test_an_answer_that_trickles_is_given_up(server: Server) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000000")
        handler.end_headers()
        while True:  # until the client has given up
            handler.wfile.write(b"[")
            time.sleep(0.05)

    server.reply = trickle
    outcome = client(server, timeout=0.3).ask(QUESTION)

    assert isinstance(outcome, RestFailure)


def test_nobody_listens() -> None:
    rest = RestClient(ExchangeConfig(rest_url="http://127.0.0.1:1"), None, 60.0)
    outcome = rest.ask(TIME_REQUEST)

    assert isinstance(outcome, RestFailure)
    assert outcome.kind == "unavailable"


def trade(trade_id: int, **changes: object) -> dict[str, object]:
    fields = {"id": trade_id, "price": "1.5", "qty": "2", "quoteQty": "3", "time": 1_700_000_000}
    return {**fields, "isBuyerMaker": True, "isBestMatch": True, **changes}


def test_a_page_becomes_events_that_say_how_they_came() -> None:
    [event] = read_page("trade", "BTCUSDT", json.dumps([trade(7)]).encode(), in_milliseconds=True)

    assert (event.id, event.symbol, event.price, event.quantity) == (7, "BTCUSDT", "1.5", "2")
    assert event.trade_time == event.event_time == 1_700_000_000_000
    assert event.source == "backfill"


@pytest.mark.parametrize(
    "items",
    [
        [trade(8), trade(7)],
        [trade(7), trade(7)],
        [trade(7, price=1.5)],
        [{"id": 7}],
        {"code": 0},
        [trade(-1)],
    ],
)
def test_anything_else_is_no_page(items: object) -> None:
    with pytest.raises(ValueError, match=r"ids are not ascending|not the documented JSON"):
        read_page("trade", "BTCUSDT", json.dumps(items).encode())


def row(number: int, milliseconds: bool) -> list[object]:
    factor = 1 if milliseconds else 1000
    begin = 1_726_000_020_000 + number * 60_000
    end = (begin + 60_000) * factor - 1
    values: list[object] = [begin * factor, "1.5", "1.7", "1.4", "1.6", "10", end, "15.5", 3]
    return [*values, "4", "6.2", "0"]


@pytest.mark.parametrize("milliseconds", [True, False])
def test_candles_become_events_and_the_last_one_may_still_be_open(milliseconds: bool) -> None:
    rows = [row(0, milliseconds), row(1, milliseconds)]
    page = read_page("kline_1m", "BTCUSDT", json.dumps(rows).encode(), in_milliseconds=milliseconds)
    first, last = page
    assert isinstance(first, Kline)
    assert isinstance(last, Kline)
    candle = first.candle

    assert (first.id, first.symbol, first.source) == (1_726_000_020_000_000, "BTCUSDT", "backfill")
    assert first.event_time == candle.next_open_time
    assert candle.next_open_time == last.id == first.id + 60_000_000
    assert (candle.interval, candle.is_closed, last.candle.is_closed) == ("1m", True, False)
    assert (candle.open, candle.high, candle.low, candle.close) == ("1.5", "1.7", "1.4", "1.6")
    assert (candle.volume, candle.quote_volume, candle.trade_count) == ("10", "15.5", 3)
    assert (candle.taker_buy_volume, candle.taker_buy_quote_volume) == ("4", "6.2")
    assert (candle.first_trade_id, candle.last_trade_id) == (None, None)
    assert last.event_time == last.id, "nothing of the future"


def test_candles_are_asked_for_by_time() -> None:
    request = page_request("kline_1m", "BTCUSDT", 1_726_000_020_000_000, 1000)

    assert request.endpoint == "klines"
    assert dict(request.parameters) == {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "startTime": "1726000020000",
        "limit": "1000",
    }
    with pytest.raises(ValueError, match="not the documented JSON"):
        read_page("kline_1m", "BTCUSDT", b"[[1]]")


def test_the_time_is_read_in_its_unit() -> None:
    assert read_time(b'{"serverTime":1700000000000000}') == 1_700_000_000
    assert read_time(b'{"serverTime":1700000000000}', in_milliseconds=True) == 1_700_000_000


@pytest.mark.parametrize("told", [0, 10**400, 10**18, 1_700_000_000_000, -1, 2**63])
def test_a_time_that_cannot_be_is_not_taken(told: int) -> None:
    with pytest.raises(ValueError, match=r"no time of these days in micro|not the documented JSON"):
        read_time(b'{"serverTime":%d}' % told)
    with pytest.raises(ValueError, match="1700000000000000 is no time of these days in milli"):
        read_time(b'{"serverTime":1700000000000000}', in_milliseconds=True)


def test_a_proxy_gets_user_and_password() -> None:
    heads = []

    def refuse(sock) -> None:
        heads.append(read_head(sock))
        sock.sendall(b"HTTP/1.1 407 Who are you?\r\n\r\n")

    with serve(refuse) as port:
        proxy = SecretUrl(f"http://m%40e:p%C3%A9@127.0.0.1:{port}")
        exchange = ExchangeConfig(rest_url="https://exchange.invalid", proxy=proxy)
        outcome = RestClient(exchange, ssl.create_default_context(), 60.0).ask(QUESTION)
    assert isinstance(outcome, RestFailure)
    assert outcome.kind == "unavailable"
    encoded = base64.b64encode("m@e:pé".encode())
    assert b"CONNECT exchange.invalid:443 " in heads[0]
    assert b"proxy-authorization: Basic " + encoded in heads[0].replace(b"Proxy-A", b"proxy-a")
    assert "pé" not in outcome.detail
