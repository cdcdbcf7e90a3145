"""The one request of Kafka's protocol that tells whether a broker is ready."""

import socket
import struct

_METADATA, _VERSION, _CORRELATION = 3, 1, 1
_NO_STRING = -1


def live_brokers(port: int, timeout_seconds: float) -> set[int]:
    """Ask the broker on a plaintext loopback port for the node ids it knows to be in service.

    A broker that starts, or has lost its controllers, does not list itself.
    Raises OSError when there is no answer.
    """
    request = struct.pack(">hhihi", _METADATA, _VERSION, _CORRELATION, _NO_STRING, 0)
    with socket.create_connection(("127.0.0.1", port), timeout_seconds) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            size, correlation, count = struct.unpack(">iii", _exactly(stream.read(12), 12))
            body = _exactly(stream.read(size - 8), size - 8)
    if correlation != _CORRELATION:
        raise OSError(f"port {port} does not speak Kafka's protocol")
    return _node_ids(body, count)


def _node_ids(brokers: bytes, count: int) -> set[int]:
    """Read ``count`` brokers: node id, host, port, rack (a string that may be null)."""
    found, position = set(), 0
    for _ in range(count):
        node_id, host_length = struct.unpack_from(">ih", brokers, position)
        position += 6 + host_length + 4
        (rack_length,) = struct.unpack_from(">h", brokers, position)
        position += 2 + max(rack_length, 0)
        found.add(node_id)
    return found


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise OSError("the broker closed the connection")
    return data
