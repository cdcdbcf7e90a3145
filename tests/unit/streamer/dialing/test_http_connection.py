"""HTTP answers that never end, end wrongly, or do not say where they end."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import ssl
import threading
import time

import pytest

from streamer.dialing.http_connection import HttpConnection
from streamer.dialing.tcp import connect
from streamer.errors import HandshakeError
from tests.unit.streamer.loopback import PATIENCE, Authority, read_head, serve

BYTES_MAX = 1000
NO_ANSWER = (OSError, ValueError, http.client.HTTPException)
GOOD = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\n[]"


@contextlib.contextmanager
def connected(handle, scheme="http", host="127.0.0.1", context=None):
    """Yield a connection to a server that calls `handle(sock)`, and the connections made."""
    made = []

    def count(sock):
        made.append(sock)
        handle(sock)

    with serve(count) as port:
        connection = HttpConnection(f"{scheme}://{host}:{port}", connect, context)
        yield connection, made
        connection.close()


def get(connection, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    return connection.ask("GET", "/x?y=1", {"Accept": "a/b"}, deadline, BYTES_MAX)


def says(*answers):
    """Give one answer per question, then wait for the end."""

    def handle(sock):
        for answer in answers:
            assert read_head(sock)
            sock.sendall(answer)
        sock.recv(1)

    return handle


def test_one_connection_serves_many_questions():
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1;a=b\r\n[\r\n1\r\n]\r\n0\r\nT: 1\r\n\r\n"
    )
    with connected(says(GOOD, chunked, b"HTTP/1.1 100 x\r\n\r\n" + GOOD)) as (connection, made):
        answers = [get(connection) for _ in range(3)]

    assert [each.body for each in answers] == [b"[]"] * 3
    assert answers[0].headers["x-a"] == "1"
    assert answers[0].status == 200
    assert answers[0].asked_at <= answers[0].answered_at <= time.time()
    assert len(made) == 1


def test_the_question_is_sent():
    heads = []

    def handle(sock):
        heads.append(read_head(sock))
        sock.sendall(GOOD)

    with connected(handle) as (connection, _):
        get(connection)
    assert heads[0].startswith(b"GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nAccept: a/b\r\n" in heads[0]
    assert b"\r\nAccept-Encoding: identity\r\n" in heads[0]


@pytest.mark.parametrize(
    "answer",
    [
        GOOD.replace(b"X-A: 1", b"Connection: close"),
        b"HTTP/1.0 200 OK\r\n\r\n[]",
        GOOD + GOOD.replace(b"[]", b"{}"),  # whose is the second?
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not_kept(answer):
    def handle(sock):
        read_head(sock)
        sock.sendall(answer)
        sock.close()

    with connected(handle) as (connection, made):
        bodies = [get(connection).body for _ in range(2)]
    assert bodies == [b"[]", b"[]"]
    assert len(made) == 2


def test_a_connection_that_was_closed_meanwhile_is_opened_again():
    answered, closed = threading.Event(), threading.Event()

    def handle(sock):
        read_head(sock)
        sock.sendall(GOOD)
        answered.wait(PATIENCE)
        sock.sendall(b"HTTP/1.1 408 Too late\r\n\r\n")
        sock.close()
        closed.set()

    with connected(handle) as (connection, made):
        get(connection)
        answered.set()
        assert closed.wait(PATIENCE)
        assert get(connection).status == 200
    assert len(made) == 2


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n[]"
CODING = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n2\r\n[]\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        *(
            LENGTH % length
            for length in [b"-5", b"+2", b"\xb2", b"9" * 5000, b"1001", b"3", b"2, 2", b"", b"0x2"]
        ),
        LENGTH % b"2\r\nContent-Length: 3",
        *(
            CODING % coding
            for coding in [b"gzip", b"gzip, chunked", b"chunked\r\nContent-Length: 2"]
        ),
        CODING % b"chunked\r\nTransfer-Encoding: chunked",
        CODING.replace(b"2\r\n[]", b"-2\r\n[]") % b"chunked",
        CODING.replace(b"2\r\n[]", b"f" * 5000 + b"\r\n[]") % b"chunked",
        CODING.replace(b"2\r\n[]", b"\xb2\r\n[]") % b"chunked",
        LENGTH % b"2\r\nContent-Encoding: gzip",
        *(
            b"HTTP/1.1 %s x\r\nContent-Length: 0\r\n\r\n" % status
            for status in [b"\xb2\xb2\xb2", b"9" * 5000, b"-200", b"99", b"101", b"103"]
        ),
        b"HTTP/2 200\r\n\r\n",
        b"",
        b"\x00" * 100,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n",
    ],
    ids=lambda answer: repr(answer[16:60]),
)
def test_an_answer_whose_end_or_meaning_nobody_can_tell_is_refused(answer):
    def handle(sock):
        read_head(sock)
        sock.sendall(answer)
        sock.close()

    with connected(handle) as (connection, _), pytest.raises(NO_ANSWER):
        get(connection)


def drips(beginning, piece):
    def handle(sock):
        read_head(sock)
        sock.sendall(beginning)
        while True:
            time.sleep(0.02)
            sock.sendall(piece)

    return handle


def floods(beginning, piece):
    def handle(sock):
        read_head(sock)
        sock.sendall(beginning)
        for _ in itertools.count():
            sock.sendall(piece * 1000)

    return handle


ENDLESS = {
    "status line": (b"HTTP/1.1 200 ", b"x"),
    "answers 100": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "header": (b"HTTP/1.1 200 OK\r\nA: ", b"x"),
    "headers of a 100": (b"HTTP/1.1 100 Continue\r\n", b"A: b\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\n\r\n", b"["),
    "body with length": (LENGTH % b"999", b""),
    "chunk line": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n[\r\n"),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
}


@pytest.mark.parametrize(("beginning", "piece"), ENDLESS.values(), ids=ENDLESS)
def test_an_answer_that_drips_for_ever_ends_by_the_deadline(beginning, piece):
    with connected(drips(beginning, piece)) as (connection, _), pytest.raises(TimeoutError):
        get(connection, seconds=0.15)


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [each for name, each in ENDLESS.items() if name != "body with length"],
    ids=[name for name in ENDLESS if name != "body with length"],
)
def test_an_answer_that_floods_for_ever_ends_by_its_size(beginning, piece):
    with (
        connected(floods(beginning, piece)) as (connection, _),
        pytest.raises((ValueError, http.client.HTTPException)),  # not OSError: no deadline
    ):
        get(connection)


def test_a_handshake_of_tls_that_never_ends_ends_by_the_deadline():
    with (
        connected(lambda sock: sock.recv(1) and read_head(sock), "https",
                  context=ssl.create_default_context()) as (connection, _),
        pytest.raises(HandshakeError, match=r"TLS with 127\.0\.0\.1:\d+ failed: .* timed out"),
    ):  # fmt: skip
        get(connection, seconds=0.15)


def test_tls_is_verified_and_its_connection_is_kept(tmp_path):
    authority = Authority(tmp_path)
    server_context = authority.server_context("127.0.0.1")

    def handle(sock):
        says(GOOD, GOOD)(server_context.wrap_socket(sock, server_side=True))

    trusting = ssl.create_default_context(cafile=authority.ca_file)
    with connected(handle, "https", context=trusting) as (connection, made):
        assert [get(connection).body for _ in range(2)] == [b"[]", b"[]"]
    assert len(made) == 1
    with (
        connected(handle, "https", context=ssl.create_default_context()) as (connection, _),
        pytest.raises(HandshakeError, match="unable to get local issuer certificate"),
    ):
        get(connection)
    with (
        connected(handle, "https", "localhost", trusting) as (connection, _),
        pytest.raises(HandshakeError, match="Hostname mismatch"),
    ):
        get(connection)
