from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from monitor.snapshot import Snapshot
from monitor.web import event_streams, exchange, pages
from monitor.web.counts import HttpCounts
from monitor.web.event_streams import EVENT_STREAMS_MAX
from monitor.web.server import CLIENTS_MAX, MetricsServer
from tests.unit.monitor.observations import EPOCH, stream
from tests.unit.monitor.runs import Run
from tests.unit.monitor.web.test_server import get, raw, received, server
from tests.waiting import eventually

__all__ = ["server"]  # the fixture

ASK = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Client:
    """One event stream, read as a browser does."""

    def __init__(self, server: MetricsServer, ask: bytes = ASK) -> None:
        self.socket = socket.create_connection(server.address, timeout=60)
        self.socket.sendall(ask)
        self._file = self.socket.makefile("rb")
        self.status = self._file.readline()
        self.headers = b""
        while (line := self._file.readline()) not in (b"\r\n", b""):
            self.headers += line
        self._left = b""

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def next(self) -> tuple[str, Any]:
        """Return the next event and its data; a message is never parted by a chunk's end."""
        while b"\n\n" not in self._left:
            size = int(self._file.readline(), 16)
            assert size, "the end"
            self._left += self._file.read(size + 2)[:-2]
        event, _, self._left = self._left.partition(b"\n\n")
        name, _, data = event.decode().partition("\n")
        if not data:
            return name, None
        return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    def state(self) -> Any:
        """Return the next state."""
        while (event := self.next())[0] != "state":
            pass
        return event[1]


@contextmanager
def client(server: MetricsServer, ask: bytes = ASK) -> Iterator[Client]:
    one = Client(server, ask)
    try:
        yield one
    finally:
        one.close()


def counts(server: MetricsServer) -> HttpCounts:
    return server._counts  # told by /metrics, which is kept for as long as a snapshot is


def snapshot(run: Run) -> Snapshot:
    return run.recorder.snapshot(run.now, EPOCH + run.now)


def test_a_client_is_told_what_is_published_as_it_is_published(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "KEEP_ALIVE_SECONDS", 600.0)
    run = Run(None).seconds(5)
    with client(server) as one:
        assert one.status == b"HTTP/1.1 200 OK\r\n"
        assert b"Content-Type: text/event-stream\r\n" in one.headers
        assert b"Cache-Control: no-store\r\n" in one.headers
        assert b"X-Accel-Buffering: no\r\n" in one.headers
        assert b"Content-Security-Policy: default-src 'none'; " in one.headers
        assert one.next() == ("retry: 1000", None)
        server.publish(snapshot(run))
        events = dict(one.next() for _ in range(3))
        assert events["state"]["time"] == EPOCH + 5
        assert [each["kind"] for each in events["events"]] == ["launched"]
        assert events["memory"][0]["name"] == "streamer-1"
        for second in (6, 7, 8):  # without anybody asking again
            server.publish(snapshot(run.seconds(1)))
            name, state = one.next()
            assert (name, state["time"]) == ("state", EPOCH + second)


def test_who_comes_later_gets_what_was_published_before(server: MetricsServer) -> None:
    server.publish(snapshot(Run(None).seconds(5)))
    for _ in range(2):
        with client(server) as one:
            assert [one.next()[0] for _ in range(4)] == [
                "retry: 1000",
                "state",
                "memory",
                "events",
            ]


def test_all_clients_get_the_same_rendering(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables: list[Snapshot] = []
    make = pages.StreamTable
    monkeypatch.setattr(pages, "StreamTable", lambda one: tables.append(one) or make(one))
    run = Run(None).seconds(5)
    with ExitStack() as stack:
        clients = [stack.enter_context(client(server)) for _ in range(5)]
        for number in (1, 2):
            server.publish(snapshot(run.seconds(1)))
            for one in clients:
                one.state()
            assert len(tables) == number
        assert get(server, "/streams")[0] == 200
        assert len(tables) == 2


def test_nothing_is_rendered_for_nobody(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "StreamTable", None)  # it would fail
    woken: list[object] = []
    monkeypatch.setattr(server._loop, "call_soon_threadsafe", lambda *call: woken.append(call))
    server.publish(snapshot(Run(None).seconds(5)))
    assert woken == []
    monkeypatch.undo()


def test_while_nothing_is_published_a_client_is_told_since_when(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "KEEP_ALIVE_SECONDS", 0.05)
    with client(server) as one:
        assert one.next()[0] == "retry: 1000"
        assert one.next() == ("stalled", {"age_seconds": None})
        server.publish(snapshot(Run(None).seconds(5)))
        ages = []
        while len(ages) < 3:
            name, data = one.next()
            if name == "stalled" and data["age_seconds"] is not None:
                ages.append(data["age_seconds"])
        assert ages == sorted(ages)


def test_beyond_its_number_a_client_is_refused_and_scrapes_go_on(server: MetricsServer) -> None:
    server.publish(snapshot(Run(None).seconds(5)))
    with ExitStack() as stack:
        clients = [stack.enter_context(client(server)) for _ in range(EVENT_STREAMS_MAX)]
        refused = raw(server, ASK)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 10\r\n" in refused
        assert f"at most {EVENT_STREAMS_MAX} event streams".encode() in refused
        # As many other clients as ever, and none of these makes room for them.
        for _ in range(200):
            stack.enter_context(socket.create_connection(server.address, timeout=60))
        eventually(lambda: counts(server).clients == CLIENTS_MAX + EVENT_STREAMS_MAX)
        assert get(server, "/metrics")[0] == 200
        server.publish(snapshot(Run(None).seconds(6)))
        for one in clients:
            while one.state()["time"] != EPOCH + 6:
                pass
    eventually(lambda: counts(server).event_streams == 0)
    assert counts(server).dropped["too many event streams"] == 1
    with client(server) as one:  # there is room again
        assert one.status.startswith(b"HTTP/1.1 200")


def test_a_client_that_takes_nothing_is_dropped_and_nobody_waits_for_it(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "RESPONSE_SECONDS", 0.3)
    monkeypatch.setattr(exchange, "STREAM_BUFFER_BYTES", 8 * 1024)  # so that it is soon full
    run = Run(None).seconds(5)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with slow, client(server) as other:
        slow.connect(server.address)
        slow.sendall(ASK)
        eventually(lambda: counts(server).event_streams == 2)
        deadline = time.monotonic() + 60
        while not counts(server).dropped["slow event stream"]:
            assert time.monotonic() < deadline
            server.publish(snapshot(run))
            other.state()  # the other one gets each of them
        assert counts(server).event_streams == 1
        assert len(received(slow)) < 200_000


def test_a_client_that_goes_is_noticed_at_once_and_is_no_trouble(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "KEEP_ALIVE_SECONDS", 600.0)
    with client(server):
        eventually(lambda: counts(server).event_streams == 1)
        assert "\nvigil_http_event_streams 1.0\n" in get(server, "/metrics")[2]
    eventually(lambda: counts(server).event_streams == 0)
    assert not counts(server).dropped


def test_head_has_the_headers_and_ends(server: MetricsServer) -> None:
    said = raw(server, ASK.replace(b"GET", b"HEAD"))
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/event-stream\r\n" in said
    assert said.endswith(b"\r\n\r\n")
    assert "internal error" not in get(server, "/metrics")[2]


def test_http_1_0_gets_it_without_chunks(server: MetricsServer) -> None:
    server.publish(snapshot(Run(None).seconds(5)))
    with socket.create_connection(server.address, timeout=60) as old:
        old.sendall(b"GET /events HTTP/1.0\r\n\r\n")
        said = b""
        while b"event: events\n" not in said:
            said += old.recv(65536)
    assert b"\r\n\r\nretry: 1000\n\nevent: state\n" in said


@pytest.mark.parametrize("path", ["/events", "/streams", "/status"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_the_page_of_a_stranger_is_refused(server: MetricsServer, path: str, site: str) -> None:
    ask = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: {site}\r\n"
    assert raw(server, f"{ask}Sec-Fetch-Mode: no-cors\r\n\r\n".encode()).startswith(b"HTTP/1.1 403")
    assert (
        'vigil_http_clients_dropped_total{reason="another site"} 1.0' in get(server, "/metrics")[2]
    )


def test_a_link_on_a_strangers_page_may_be_followed(server: MetricsServer) -> None:
    ask = (
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: cross-site\r\n"
        b"Sec-Fetch-Mode: navigate\r\n\r\n"
    )
    assert raw(server, ask).startswith(b"HTTP/1.1 200")


def test_close_ends_event_streams(server: MetricsServer) -> None:
    with client(server) as one:
        eventually(lambda: counts(server).event_streams == 1)
        server.close()
        server.publish(snapshot(Run(None).seconds(5)))  # nobody is there to be woken
        assert received(one.socket) in (b"", b"d\r\nretry: 1000\n\n\r\n")


# The table of streams ---------------------------------------------------------------------------


def test_the_streams_are_searched_sorted_and_paged(server: MetricsServer) -> None:
    assert get(server, "/streams")[0] == 503
    streams = tuple(stream(1, f"S{number:04}USDT") for number in range(120))
    run = Run(None).seconds(2, lambda _: {"streams": streams})
    server.publish(snapshot(run))
    status, kind, body = get(server, "/streams?search=s01&sort=name&page=0")
    told = json.loads(body)
    assert (status, kind) == (200, "application/json")
    assert (told["total"], told["matched"], told["rows"][0]["symbol"]) == (120, 20, "S0100USDT")
    status, _, body = get(server, "/streams?sort=wrong")
    assert (status, body) == (400, "sort: expected one of worst, name, rate, silence, events\n")


def test_the_same_query_is_answered_once_and_only_so_many_others(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[object] = []
    page: Callable[..., Any] = pages.StreamTable.page
    monkeypatch.setattr(
        pages.StreamTable, "page", lambda self, query: answered.append(query) or page(self, query)
    )
    run = Run(None).seconds(2)
    server.publish(snapshot(run))
    for _ in range(3):
        assert get(server, "/streams?search=BTC")[0] == 200
        assert get(server, "/streams?search=btc&x=1")[0] == 200
    assert len(answered) == 1
    codes = [get(server, f"/streams?search={number}")[0] for number in range(pages.QUERIES_MAX)]
    assert codes == [200] * (pages.QUERIES_MAX - 1) + [503]
    assert get(server, "/streams?search=BTC")[0] == 200
    server.publish(snapshot(run))
    assert get(server, "/streams?search=another")[0] == 200
