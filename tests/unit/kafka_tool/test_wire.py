import socket
import struct
import threading

import pytest

from scripts.kafka_tool.wire import live_brokers


def answer(payload: bytes) -> int:
    """Serve one connection on loopback with a canned answer; return the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            connection.recv(1024)
            connection.sendall(payload)

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    assert isinstance(port, int)
    return port


def framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def broker(node_id: int, host: bytes, rack: bytes | None) -> bytes:
    rack_field = struct.pack(">h", -1) if rack is None else struct.pack(">h", len(rack)) + rack
    return struct.pack(">ih", node_id, len(host)) + host + struct.pack(">i", 9092) + rack_field


def test_every_listed_broker_is_found() -> None:
    brokers = broker(1, b"127.0.0.1", None) + broker(7, b"", b"rack") + broker(3, b"h", b"")
    rest = struct.pack(">ii", 1, 0)  # controller, no topics
    port = answer(framed(struct.pack(">ii", 1, 3) + brokers + rest))
    assert live_brokers(port, 10) == {1, 3, 7}


@pytest.mark.parametrize("payload", [b"", framed(struct.pack(">ii", 99, 0)), b"\0\0\1\0"])
def test_anything_else_is_an_os_error(payload: bytes) -> None:
    with pytest.raises(OSError, match=r"connection|protocol"):
        live_brokers(answer(payload), 10)
