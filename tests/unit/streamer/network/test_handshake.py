import base64
import contextlib
import dataclasses
import hashlib
import re
import socket
import ssl
import threading
import time
import weakref

import pytest
import websocket
from websockets.sync.server import serve as serve_websockets

from streamer.config import ExchangeConfig
from streamer.connection_config import ConnectionConfig
from streamer.errors import HandshakeError, SettingsError, UpgradeError
from streamer.network import boundary, handshake
from streamer.network.frames import FrameParser
from streamer.network.handshake import make_ssl_context, open_transport
from tests.ports import free_port
from tests.unit.streamer.loopback import (
    PATIENCE,
    Authority,
    no_garbage_collector,
    read_head,
    readable,
    serve,
)

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
QUICK = ConnectionConfig(handshake_timeout=0.3)
PATIENT = ConnectionConfig(handshake_timeout=PATIENCE)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@contextlib.contextmanager
def websocket_server(tls=None):
    """A server that greets right behind the upgrade and echoes afterwards."""

    def handle(connection):
        connection.send("hello")
        for message in connection:
            connection.send(message)

    with serve_websockets(handle, "127.0.0.1", 0, ssl=tls) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join()


def exchange(url, **settings):
    return ExchangeConfig(websocket_url=url, **settings)


def open_at(url, connection=PATIENT, **settings):
    config = exchange(url, **settings)
    return open_transport(url, connection, config, make_ssl_context(config))


def first_message(transport):
    parser = FrameParser(1000)
    while True:
        messages = parser.feed(transport.receive())
        if messages:
            transport.close()
            return messages[0]
        readable(transport)


def refused(url, connection=PATIENT, **settings):
    """Return the error of an attempt that must fail, after checking that it kept its time."""
    began = time.monotonic()
    with pytest.raises(HandshakeError) as caught:
        open_at(url, connection, **settings)
    assert time.monotonic() - began < connection.handshake_timeout + PATIENCE  # and not for ever
    return caught.value


def answering(text):
    """A handler that answers any head with `text`, keeps the socket and lets it go in time."""

    def handle(sock):
        read_head(sock)
        sock.sendall(text)
        sock.recv(1)

    return handle


def test_plain():
    with websocket_server() as port:
        assert first_message(open_at(f"ws://127.0.0.1:{port}/stream")) == b"hello"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_tls_with_an_authority_of_our_own(authority, host):
    with websocket_server(authority.server_context("localhost", "127.0.0.1")) as port:
        transport = open_at(f"wss://{host}:{port}/ws?a=b", ca_file=authority.ca_file)
        assert first_message(transport) == b"hello"


def test_an_unknown_authority_is_refused_and_the_cure_is_named(authority):
    with websocket_server(authority.server_context("localhost")) as port:
        error = refused(f"wss://localhost:{port}")
    assert error.error_type == "tls"
    assert "exchange.ca_file" in str(error)


def test_a_certificate_for_another_host_is_refused(authority):
    with websocket_server(authority.server_context("example.org")) as port:
        error = refused(f"wss://localhost:{port}", ca_file=authority.ca_file)
    assert error.error_type == "tls"
    assert "another host name" in str(error)
    assert f"localhost:{port}" in str(error)


def test_an_expired_certificate_is_refused(authority):
    with websocket_server(authority.server_context("localhost", valid_days=-1)) as port:
        error = refused(f"wss://localhost:{port}", ca_file=authority.ca_file)
    assert error.error_type == "tls"
    assert "expired" in str(error)


def test_verification_can_be_switched_off(authority):
    with websocket_server(authority.server_context("example.org", valid_days=-1)) as port:
        assert first_message(open_at(f"wss://localhost:{port}", verify_tls=False)) == b"hello"


def test_tls_to_a_server_without_tls():
    with serve(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        error = refused(f"wss://localhost:{port}")
    assert error.error_type == "tls"


def test_old_tls_is_not_spoken():
    context = make_ssl_context(exchange("wss://localhost"))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_no_context_without_tls():
    assert make_ssl_context(exchange("ws://localhost", rest_url="http://localhost")) is None


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_unusable_ca_file_is_a_setting_to_correct(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"exchange\.ca_file is .*ca\.pem"):
        make_ssl_context(exchange("wss://localhost", ca_file=path))


@pytest.mark.parametrize(
    "url", ["http://localhost", "wss://", "wss://localhost:port", "wss://[::1", "ws://a..b"]
)
def test_an_unusable_url_is_a_setting_to_correct(url):
    with pytest.raises(SettingsError, match=r"exchange\.websocket_url"):
        open_transport(url, PATIENT, exchange(url), None)


def test_a_name_that_does_not_exist():
    error = refused("ws://nothing.invalid:1")
    assert error.error_type == "dns"
    assert "nothing.invalid" in str(error)


def test_a_resolver_that_hangs(monkeypatch):
    go = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: go.wait(10) and [])
    error = refused("ws://slow.example:1", QUICK)
    go.set()
    assert error.error_type == "dns"


def test_nobody_listens():
    port = free_port()
    error = refused(f"ws://127.0.0.1:{port}")
    assert error.error_type == "refused"
    assert f"127.0.0.1:{port}" in str(error)


def test_the_next_address_is_tried(monkeypatch):
    dead = ("127.0.0.1", free_port())
    with websocket_server() as port:
        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", dead),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        assert first_message(open_at("ws://two.example:1")) == b"hello"


def test_a_silent_address_leaves_time_for_the_next(monkeypatch):
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    crowd = [socket.socket() for _ in range(3)]
    for sock in crowd:  # a full backlog: further SYNs are dropped
        sock.setblocking(False)
        sock.connect_ex(full.getsockname())
    try:
        with websocket_server() as port:
            addresses = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", full.getsockname()),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
            config = dataclasses.replace(PATIENT, handshake_timeout=5.0)
            assert first_message(open_at("ws://two.example:1", config)) == b"hello"
    finally:
        for sock in (full, *crowd):
            sock.close()


def drip(sock):
    """Begin an answer, HTTP or a TLS record as fits the question, and never end it."""
    tls = sock.recv(65536)[:1] == b"\x16"
    beginning = b"\x16\x03\x03\x40\x00" if tls else b"HTTP/1.1 101 Switching Protocols\r\nX: "
    with contextlib.suppress(OSError):
        for byte in beginning + b"x" * 10_000:
            sock.sendall(bytes([byte]))
            time.sleep(0.02)


def hold(sock):
    with contextlib.suppress(OSError):
        while sock.recv(65536):
            pass


@pytest.mark.parametrize("handle", [hold, drip])
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_server_that_never_finishes(handle, scheme):
    with serve(handle) as port:
        error = refused(f"{scheme}://localhost:{port}", QUICK)
    assert error.error_type == "timeout"


WHOLE, ENDLESS = b"Content-Length: 2\r\n\r\nno", b"Content-Length: 99\r\n\r\nno"


@pytest.mark.parametrize(
    ("status", "body", "connection"),
    [
        ("429 Too Many Requests", WHOLE, PATIENT),
        ("418 I'm a teapot", WHOLE, PATIENT),
        ("403 Forbidden", WHOLE, PATIENT),
        # Its end never comes: it is waited for until the time is over.
        ("403 Forbidden", ENDLESS, ConnectionConfig(handshake_timeout=2.0)),
    ],
)
def test_a_refused_upgrade_tells_status_and_retry_after(status, body, connection):
    answer = f"HTTP/1.1 {status}\r\nRetry-After: 120\r\n".encode() + body
    with serve(answering(answer)) as port:
        error = refused(f"ws://localhost:{port}", connection)
    assert isinstance(error, UpgradeError)
    assert error.error_type == "upgrade"
    assert error.status == int(status[:3])
    assert error.retry_after_seconds == 120.0
    assert status in str(error)


def test_a_refusal_without_or_with_a_strange_retry_after():
    for line in (b"", b"Retry-After: tomorrow\r\n", b"Retry-After: -5\r\n"):
        with serve(answering(b"HTTP/1.1 503 Busy\r\n" + line + b"\r\n")) as port:
            assert refused(f"ws://localhost:{port}").retry_after_seconds is None


def test_an_endless_body_is_cut():
    def handle(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 99999999999\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"x" * 65536)

    with serve(handle) as port:
        assert refused(f"ws://localhost:{port}").status == 403


def test_a_redirect_is_not_followed():
    visits = []
    with serve(visits.append) as elsewhere:
        head = f"HTTP/1.1 302 Found\r\nLocation: ws://localhost:{elsewhere}/\r\n\r\n"
        with serve(answering(head.encode())) as port:
            error = refused(f"ws://localhost:{port}")
    assert error.status == 302
    assert f"ws://localhost:{elsewhere}/" in str(error)
    assert visits == []


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\r\n\r\n",
        b"\xff\xfe\xff\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: d3Jvbmc=\r\n\r\n",
    ],
)
def test_garbage_for_an_upgrade(answer):
    with serve(answering(answer)) as port:
        error = refused(f"ws://localhost:{port}")
    assert error.error_type == "upgrade"
    assert not isinstance(error, UpgradeError)


AGREED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def agreeing(lines):
    """A handler that agrees, with more lines in its head, and greets."""

    def handle(sock):
        (key,) = re.findall(rb"Sec-WebSocket-Key: (\S+)", read_head(sock))
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        sock.sendall(AGREED + b"Sec-WebSocket-Accept: " + accept + b"\r\n" + lines + b"\r\n")
        sock.sendall(b"\x81\x05hello")
        sock.recv(1)

    return handle


@pytest.mark.parametrize(
    "lines",
    [
        b"Set-Cookie: a/b=c\r\n",
        b"Set-Cookie: a=b; domain=localhost\r\n",
        b"X: \xff\xfe\r\n",
        b"no colon\r\n",
        b"X: y\r\n" * 10_000,
        b"Content-Length: 99999999999\r\n",
    ],
    ids=lambda lines: lines[:20].decode("latin-1"),
)
def test_headers_that_nobody_asked_for_change_nothing(lines):
    with serve(agreeing(lines)) as port:
        assert first_message(open_at(f"ws://localhost:{port}")) == b"hello"
    assert websocket._handshake.CookieJar.jar == {}  # the library would send it, for ever


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 \xb2\xb2\xb2 x\r\n\r\n", AGREED + b"X: " + b"y" * 70_000],
    ids=["status in superscript", "head without an end"],
)
def test_a_hostile_head_is_a_failed_attempt(answer):
    with serve(answering(answer)) as port:
        error = refused(f"ws://localhost:{port}")
    assert error.error_type == "upgrade"
    assert len(str(error)) < 500


def test_an_error_of_the_library_is_a_failed_attempt(monkeypatch, caplog):
    monkeypatch.setattr(boundary, "_told", set())
    monkeypatch.setattr(websocket, "create_connection", lambda *_, **__: [][0])
    with serve(hold) as port:
        error = refused(f"ws://localhost:{port}")
    assert error.error_type == "internal"
    assert "IndexError" in caplog.text


def test_a_server_that_hangs_up():
    with serve(lambda sock: (read_head(sock), sock.close())) as port:
        assert refused(f"ws://localhost:{port}").error_type == "lost"


def test_a_server_that_hangs_up_during_tls():
    with serve(lambda sock: (sock.recv(100_000), sock.close())) as port:
        assert refused(f"wss://localhost:{port}").error_type == "lost"


@pytest.fixture
def transports(monkeypatch):
    """Those that are alive."""
    alive = weakref.WeakSet()

    class Watched(handshake.Transport):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            alive.add(self)

    monkeypatch.setattr(handshake, "Transport", Watched)
    return alive


def test_a_transport_is_freed_without_the_garbage_collector(authority, transports):
    with no_garbage_collector():
        with websocket_server(authority.server_context("localhost")) as port:
            transport = open_at(f"wss://localhost:{port}", ca_file=authority.ca_file)
            assert len(transports) == 1
            assert first_message(transport) == b"hello"
        del transport
        assert not transports


@pytest.mark.parametrize(
    ("scheme", "handle"),
    [
        ("ws", answering(b"HTTP/1.1 503 Busy\r\n\r\n")),
        ("ws", answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")),
        ("ws", hold),
        ("ws", lambda sock: (read_head(sock), sock.close())),
        ("wss", hold),
        ("wss", lambda sock: (sock.recv(100_000), sock.close())),
    ],
)
def test_a_failed_attempt_is_freed_without_the_garbage_collector(transports, scheme, handle):
    with no_garbage_collector():
        with serve(handle) as port, contextlib.suppress(HandshakeError):
            open_at(f"{scheme}://localhost:{port}", QUICK)
        assert not transports
