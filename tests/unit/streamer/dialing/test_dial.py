"""Reaching a host through an HTTP proxy; straight connections: tests of the handshake."""

import base64
import time

import pytest

from streamer.dialing.dial import dial
from streamer.errors import HandshakeError, SettingsError
from streamer.secret import SecretUrl
from tests.ports import free_port
from tests.unit.streamer.loopback import PATIENCE, connect_proxy, read_head, serve


def deadline(seconds=PATIENCE):
    return time.monotonic() + seconds


def echo(sock):
    while data := sock.recv(100):
        sock.sendall(data.upper())


@pytest.mark.parametrize(
    ("user", "wanted"), [("", None), ("me%40home:s3cret@", b"me@home:s3cret"), ("me@", b"me:")]
)
def test_the_proxy_connects_us(user, wanted):
    heads = []
    with serve(echo) as port, serve(connect_proxy(heads)) as proxy_port:
        url = f"http://{user}127.0.0.1:{proxy_port}"
        with dial("127.0.0.1", port, SecretUrl(url), deadline()) as sock:
            sock.settimeout(PATIENCE)
            sock.sendall(b"hello")
            assert sock.recv(100) == b"HELLO"
    assert heads[0].startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % port)
    assert b"\r\nHost: 127.0.0.1:%d\r\n" % port in heads[0]
    if wanted is None:
        assert b"Authorization" not in heads[0]
    else:
        assert b"Proxy-Authorization: Basic " + base64.b64encode(wanted) in heads[0]


@pytest.mark.parametrize(
    ("host", "target"),
    [("::1", b"[::1]"), ("börse.example", b"xn--brse-5qa.example"), ("10.0.0.1", b"10.0.0.1")],
)
def test_how_a_target_is_written(host, target):
    heads = []

    def handle(sock):
        heads.append(read_head(sock))
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with serve(handle) as proxy_port:
        dial(host, 443, SecretUrl(f"http://127.0.0.1:{proxy_port}"), deadline()).close()
    assert heads[0].startswith(b"CONNECT " + target + b":443 HTTP/1.1\r\n")


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_a_host_that_is_no_name_is_an_error_like_any_other(scheme):
    with serve(lambda sock: sock.recv(100) and sock.sendall(b"\5\0")) as port:
        proxy = SecretUrl(f"{scheme}://127.0.0.1:{port}")
        with pytest.raises(HandshakeError):
            dial("a" * 64 + ".example", 443, proxy, deadline())


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407.*asks for a user"),
        (b"HTTP/1.1 407 Bad\r\nContent-Length: 1000000\r\n\r\n" + bytes(10**6), "asks for a user"),
        (b"HTTP/1.0 403 Forbidden\r\n\r\n", "port 443 only"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "100 Continue"),
        (b"HTTP/1.1 \xb2\xb2\xb2 x\r\n\r\n", "²²²"),
        (b"HTTP/1.1 " + b"9" * 5000 + b"\r\n\r\n", "answered .{102}$"),
        (b"HTTP/1.1 20\r\n\r\n", "answered"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "answered"),
        (b"HTTP/1.1 403 \x1b]0;title\x07\nforged\r\n\r\n", r"403 \\x1b\]0;title\\x07\\nforged"),
        (b"SSH-2.0-x\r\n\r\n", "SSH"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000, "does not end"),
    ],
)
def test_a_proxy_that_does_not_connect(answer, word):
    def handle(sock):
        read_head(sock)
        sock.sendall(answer)
        if answer:
            sock.recv(1)
        sock.close()

    with serve(handle) as port, pytest.raises(HandshakeError, match=word) as caught:
        dial("host", 1, SecretUrl(f"http://127.0.0.1:{port}"), deadline())
    assert caught.value.error_type == "proxy"


def test_a_proxy_that_never_answers():
    silent = serve(lambda sock: sock.recv(100_000) and sock.recv(1))
    with silent as port, pytest.raises(HandshakeError, match="in time") as caught:
        dial("host", 1, SecretUrl(f"http://127.0.0.1:{port}"), deadline(0.1))
    assert caught.value.error_type == "proxy"


def test_a_user_that_the_proxy_does_not_take():
    def handle(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 407 No\r\n\r\n")
        sock.recv(1)

    with serve(handle) as port, pytest.raises(HandshakeError, match="does not take") as caught:
        dial("host", 1, SecretUrl(f"http://me:hidden@127.0.0.1:{port}"), deadline())
    assert "hidden" not in str(caught.value)


def test_a_proxy_that_drips():
    def handle(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            sock.sendall(b"x")
            time.sleep(0.01)

    with serve(handle) as port, pytest.raises(HandshakeError, match="in time"):
        dial("host", 1, SecretUrl(f"http://127.0.0.1:{port}"), deadline(0.1))


def test_what_comes_right_behind_the_answer_is_kept():
    def handle(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        sock.recv(1)

    with (
        serve(handle) as port,
        dial("host", 1, SecretUrl(f"http://127.0.0.1:{port}"), deadline()) as sock,
    ):
        assert sock.recv(100) == b"hello"


def test_a_proxy_that_is_not_there():
    with pytest.raises(HandshakeError, match="the proxy") as caught:
        dial("host", 1, SecretUrl(f"http://127.0.0.1:{free_port()}"), deadline())
    assert caught.value.error_type == "proxy"


def test_a_bad_proxy_url_is_a_setting_and_shows_no_password():
    with pytest.raises(SettingsError, match=r"exchange\.proxy has no usable host") as caught:
        dial("host", 1, SecretUrl("http://me:hidden@h:port"), deadline())
    assert "hidden" not in str(caught.value)
