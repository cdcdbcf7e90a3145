"""A hostile proxy's answer ends in a connected socket or one clear error, in no other way."""

import re
import socket
import time

from hypothesis import given
from hypothesis import strategies as st

from streamer.dialing.http_connect import connect_by_http
from streamer.dialing.proxy import parse_proxy
from streamer.dialing.socks import connect_by_socks
from streamer.errors import HandshakeError
from streamer.secret import SecretUrl
from tests.fuzzing import fuzz

AGREED = re.compile(rb"HTTP/1\.[01] 2[0-9][0-9](?: [^\r]*|(?=\r))", re.DOTALL)
SPECIAL = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 407 No\r\n", b"HTTP/1.1 \xb2\xb2\xb2 x\r\n", b"HTTP/1.1 ",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n", b"\r\n\r\n", b"Via: x\r\n", b": \x00\xff\r\n",
    b"Content-Length: 1000000\r\n", b"9" * 500, b"\x1b]0;title\x07", b"\n",
]  # fmt: skip
HTTP = st.lists(st.sampled_from(SPECIAL) | st.binary(max_size=20), max_size=8).map(b"".join)
SOCKS_PARTS = [
    b"\x05\x00", b"\x05\x02", b"\x05\xff", b"\x01\x00", b"\x01\x01", b"\x05\x01\x00\x01",
    b"\x05\x00\x00\x01" + bytes(6), b"\x05\x00\x00\x04" + bytes(18), b"\x05\x00\x00\x03\xff",
    b"\x05\x00\x00\x03\x04host\x00\x01", b"\x05\x00\x00\x03\x02\xff\xff\x00\x01", b"HTTP/1.1 400",
]  # fmt: skip
ANY_SOCKS = st.lists(st.sampled_from(SOCKS_PARTS) | st.binary(max_size=12), max_size=6)
GREETINGS = st.sampled_from([[b"\x05\x00"], [b"\x05\x02\x01\x00"], []])  # mostly as they should be
SOCKS = st.builds(list.__add__, GREETINGS, ANY_SOCKS).map(b"".join)


def behind_socks(answer, user):
    """Return what stands behind an answer that grants what was asked for, else None."""
    if answer[:2] == b"\x05\x00":
        rest = answer[2:]
    elif user and answer[:4] == b"\x05\x02\x01\x00":
        rest = answer[4:]
    else:
        return None
    kind, name_length = rest[3:4], rest[4] if len(rest) > 4 else 0
    length = {b"\x01": 10, b"\x04": 22, b"\x03": 7 + name_length}.get(kind, 1 << 30)
    if rest[:3] != b"\x05\x00\x00" or len(rest) < length:
        return None
    if kind == b"\x03":
        try:
            rest[5 : 5 + name_length].decode()
        except UnicodeDecodeError:
            return None
    return rest[length:]


def answered(connect, url, answer):
    """Return what stands behind a proxy's answer on the connected socket, None after an error."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        try:
            sock = connect(ours, parse_proxy(SecretUrl(url)), "host", 443, time.monotonic() + 60)
        except HandshakeError as caught:
            error = caught
        else:
            with sock or ours as connected:
                return b"".join(iter(lambda: connected.recv(65536), b""))
        said = str(error)
        assert error.error_type == "proxy"
        assert "hidden" not in said
        assert len(said) < 1_000
        assert said.isprintable()
        return None


@fuzz
@given(HTTP, st.sampled_from(["", "me:hidden@"]))
def test_any_answer_to_connect(answer, user):
    rest = answered(connect_by_http, f"http://{user}proxy:1", answer)
    head, end, behind = answer.partition(b"\r\n\r\n")
    agreed = end and AGREED.fullmatch(head.partition(b"\r\n")[0])
    assert rest == (behind if agreed else None)


@fuzz
@given(SOCKS, st.sampled_from(["", "me:hidden@"]))
def test_any_answer_to_socks(answer, user):
    rest = answered(connect_by_socks, f"socks5h://{user}proxy:1", answer)
    assert rest == behind_socks(answer, user)


def test_the_fuzzers_agree_with_honest_proxies():
    assert answered(connect_by_http, "http://proxy:1", b"HTTP/1.1 200 OK\r\n\r\nx") == b"x"
    granted = b"\x05\x02\x01\x00\x05\x00\x00\x03\x04host\x00\x01"
    assert answered(connect_by_socks, "socks5h://me:pw@proxy:1", granted + b"x") == b"x"
