"""Ports of a test's own, that stay free until something binds them."""

from __future__ import annotations

import socket

from scripts.kafka_tool.ports import free_ports

_held: list[socket.socket] = []


def free_port() -> int:
    """Return a port on loopback that nobody listens on, or connects from, until this process ends.

    It is outside of what the system gives to outgoing connections and to those who ask for any
    port; other processes of the tests are kept away by a name that belongs to it. So it serves as
    well where a port is needed that refuses.
    """
    while True:
        [port] = free_ports(1)
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0vigil-test-port-{port}")
        except OSError:  # another process of the tests has it
            name.close()
            continue
        _held.append(name)
        return port
