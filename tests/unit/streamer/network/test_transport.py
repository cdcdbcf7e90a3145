import socket
import ssl
import threading
import time

import pytest

from streamer.errors import ConnectionLost
from streamer.network.transport import Transport
from tests.unit.streamer.loopback import PATIENCE, Authority, eventually, readable, reset, serve


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def client_context(authority):
    return ssl.create_default_context(cafile=authority.ca_file)


def open_plain(port):
    return Transport(socket.create_connection(("127.0.0.1", port)))


def open_tls(port, context):
    transport = Transport(socket.create_connection(("127.0.0.1", port)), context, "localhost")
    transport.do_handshake(time.monotonic() + PATIENCE)
    return transport


def read_to_end(transport):
    """Return everything up to the end of the stream, and how it ended."""
    received = bytearray()
    while True:
        if transport.lost is None:
            readable(transport)
        try:
            received += transport.receive()
        except ConnectionLost as end:
            return bytes(received), end


class MemoryServer:
    """TLS of a server in memory, so that a test decides which bytes leave when."""

    def __init__(self, context, sock, early=b""):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.push()
                self.incoming.write(sock.recv(65536))
            else:
                if early:
                    self.tls.write(early)
                self.push()
                return

    def push(self):
        self.sock.sendall(self.outgoing.read())


def test_plain_bytes_come_before_the_end():
    with serve(lambda sock: (sock.sendall(b"last words"), sock.close())) as port:
        data, end = read_to_end(open_plain(port))
    assert data == b"last words"
    assert end.reason == "eof"


def test_a_reset_is_told_as_such():
    go = threading.Event()
    with serve(lambda sock: (go.wait(), reset(sock))) as port:
        transport = open_plain(port)
        assert transport.receive() == b""
        assert transport.drained
        go.set()
        data, end = read_to_end(transport)
    assert (data, end.reason) == (b"", "reset")


def test_thousands_of_records_come_in_few_calls(authority):
    context = authority.server_context("localhost")
    messages = [b"message %05d;" % number for number in range(5000)]

    def handle(sock):
        server = MemoryServer(context, sock)
        for message in messages:
            server.tls.write(message)  # each in a record of its own
        server.push()
        sock.close()

    with serve(handle) as port:
        data, end = read_to_end(open_tls(port, client_context(authority)))
    assert data == b"".join(messages)
    assert end.reason == "eof"  # without a close_notify: a normal end


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_directions_in_every_version(authority, version):
    context = authority.server_context("localhost")
    context.maximum_version = context.minimum_version = version

    def handle(sock):
        with context.wrap_socket(sock, server_side=True) as tls:
            while data := tls.recv(65536):
                tls.sendall(data.upper())

    with serve(handle) as port:
        transport = open_tls(port, client_context(authority))
        transport.send(b"ping")
        received = b""
        while received != b"PING":
            readable(transport)
            received += transport.receive()
        transport.close()
    assert transport.fileno() == -1


def test_a_record_cut_in_two_waits_for_its_other_half(authority):
    context = authority.server_context("localhost")
    go = threading.Event()

    def handle(sock):
        server = MemoryServer(context, sock)
        server.tls.write(b"first")
        server.push()
        server.tls.write(b"second")
        record = server.outgoing.read()
        sock.sendall(record[:10])
        go.wait()
        sock.sendall(record[10:])

    with serve(handle) as port:
        transport = open_tls(port, client_context(authority))
        received = b""
        while received != b"first":
            readable(transport)
            received += transport.receive()
        assert transport.receive() == b""
        go.set()
        while received != b"firstsecond":
            readable(transport)
            received += transport.receive()


def test_data_in_the_same_segment_as_the_end_of_the_handshake(authority):
    """It is in TLS's memory already, so that the socket would never become readable for it."""
    context = authority.server_context("localhost")
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # there, the server has the last word
    go = threading.Event()

    def handle(sock):
        server = MemoryServer(context, sock, early=b"early")
        go.wait()
        server.sock.close()

    with serve(handle) as port:
        transport = open_tls(port, client_context(authority))
        assert transport.receive() == b"early"
        go.set()


def test_close_notify_ends_the_stream_though_tcp_stays_open(authority):
    context = authority.server_context("localhost")
    go = threading.Event()

    def handle(sock):
        server = MemoryServer(context, sock)
        server.tls.write(b"bye")
        try:
            server.tls.unwrap()
        except ssl.SSLWantReadError:
            server.outgoing.write(b"garbage behind the end")
            server.push()
        go.wait()

    with serve(handle) as port:
        transport = open_tls(port, client_context(authority))
        received = b""
        while transport.lost is None:
            readable(transport)
            received += transport.receive()
        assert received == b"bye"
        with pytest.raises(ConnectionLost) as caught:
            transport.receive()  # nothing to be read any more: select would not wake for it
        assert caught.value.reason == "eof"
        go.set()


def test_messages_before_a_broken_record_are_delivered(authority):
    context = authority.server_context("localhost")

    def handle(sock):
        server = MemoryServer(context, sock)
        server.tls.write(b"good")
        record = server.outgoing.read()
        server.tls.write(b"bad")
        broken = bytearray(server.outgoing.read())
        broken[-1] ^= 1
        sock.sendall(record + broken)

    with serve(handle) as port:
        data, end = read_to_end(open_tls(port, client_context(authority)))
    assert data == b"good"
    assert end.reason == "tls"


def test_a_server_that_takes_nothing_fills_a_bounded_buffer():
    go = threading.Event()
    with serve(lambda sock: (sock.sendall(b"still here"), go.wait())) as port:
        transport = open_plain(port)
        for _ in range(10_000):
            transport.send(b"x" * 16384)
            if transport.lost is not None:
                break
        assert transport.lost is not None
        assert transport.lost.reason == "send_buffer_full"
        assert not transport.wants_write
        readable(transport)
        assert transport.receive() == b"still here"
        with pytest.raises(ConnectionLost, match="takes no bytes"):
            transport.receive()
        go.set()


def test_what_waits_leaves_when_the_server_reads_again():
    go, total = threading.Event(), []

    def handle(sock):
        go.wait()
        while data := sock.recv(65536):
            total.append(len(data))

    with serve(handle) as port:
        transport = open_plain(port)
        sent = 0
        while not transport.wants_write:
            transport.send(b"x" * 8192)
            sent += 8192
        assert transport.lost is None
        go.set()
        eventually(lambda: transport.flush() or not transport.wants_write)
        eventually(lambda: sum(total) == sent)


def test_bytes_that_came_before_a_failed_send_are_still_received():
    go = threading.Event()

    def handle(sock):
        sock.sendall(b"before")
        go.wait()
        sock.close()  # with our bytes unread: a reset

    with serve(handle) as port:
        transport = open_plain(port)
        transport.send(b"unread")
        readable(transport)
        go.set()
        eventually(lambda: transport.send(b"more") or transport.lost)
        received, end = read_to_end(transport)
    assert received == b"before"
    assert end.reason == "reset"


def test_unread_bytes_come_first():
    with serve(lambda sock: sock.sendall(b"new")) as port:
        transport = open_plain(port)
        transport.unread(b"old ")
        assert transport.receive() == b"old "
        readable(transport)
        assert transport.receive() == b"new"


def test_the_handshake_keeps_its_deadline_against_silence(authority):
    go = threading.Event()
    with serve(lambda _sock: go.wait()) as port:
        transport = Transport(
            socket.create_connection(("127.0.0.1", port)), client_context(authority), "localhost"
        )
        with pytest.raises(TimeoutError):
            transport.do_handshake(time.monotonic() + 0.05)
        go.set()
