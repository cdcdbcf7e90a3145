"""Whatever is sent to the metrics port ends in an HTTP response or a closed connection."""

import errno
import http.client
import re
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.web.server import MetricsServer
from tests.fuzzing import fuzz
from tests.unit.monitor.observations import EPOCH
from tests.unit.monitor.runs import Run
from tests.waiting import eventually

METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"PRI", b""]) | st.binary(
    max_size=8
)
TARGETS = (
    st.sampled_from([b"/metrics", b"/healthz", b"/status", b"/", b"/events", b"*", b"//["])
    | st.binary()
    | st.binary(max_size=40).map(b"/streams?search=".__add__)
    | st.binary(max_size=40).map(b"/streams?".__add__)
)
NAMES = st.sampled_from(
    [
        b"Host",
        b"Accept",
        b"Content-Length",
        b"Transfer-Encoding",
        b"Expect",
        b"Connection",
        b"Sec-Fetch-Site",
        b"Last-Event-ID",
    ]
) | st.binary(max_size=8)
VALUES = st.sampled_from(
    [
        b"localhost",
        b"127.0.0.1:1",
        b"evil",
        b"3",
        b"-1",
        b"chunked",
        b"100-continue",
        b"[",
        b"\xff",
        b"application/openmetrics-text;version=x;escaping=y",
        b"9" * 5000,
    ]
) | st.binary(max_size=40)
REQUESTS = st.builds(
    lambda method, target, version, headers, end: (
        method
        + b" "
        + target
        + b" "
        + version
        + b"\r\n"
        + b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        + end
    ),
    METHODS,
    TARGETS,
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9"]) | st.binary(max_size=10),
    st.lists(st.tuples(NAMES, VALUES), max_size=5),
    st.sampled_from([b"\r\n", b"\n", b"", b"\r\n{}"]),
)
SENT = st.one_of(
    st.binary(max_size=300),
    REQUESTS,
    st.builds(lambda piece, times: piece * times, st.binary(min_size=1), st.integers(1, 5000)),
)


@pytest.fixture(scope="module")
def server():
    opened = MetricsServer("127.0.0.1:0")
    opened.start()
    run = Run(None).seconds(3)
    opened.publish(run.recorder.snapshot(run.now, EPOCH))
    yield opened

    def told():
        opened._pages.latest = None  # its /metrics is kept as it is
        connection = http.client.HTTPConnection(*opened.address, timeout=60)
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()

    nothing_stays = ("vigil_http_clients 1.0", "vigil_http_event_streams 0.0")
    eventually(lambda: all(one in told() for one in nothing_stays), what="the end of all clients")
    assert "internal error" not in told()
    opened.close()


@fuzz
@given(st.lists(SENT, min_size=1, max_size=3))
def test_everything_is_answered_or_hung_up_on(server, pieces):
    with socket.create_connection(server.address, timeout=60) as client:
        said = b""
        try:
            for piece in pieces:
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(65536):
                said += data
        except ConnectionError:
            pass  # it was answered and hung up on before the rest
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # of shutdown(), after a reset
                raise
    assert said == b"" or re.match(rb"HTTP/1\.1 (200|400|403|404|405|431|501|503) ", said), said
