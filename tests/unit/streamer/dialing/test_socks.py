"""SOCKS5, against a server of a few lines; a real one: tests/integration/test_proxies.py."""

import socket
import struct
import time

import pytest

from streamer.dialing.dial import dial
from streamer.errors import HandshakeError
from streamer.secret import SecretUrl
from tests.unit.streamer.loopback import PATIENCE, eventually, exactly, serve

GRANTED = b"\5\0\0\1\x7f\0\0\1\0\x50"


def server(asked, answer=GRANTED, user=None):
    """Return a handler that notes what is asked: methods, user and password, target."""

    def handle(sock):
        _, count = exactly(sock, 2)
        asked.append(exactly(sock, count))
        sock.sendall(b"\5\2" if user else b"\5\0")
        if user:
            exactly(sock, 1)
            given = tuple(exactly(sock, exactly(sock, 1)[0]) for _ in range(2))
            asked.append(given)
            sock.sendall(b"\1\0" if given == user else b"\1\1")
        kind = exactly(sock, 4)[3]
        host = (
            exactly(sock, exactly(sock, 1)[0]) if kind == 3 else exactly(sock, {1: 4, 4: 16}[kind])
        )
        asked.append((kind, host, struct.unpack("!H", exactly(sock, 2))[0]))
        sock.sendall(answer)
        sock.recv(1)

    return handle


def through(port, host, scheme="socks5h", user="", seconds=PATIENCE):
    url = SecretUrl(f"{scheme}://{user}127.0.0.1:{port}")
    return dial(host, 443, url, time.monotonic() + seconds)


@pytest.mark.parametrize(
    ("scheme", "host", "expected"),
    [
        ("socks5h", "exchange.invalid", (3, b"exchange.invalid", 443)),
        ("socks5h", "10.0.0.1", (1, b"\x0a\0\0\1", 443)),
        ("socks5h", "::1", (4, bytes(15) + b"\1", 443)),
        ("socks5", "localhost", (1, b"\x7f\0\0\1", 443)),
        ("socks5", "::1", (4, bytes(15) + b"\1", 443)),
    ],
)
def test_a_name_is_looked_up_here_or_at_the_proxy(scheme, host, expected):
    asked = []
    with serve(server(asked)) as port, through(port, host, scheme) as sock:
        assert sock.gettimeout() is not None
    assert asked == [b"\0", expected]


def test_a_name_that_is_not_found_here_is_no_fault_of_the_proxy():
    with serve(server([])) as port, pytest.raises(HandshakeError) as caught:
        through(port, "exchange.invalid", "socks5")
    assert caught.value.error_type == "dns"


def test_user_and_password_are_decoded_and_sent():
    asked = []
    with serve(server(asked, user=(b"m@e", b"p:/w"))) as port:
        through(port, "host", user="m%40e:p%3A%2Fw@").close()
        with pytest.raises(HandshakeError, match="authentication failure") as caught:
            through(port, "host", user="m%40e:hidden@")
    assert asked[:2] == [b"\0\2", (b"m@e", b"p:/w")]
    assert "hidden" not in str(caught.value)
    assert caught.value.error_type == "proxy"


@pytest.mark.parametrize(
    "answer", [GRANTED, b"\5\0\0\4" + bytes(18), b"\5\0\0\3\4host\0\x50"], ids=("v4", "v6", "name")
)
def test_what_comes_right_behind_the_answer_is_kept(answer):
    with serve(server([], answer + b"hello")) as port, through(port, "host") as sock:
        assert sock.recv(100) == b"hello"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\5\1\0\1" + bytes(6), "did not connect to host:443: General"),
        (b"\5\5\0\1" + bytes(6), "refused by destination"),
        (b"\5\x77\0\1" + bytes(6), "Invalid reply code"),
        (b"\5\0\0\x77" + bytes(6), "Invalid address type"),
        (b"\5\0\0\3\4\xff\xfe\xfd\xfc\0\x50", "failed"),
        (b"\4\0\0\1" + bytes(6), "SOCKS version"),
    ],
)
def test_a_proxy_that_does_not_connect(answer, reason):
    with serve(server([], answer)) as port, pytest.raises(HandshakeError, match=reason) as caught:
        through(port, "host")
    assert caught.value.error_type == "proxy"


@pytest.mark.parametrize(
    ("user", "reason"), [("", "asks for a user and a password"), ("me:pw@", "takes none")]
)
def test_a_proxy_that_takes_none_of_our_methods(user, reason):
    def handle(sock):
        sock.recv(100)
        sock.sendall(b"\5\xff")
        sock.recv(1)

    with serve(handle) as port, pytest.raises(HandshakeError, match=reason):
        through(port, "host", user=user)


def test_a_proxy_that_speaks_http():
    def handle(sock):
        sock.recv(100)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        sock.recv(1)

    with serve(handle) as port, pytest.raises(HandshakeError, match="is it an HTTP proxy"):
        through(port, "host")


def test_a_proxy_that_hangs_up():
    with serve(lambda sock: sock.close()) as port, pytest.raises(HandshakeError) as caught:
        through(port, "host")
    assert caught.value.error_type == "proxy"


def test_a_proxy_that_never_answers():
    silent = serve(lambda sock: sock.recv(100) and sock.recv(1))
    with silent as port, pytest.raises(HandshakeError, match="in time"):
        through(port, "host", seconds=0.1)


def test_a_proxy_that_drips_is_held_to_the_deadline():
    def drip(sock):
        sock.recv(100)
        sock.sendall(b"\5\0")
        for byte in b"\5\0\0\3\xff" + b"a" * 257:  # whole, it would be taken after 5.2 s
            time.sleep(0.02)
            sock.sendall(bytes([byte]))

    with serve(drip) as port, pytest.raises(HandshakeError, match="in time"):
        through(port, "host", seconds=0.2)


def test_a_failed_attempt_closes_its_socket():
    ended = []

    def handle(sock):
        sock.recv(100)
        sock.sendall(b"\5\xff")
        ended.append(sock.recv(1))

    with serve(handle) as port:
        with pytest.raises(HandshakeError):
            through(port, "host")
        eventually(lambda: ended)
    assert ended == [b""]


def test_what_is_returned_is_an_ordinary_socket():
    with serve(server([])) as port, through(port, "host") as sock:
        assert type(sock) is socket.socket
