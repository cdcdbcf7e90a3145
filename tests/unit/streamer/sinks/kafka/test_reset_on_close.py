"""Connections to brokers whose unsent data goes with them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from streamer.sinks.kafka import reset_on_close as module
from streamer.sinks.kafka.reset_on_close import reset_on_close

OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture
def connection():
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as server,
    ):
        yield client, server


def test_a_connection_to_a_broker_is_reset_when_it_is_closed(connection):
    client, server = connection
    port = client.getpeername()[1]
    assert reset_on_close({port}) == 1, "only the end that is connected to that port"
    client.sendall(b"x" * 10)
    client.close()
    with pytest.raises(ConnectionResetError):
        [server.recv(100) for _ in range(2)]


def test_other_connections_end_in_order(connection):
    client, server = connection
    assert reset_on_close({1}) == 0
    client.sendall(b"x" * 10)
    client.close()
    assert server.recv(100) == b"x" * 10
    assert server.recv(100) == b""


def test_it_needs_no_proc_and_no_descriptor_that_stays(monkeypatch, tmp_path):
    with socket.socket(), socket.socketpair()[0]:
        before = set(OPEN_FILES.iterdir())
        assert reset_on_close({1}) == 0
        assert set(OPEN_FILES.iterdir()) == before
    (tmp_path / "999999").touch()  # one that is closed by now
    for files in (tmp_path, tmp_path / "none"):
        monkeypatch.setattr(module, "_OPEN_FILES", files)
        assert reset_on_close({1}) == 0
