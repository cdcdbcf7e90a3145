"""Hostile answers over REST end in an outcome, and hostile bodies in nothing worse than a gap."""

import contextlib
import gc
import http.client
import json
import math
import random
import socket
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.config import ExchangeConfig
from streamer.errors import HandshakeError
from streamer.order.sequence import Gap
from streamer.repair import rest
from streamer.repair.rest import RestClient
from streamer.repair.rest_requests import (
    RestFailure,
    RestResponse,
    page_request,
    read_page,
    read_time,
)
from streamer.retry_after import BAN_SECONDS_MAX
from tests.fuzzing import EXAMPLES, fuzz
from tests.unit.streamer.loopback import PATIENCE, eventually, read_head
from tests.unit.streamer.payloads import NOW_US
from tests.unit.streamer.repair.exchange_by_hand import UNIX, World

QUESTION = page_request("trade", "BTCUSDT", 7, 3)
ITEM = {
    "id": 11, "price": "65000.12", "qty": "0.00123", "quoteQty": "79.9", "time": NOW_US - 400,
    "isBuyerMaker": True, "isBestMatch": True,
}  # fmt: skip
AGGREGATE = {
    "a": 11, "p": "65000.12", "q": "0.00123", "f": 5, "l": 9, "T": NOW_US - 400, "m": True,
}  # fmt: skip
CANDLE = [NOW_US - 500_000, "1.5", "1.7", "1.4", "1.6", "10", NOW_US, "15.5", 3, "4", "6.2", "0"]
REAL = (
    [ITEM, {**ITEM, "id": 12}],
    [AGGREGATE, {**AGGREGATE, "a": 12}],
    [CANDLE],
    {"serverTime": NOW_US},
    {"code": -1121, "msg": "Invalid symbol."},
)
BODIES = st.sampled_from([json.dumps(each).encode() for each in REAL]) | st.binary(max_size=60)

STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 6
    + [b"HTTP/1.1 %d x" % each for each in (100, 101, 103, 204, 302, 304, 400, 403, 418, 429, 503)]
    + [b"HTTP/1.0 200", b"HTTP/1.1 \xb2\xb2\xb2 x", b"HTTP/1.1 " + b"9" * 5000, b"HTTP/1.1 -1 x",
       b"HTTP/2 200", b"HTTP/1.1", b"", b"HTTP/1.1 200 \x1b]0;t\x07", b"ICY 200", b"\0" * 9]
)  # fmt: skip
NUMBERS = st.sampled_from(
    [b"0", b"2", b"7", b"99", b"-5", b"\xb2", b"9" * 400, b"9" * 5000, b"1e9", b"", b"0x2", b"+1",
     b"4194305", b" 3 ", b"2, 2", b"nan", b"Fri, 27 Nov 2026 17:00:00 GMT"]
)  # fmt: skip
HEADERS = st.one_of(
    *(
        NUMBERS.map(name.__add__)
        for name in (b"Content-Length: ", b"Retry-After: ", b"X-MBX-USED-WEIGHT-1M: ")
    ),
    st.sampled_from(
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Content-Encoding: gzip",
         b"Connection: close", b"Connection: keep-alive", b"no colon", b" folded", b": x",
         b"\xff: \xe9", b"a\rb: c",
         b"Content-Type: text/html; charset=utf-7", b"A: " + b"b" * 70_000, b"A: b\r\n" * 150,
         b"HTTP/1.1 100 Continue\r\n", b"Location: \x1b[2J", b"Set-Cookie: a/b=c"]
    ),
    st.binary(max_size=20),
)  # fmt: skip
CHUNK_LINES = st.sampled_from(
    [b"1", b"2", b"a", b"-2", b"0", b"ffffffffffffffffffff", b"f" * 5000, b"\xb2", b"", b"1;x=y"]
)  # fmt: skip
PLAIN = BODIES.map(lambda body: (b"Content-Length: %d" % len(body), body))
CHUNKED = st.tuples(st.lists(st.tuples(CHUNK_LINES, BODIES), max_size=3), BODIES).map(
    lambda both: (
        b"Transfer-Encoding: chunked",
        b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in [both[1]] if body)
        + b"".join(line + b"\r\n" + body + b"\r\n" for line, body in both[0])
        + b"0\r\nT: u\r\n\r\n",
    )
)
ANSWERS = st.tuples(
    STATUS_LINES, st.lists(HEADERS, max_size=3), PLAIN | CHUNKED | st.tuples(HEADERS, BODIES)
).map(lambda each: b"\r\n".join([each[0], *each[1], each[2][0], b"", each[2][1]]))


def mutated(whole, seed, count):
    """Return bytes with `count` slices cut out, doubled or replaced."""
    order, data = random.Random(seed), bytearray(whole)
    for _ in range(count):
        begin = order.randrange(len(data) + 1)
        end = min(len(data), begin + order.choice([1, 1, 4, 30]))
        data[begin:end] = order.choice([b"", data[begin:end] * 2, order.randbytes(end - begin)])
    return bytes(data)


MUTATED = st.builds(mutated, ANSWERS | BODIES, st.integers(0, 1 << 32), st.integers(1, 4))


class Server:
    """Gives each connection the answers in turn that `answers` holds, and then its end."""

    def __init__(self):
        self.answer = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                with sock, contextlib.suppress(OSError):
                    sock.settimeout(PATIENCE)
                    if read_head(sock):
                        sock.sendall(self.answer)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(PATIENCE)


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(server):
    exchange = ExchangeConfig(rest_url=f"http://127.0.0.1:{server.port}")
    made = RestClient(exchange, None, PATIENCE)
    with pytest.MonkeyPatch.context() as patch:
        failure_of = rest.failure_of

        def expected(endpoint, error):
            known = (OSError, ValueError, http.client.HTTPException, HandshakeError)
            assert isinstance(error, known), "a mistake of ours"
            return failure_of(endpoint, error)

        patch.setattr(rest, "failure_of", expected)
        yield made
    made.close()


def ask(server, client, answer):
    server.answer = answer
    outcome = client.ask(QUESTION)
    if isinstance(outcome, RestFailure):
        assert 0 <= outcome.wait_seconds <= BAN_SECONDS_MAX
        assert outcome.detail.isprintable()
        assert len(outcome.detail) < 700
    else:
        assert isinstance(outcome, RestResponse)
        assert outcome.body[:1] in (b"[", b"{")
    assert outcome.used_weight is None or 0 <= outcome.used_weight < 1e9
    return outcome


@fuzz
@given(ANSWERS | MUTATED)
def test_any_answer_ends_in_an_outcome(server, client, answer):
    ask(server, client, answer)


def test_answers_leave_nothing_behind(server, client):
    """The same answers again and again: no memory, no descriptor, no thread more."""
    body = json.dumps(REAL[0]).encode()
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    answers = [whole, *(mutated(whole, seed, 3) for seed in range(30))]
    answers += [
        b"HTTP/1.1 429 x\r\nRetry-After: " + b"9" * 5000 + b"\r\n\r\n",
        b"A: b\r\n" * 20_000,
    ]

    def blocks():
        for answer in answers:
            ask(server, client, answer)
        gc.collect()
        return sys.getallocatedblocks()

    def held():
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    blocks()
    before, held_before = blocks(), held()
    for _ in range(max(3, EXAMPLES // 100)):
        after = blocks()
    assert after - before < 300
    # What is about to end may still be there.
    eventually(lambda: all(map(int.__le__, held(), held_before)))
    assert isinstance(ask(server, client, whole), RestResponse)


HUGE = "a number of 5000 digits"  # which Python's own JSON would not write
VALUES = st.sampled_from(
    [None, True, 0, -1, 1.5, 10**18, 2**63, 10**400, -(10**400), 1e308, math.nan, math.inf, HUGE,
     "", "0", "-1", "1e999999999", "NaN", "9" * 5000, "\u202e\x1b", "65000.12", NOW_US,
     [], {}, [[]], [{"id": 11}], {"id": 12, "a": 12}, [None, 11], "\0", "0x1", "1_0", "1,5"]
)  # fmt: skip


def changed(item, key, value):
    """Return an item of a page with another value under the `key`-th of its keys."""
    keys = range(len(item)) if isinstance(item, list) else list(item)
    copy = item.copy()
    copy[keys[key % len(keys)]] = value
    return copy


ITEMS = st.sampled_from([ITEM, {**ITEM, "id": 14}, AGGREGATE, CANDLE, REAL[3]])
CHANGED = st.builds(changed, ITEMS, st.integers(0, 11), VALUES)
PAGES = st.lists(CHANGED | ITEMS, max_size=4)
JSON = (PAGES | CHANGED | VALUES).map(
    lambda value: json.dumps(value).encode().replace(f'"{HUGE}"'.encode(), b"9" * 5000)
)
SHAPES = st.sampled_from([b"[" * 5000, b'{"a":' * 5000, b"[\xff]", b"\xff\xfe[", b"[]"])
CONTENTS = (
    JSON | BODIES | SHAPES | st.builds(mutated, JSON, st.integers(0, 1 << 32), st.integers(1, 3))
)


@fuzz
@given(
    same_venue=st.booleans(),
    contents=st.lists(CONTENTS, min_size=1, max_size=6),
    times=st.lists(st.builds(changed, st.just(REAL[3]), st.just(0), VALUES), max_size=2),
    silent=st.booleans(),
)
def test_any_body_leaves_the_order_as_it_is(same_venue, contents, times, silent):
    with TemporaryDirectory() as directory:
        world = World(Path(directory), same_venue=same_venue, give_up_after=50.0)
        endpoints = set()

        def answer(content):
            asked = [world.turn(20.0)]
            world.exchange.outcome = RestResponse(content, UNIX + world.now, UNIX + world.now)
            asked.append(world.turn(0.1))
            endpoints.update(each.endpoint for each in asked if each is not None)

        world.hear(10)
        for time in times:
            answer(json.dumps(time).encode().replace(f'"{HUGE}"'.encode(), b"9" * 5000))
        world.hear(14)
        world.silent_seconds = 100.0 if silent else 0.0
        for content in contents:
            answer(content)
        for _ in range(8):
            world.exchange.outcome = RestFailure("unavailable", "over")
            world.turn(60.0)
        assert "historicalTrades" in endpoints
        stored = [each for each in world.stored if not isinstance(each, Gap)]
        assert stored == sorted({*stored})
        assert stored[0] == 10
        assert 14 in stored, "nothing waits for ever"
        assert {*stored} <= {10, 11, 12, 13, 14}
        offset = world.counters.clock_offset_seconds
        assert offset is None or abs(offset) < 3e9


@fuzz
@given(stream=st.sampled_from(["trade", "aggTrade", "kline_1m"]), content=CONTENTS)
def test_any_body_is_a_page_or_an_error_of_one_kind(stream, content):
    unusable = []
    with contextlib.suppress(ValueError):
        events = read_page(stream, "BTCUSDT", content, unusable=unusable)
        ids = [each.id for each in events]
        assert ids == sorted({*ids})
    assert all(0 <= each.id < 2**63 for each in unusable)
    with contextlib.suppress(ValueError):
        assert 1e9 < read_time(content) < 1e10
