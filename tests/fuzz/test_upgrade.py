"""A hostile answer to an upgrade ends in a transport or one clear error, and leaves nothing."""

import base64
import contextlib
import gc
import hashlib
import itertools
import random
import socket
import sys

import pytest
import websocket
from hypothesis import given
from hypothesis import strategies as st

from streamer.config import ConnectionConfig, ExchangeConfig
from streamer.errors import ConnectionLost, HandshakeError, UpgradeError
from streamer.network import boundary, handshake
from tests.fuzzing import EXAMPLES, fuzz

URL = "ws://localhost:1/stream"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = base64.b64encode(
    hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
)
AGREED = (
    b"HTTP/1.1 101 Switching Protocols\r\n",
    b"Upgrade: websocket\r\n",
    b"Connection: Upgrade\r\n",
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n",
)
ODD = (
    b"HTTP/1.1 \xb2\xb2\xb2 x\r\n",
    b"HTTP/1.1 429 No\r\n",
    b"HTTP/1.1 302 \x1b[2J\r\n",
    b"HTTP/1.1 100\r\n",
    b"HTTP/1.1 " + b"9" * 5000 + b"\r\n",
    b"HTTP/9.9 101\r\n",
    b"Set-Cookie: a/b=c\r\n",
    b"Set-Cookie: a=b; domain=localhost\r\n",
    b"Retry-After: " + b"9" * 400 + b"\r\n",
    b"Retry-After: -1\r\n",
    b"Retry-After: \xb2\r\n",
    b"Location: \x1b]0;t\x07\x9b1m\r\n",
    b"Upgrade: \xff\r\n",
    b"Sec-WebSocket-Accept: \xe9\r\n",
    b"Content-Length: 99999999999\r\n",
    b"Content-Length: x\r\n",
    b": \r\n",
    b"no colon\r\n",
    b" folded\r\n",
    b"X: y\r\n" * 3000,
    b"X: " + b"z" * 70_000,
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\x81\x05hello",
)
MUTATED = st.tuples(st.permutations(AGREED), st.lists(st.sampled_from(ODD), max_size=4)).flatmap(
    lambda both: st.permutations([*both[0], *both[1]])
)
IN_ORDER = st.lists(st.sampled_from(ODD) | st.binary(max_size=30), max_size=3).map(
    lambda odd: [*AGREED, *odd]
)
ANYTHING = st.lists(st.sampled_from(AGREED + ODD) | st.binary(max_size=30), max_size=8)
ANSWERS = st.tuples(ANYTHING | MUTATED | IN_ORDER, st.sampled_from([b"", b"\r\n", b"\r\n\x81\x00"]))


@pytest.fixture(scope="module", autouse=True)
def _known_key():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(websocket._handshake, "_create_sec_websocket_key", lambda: KEY)
        patch.setattr(boundary, "_told", set())
        yield
        assert boundary._told == set()  # no answer has shown a mistake of ours
    assert websocket._handshake.CookieJar.jar == {}


def answered(answer):
    """Return what stands behind an answer that agrees, None after an error."""
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.MonkeyPatch.context() as patch:
        for one in (ours, theirs):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        patch.setattr(handshake, "dial", lambda *_: ours)
        try:
            transport = handshake.open_transport(
                URL, ConnectionConfig(handshake_timeout=60.0), ExchangeConfig(), None
            )
        except HandshakeError as caught:
            error = caught
        else:
            with contextlib.suppress(ConnectionLost):  # nothing stands behind
                return transport.receive()
            return b""
    assert error.error_type in {"upgrade", "lost"}
    assert str(error).isprintable()
    assert len(str(error).encode()) < 1500
    if isinstance(error, UpgradeError):
        assert 100 <= error.status <= 999
        assert error.retry_after_seconds is None or 0 <= error.retry_after_seconds <= 3 * 86400
    return None


@fuzz
@given(ANSWERS)
def test_any_answer(answer):
    parts, end = answer
    whole = b"".join(parts) + end
    behind = answered(whole)
    if behind is not None:
        head, _, rest = whole.replace(b"\r\n", b"\n").partition(b"\n\n")
        assert head.split(b"\n")[0].split(b" ")[1] == b"101"
        assert ACCEPT in head
        assert behind.replace(b"\r\n", b"\n") == rest


def test_an_agreement_is_taken():
    """What the fuzz test takes for an error otherwise might be its own."""
    assert answered(b"".join(AGREED) + b"\r\n\x81\x05hello") == b"\x81\x05hello"
    assert answered(b"".join((*AGREED, *ODD[6:12])) + b"\r\nbehind") == b"behind"


def test_answers_leave_no_memory():
    """Neither in the library nor here: a thing kept per answer would be one block each at least."""
    chance = random.Random(11)

    def some(count):
        for number in range(count):
            odd = [*chance.choices(ODD, k=2), b"Set-Cookie: a=b; domain=d%d\r\n" % number]
            answered(b"".join((*AGREED, *odd)) + b"\r\n")
        gc.collect()
        return sys.getallocatedblocks()

    count = max(50, EXAMPLES // 20)
    blocks = [some(count) for _ in range(5)]
    assert min(after - before for before, after in itertools.pairwise(blocks)) < count / 4
