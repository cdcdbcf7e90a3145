from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from monitor import http as monitor_http
from monitor.http import HttpError, MetricsServer
from monitor.model import Exited
from monitor.soak_plans import PROFILES
from tests.unit.monitor.observations import EPOCH, NAME
from tests.unit.monitor.runs import Run


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    server = MetricsServer("127.0.0.1:0")
    server.start()
    yield server
    server.close()


def get(server: MetricsServer, path: str, method: str = "GET") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(*server.address, timeout=10)
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
    monkeypatch.setattr(monitor_http, "STALE_SECONDS", 0.0)
    assert get(server, "/healthz")[0] == 503


def test_other_paths_and_methods(server: MetricsServer) -> None:
    status, _, body = get(server, "/")
    assert status == 404
    assert "/metrics" in body
    assert get(server, "/metrics", "POST")[0] == 501


@pytest.mark.parametrize("address", ["127.0.0.1:http", "127.0.0.1:99999", "", "203.0.113.1:0"])
def test_an_address_that_cannot_be_served_is_named(address: str) -> None:
    with pytest.raises(HttpError, match="a free HOST:PORT is expected"):
        MetricsServer(address)


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HttpError, match=rf"127\.0\.0\.1:{port}.*in use"):
            MetricsServer(f"127.0.0.1:{port}")


def test_ipv6_is_served() -> None:
    server = MetricsServer("[::1]:0")
    server.start()
    try:
        host, port = server.address
        assert host == "::1"
        connection = http.client.HTTPConnection(host, port, timeout=10)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 503  # nothing is published yet
        connection.close()
    finally:
        server.close()
