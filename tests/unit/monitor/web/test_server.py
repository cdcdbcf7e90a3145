from __future__ import annotations

import gc
import http.client
import json
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from http import HTTPStatus

import psutil
import pytest
from prometheus_client import Metric, parser
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from monitor.model import Exited
from monitor.soak_plans import PROFILES
from monitor.web import exchange, pages
from monitor.web.exchange import HEAD_BYTES
from monitor.web.response import Response
from monitor.web.server import (
    BACKLOG,
    CLIENTS_MAX,
    SWITCH_SECONDS,
    HttpError,
    MetricsServer,
)
from tests.strict_json import TEXT_READ, nasty_snapshot, parsed
from tests.unit.monitor.observations import EPOCH, NAME
from tests.unit.monitor.runs import Run
from tests.waiting import eventually


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    server = MetricsServer("127.0.0.1:0")
    server.start()
    yield server
    server.close()  # also a second time


def get(
    server: MetricsServer, path: str, method: str = "GET", host: str | None = None
) -> tuple[int, str, str]:
    bound, port = server.address
    connection = http.client.HTTPConnection(host or bound, port, timeout=60)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body


def test_before_the_first_snapshot(server: MetricsServer) -> None:
    assert get(server, "/metrics")[0] == 200
    assert [get(server, path)[0] for path in ("/healthz", "/readyz", "/status")] == [503] * 3


def test_a_streaming_supervisor(server: MetricsServer) -> None:
    run = Run(PROFILES["smoke"]).seconds(5)
    server.publish(run.recorder.snapshot(run.now, EPOCH))
    status, kind, body = get(server, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=0.0.4")
    assert 'process_memory_rss_bytes{streamer="streamer-1"} 6.291456e+07' in body
    assert get(server, "/healthz")[0::2] == (200, "alive\n")
    assert get(server, "/readyz?x=1")[0::2] == (200, "streaming\n")
    status, kind, body = get(server, "/status")
    assert (status, kind) == (200, "application/json")
    told = json.loads(body)
    assert told["ready"] is True
    assert told["streamers"][0]["name"] == NAME
    assert told["streamers"][0]["streams"][0]["per_second"] == 50


def test_alive_but_not_ready(server: MetricsServer) -> None:
    run = Run(PROFILES["smoke"]).seconds(5)
    run.feed(Exited(NAME, 1, 1, False, EPOCH))
    server.publish(run.recorder.snapshot(run.now, EPOCH))
    assert get(server, "/healthz")[0] == 200
    assert get(server, "/readyz")[0::2] == (503, f"{NAME}: its process is not running\n")


def test_a_loop_that_hangs_is_not_alive(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(PROFILES["smoke"]).seconds(5)
    server.publish(run.recorder.snapshot(run.now, EPOCH))
    assert get(server, "/healthz")[0] == 200  # of the same snapshot: it is not kept
    monkeypatch.setattr(pages, "STALE_SECONDS", 0.0)
    assert get(server, "/healthz")[0] == 503


@pytest.mark.parametrize(
    ("interval", "then"), [(0.005, SWITCH_SECONDS), (SWITCH_SECONDS / 2, SWITCH_SECONDS / 2)]
)
def test_the_thread_gives_way_to_the_loop_soon(interval: float, then: float) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    with closing(MetricsServer("127.0.0.1:0")) as server:
        server.start()
        found = sys.getswitchinterval()
    sys.setswitchinterval(before)
    assert found == pytest.approx(then)


def test_other_paths_and_methods(server: MetricsServer) -> None:
    status, _, body = get(server, "/metric")
    assert (status, body) == (
        404,
        "expected one of: /metrics /healthz /readyz /status / /page.css /live.css /live.js "
        "/icon.svg /streams /events\n",
    )
    said = raw(server, b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nx=1")
    assert said.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nAllow: GET, HEAD\r\n" in said
    assert get(server, "http://127.0.0.1/metrics?x")[0] == 200  # as proxies ask


def test_head_has_the_headers_of_get(server: MetricsServer) -> None:
    headers, _, body = raw(server, b"GET /status HTTP/1.1\r\nHost: [::1]:1\r\n\r\n").partition(
        b"\r\n\r\n"
    )
    assert body == b"nothing is known yet\n"
    head = raw(server, b"HEAD /status HTTP/1.1\r\nHost: [::1]:1\r\n\r\n")
    assert without_date(head) == without_date(headers + b"\r\n\r\n")
    assert "internal error" not in get(server, "/metrics")[2]  # after the head, nobody saw one
    assert b"\r\nCache-Control: no-store\r\n" in head
    assert b"\r\nContent-Security-Policy: default-src 'none'; " in head


def test_a_page_is_rendered_once_per_snapshot(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = []
    status_json = pages.status_json
    monkeypatch.setattr(pages, "status_json", lambda one: rendered.append(one) or status_json(one))
    run = Run(PROFILES["smoke"]).seconds(5)
    for _ in range(2):
        snapshot = run.recorder.snapshot(run.now, EPOCH)
        server.publish(snapshot)
        answers = {get(server, "/status") for _ in range(3)}
        assert len(answers) == 1
        assert rendered.pop() is snapshot
        assert rendered == []


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_metrics_are_rendered_once_per_snapshot(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    rendered = []
    exposition = pages._exposition
    monkeypatch.setattr(
        pages, "_exposition", lambda *told: rendered.append(told) or exposition(*told)
    )
    request = f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode()
    run = Run(PROFILES["smoke"]).seconds(5)
    for number in (1, 2):
        server.publish(run.recorder.snapshot(run.now, EPOCH))
        assert all(raw(server, request).startswith(b"HTTP/1.1 200 ") for _ in range(3))
        assert len(rendered) == number


def test_openmetrics_for_those_who_ask_for_it(server: MetricsServer) -> None:
    run = Run(PROFILES["smoke"]).seconds(5)
    server.publish(run.recorder.snapshot(run.now, EPOCH))
    get(server, "/healthz")  # so that both have a response to tell
    accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3"
    said = raw(
        server, f"GET /metrics HTTP/1.1\r\nHost: x.localhost\r\nAccept: {accept}\r\n\r\n".encode()
    )
    headers, _, body = said.decode().partition("\r\n\r\n")
    assert "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8" in headers
    openmetrics = samples(text_string_to_metric_families(body))
    plain = samples(parser.text_string_to_metric_families(get(server, "/metrics")[2]))
    assert openmetrics == plain
    assert "binance_messages_received_total" in plain


def samples(families: Iterable[Metric]) -> set[str]:
    return {sample.name for family in families for sample in family.samples}


def test_a_strangers_host_is_refused_with_the_cure(
    server: MetricsServer, caplog: pytest.LogCaptureFixture
) -> None:
    said = raw(server, b"GET /status HTTP/1.1\r\nHost: evil.example:9091\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"monitor.allowed_hosts" in said
    assert "evil.example" in caplog.text
    # HTTP/1.0 without a Host comes from no browser.
    assert raw(server, b"GET /healthz HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 503 ")


def test_a_host_that_is_allowed_by_name() -> None:
    server = MetricsServer("127.0.0.1:0", [".example.org"])
    server.start()
    try:
        said = raw(server, b"GET /metrics HTTP/1.1\r\nHost: vigil.example.org\r\n\r\n")
    finally:
        server.close()
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),  # TLS
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),  # without a Host
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 2 * HEAD_BYTES, 431),
    ],
)
def test_what_is_no_request_is_answered_as_such(
    server: MetricsServer, sent: bytes, status: int
) -> None:
    assert raw(server, sent).startswith(b"HTTP/1.1 %d " % status)


def test_a_request_that_drips_is_over_at_its_deadline(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "REQUEST_SECONDS", 0.2)
    with socket.create_connection(server.address, timeout=60) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        with suppress(ConnectionError):
            while client.send(b"x"):  # each of them within the deadline
                time.sleep(0.02)
    monkeypatch.undo()  # asking takes longer than that on a busy machine
    until(server, 'vigil_http_clients_dropped_total{reason="slow request"} 1.0')


def test_a_response_that_is_not_taken_is_over_at_its_deadline(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "RESPONSE_SECONDS", 0.2)
    large = Response(HTTPStatus.OK, b"x" * 64 * 2**20)  # more than kernel buffers hold
    monkeypatch.setitem(server._pages.paths, "/status", lambda _: large)
    with socket.create_connection(server.address, timeout=60) as client:
        client.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(server, 'vigil_http_clients_dropped_total{reason="slow response"} 1.0')
        assert len(received(client)) < len(large.body)


def test_a_client_that_does_not_close_is_closed(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "LINGER_SECONDS", 0.2)
    with socket.create_connection(server.address, timeout=60) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(100)
        until(server, "vigil_http_clients 1.0")  # the one that asks


def test_of_a_body_that_nobody_asked_for_little_is_read(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "LINGER_SECONDS", 60.0)
    with socket.create_connection(server.address, timeout=60) as client:
        client.sendall(
            b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n"
        )
        with suppress(ConnectionError):
            client.sendall(b"x" * 2 * exchange.LINGER_BYTES)
        until(server, "vigil_http_clients 1.0")


def test_resets_are_counted_and_told_in_one_line(
    server: MetricsServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(20):
        client = socket.create_connection(server.address, timeout=60)
        client.sendall(b"GET /metr")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # by a reset
    until(server, 'vigil_http_clients_dropped_total{reason="connection lost"} 20.0')
    assert [record.exc_info for record in caplog.records] == [None]
    assert "connection lost" in caplog.text
    assert "Traceback" not in capfd.readouterr().err


def test_an_error_inside_ends_one_request_only(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> Response:
        raise ZeroDivisionError

    monkeypatch.setitem(server._pages.paths, "/status", broken)
    assert raw(server, b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
    assert "ZeroDivisionError" in caplog.text
    assert get(server, "/metrics")[0] == 200


def test_idle_and_dripping_clients_leave_room_for_a_scrape(server: MetricsServer) -> None:
    process = psutil.Process()
    gc.collect()  # what earlier tests left must not be closed while we count
    threads, descriptors = process.num_threads(), process.num_fds()
    with ExitStack() as clients:
        for number in range(600):  # half of them idle
            client = clients.enter_context(socket.create_connection(server.address, timeout=60))
            if number % 2:
                client.sendall(b"GET /metrics HTTP/1.1\r\nX: x")
        assert get(server, "/metrics")[0] == 200
        assert process.num_threads() <= threads  # those of tests before may end meanwhile
        ours = process.num_fds() - 600 - descriptors
        assert 1 <= ours <= CLIENTS_MAX + BACKLOG
        until(server, f"vigil_http_clients {CLIENTS_MAX}.0")
    until(server, "vigil_http_clients 1.0")  # the one that asks


def test_close_does_not_wait_for_clients(server: MetricsServer) -> None:
    with socket.create_connection(server.address, timeout=60) as client:
        client.sendall(b"GET ")
        until(server, "vigil_http_clients 2.0")
        address = server.address
        server.close()
        assert received(client) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=60)


def raw(server: MetricsServer, sent: bytes) -> bytes:
    with socket.create_connection(server.address, timeout=60) as client:
        client.sendall(sent)
        return received(client)


def received(client: socket.socket) -> bytes:
    data = b""
    with suppress(ConnectionResetError):
        while more := client.recv(1 << 20):
            data += more
    return data


def without_date(head: bytes) -> list[bytes]:
    return [line for line in head.split(b"\r\n") if not line.startswith(b"Date:")]


def until(server: MetricsServer, line: str) -> None:
    eventually(lambda: line in get(server, "/metrics")[2].splitlines(), what=line)


@pytest.mark.parametrize("address", ["127.0.0.1:http", "127.0.0.1:99999", "", "203.0.113.1:0"])
def test_an_address_that_cannot_be_served_is_named(address: str) -> None:
    with pytest.raises(HttpError, match="expected a free HOST:PORT"):
        MetricsServer(address)


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HttpError, match=rf"127\.0\.0\.1:{port}.*in use"):
            MetricsServer(f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.1:0", "127.0.0.1"),
        ("0.0.0.0:0", "127.0.0.1"),
        ("[::1]:0", "[::1]"),
        ("[::]:0", "[::1]"),
    ],
)
def test_the_url_of_the_live_page_leads_to_it(address: str, host: str) -> None:
    server = MetricsServer(address)
    server.start()
    try:
        assert server.url == f"http://{host}:{server.address[1]}/"
        assert get(server, "/", host=host.strip("[]"))[0:2] == (200, "text/html; charset=utf-8")
    finally:
        server.close()


def test_ipv6_is_served() -> None:
    server = MetricsServer("[::1]:0")
    server.start()
    try:
        host, port = server.address
        assert host == "::1"
        connection = http.client.HTTPConnection(host, port, timeout=60)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 503  # nothing is published yet
        connection.close()
    finally:
        server.close()


def test_whatever_is_told_a_strict_reader_takes_every_page_of_json(server: MetricsServer) -> None:
    server.publish(nasty_snapshot())
    assert parsed(get(server, "/status")[2])["events_per_second"] is None
    rows = parsed(get(server, "/streams?sort=name")[2])["rows"]
    assert (TEXT_READ, None) in {(row["symbol"], row["per_second"]) for row in rows}
