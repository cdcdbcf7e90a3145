"""Everything that a process on this machine can do to a supervisor's sockets, for some seconds.

    python -m tests.socket_attack RUNTIME_DIRECTORY METRICS_PORT SECONDS

Prints as JSON how often each thing was done, and how often the socket could not even be reached.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import zmq

from streamer.messages import Report, SinkCounts, pack

IDLE_CLIENTS = 150  # more than any of the sockets takes at once
PAUSE_SECONDS = 0.002  # the attacker must not simply take the processor away
Connect = Callable[[], socket.socket]


def unix(path: Path) -> Connect:
    def connect() -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(1.0)
        client.connect(str(path))
        return client

    return connect


def tcp(port: int) -> Connect:
    return lambda: socket.create_connection(("127.0.0.1", port), timeout=1.0)


def idle(connect: Connect) -> None:
    """Hold many connections and say nothing."""
    clients = []
    try:
        for _ in range(IDLE_CLIENTS):
            clients.append(connect())
        time.sleep(1.0)
    finally:
        for client in clients:
            client.close()


def garbage(connect: Connect) -> None:
    with connect() as client:
        client.sendall(random.randbytes(random.randint(1, 20_000)))
        client.recv(1000)


def dripping(connect: Connect) -> None:
    """Say what begins well, a byte at a time."""
    with connect() as client:
        for byte in b'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {"command":"sta':
            client.sendall(bytes([byte]))
            time.sleep(0.05)


def unread(connect: Connect) -> None:
    """Ask for much, and take nothing of it."""
    with connect() as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        client.sendall(b'{"command": "status"}\n')
        time.sleep(0.2)


def reset(connect: Connect) -> None:
    with connect() as client:
        linger = (1).to_bytes(4, "little") + bytes(4)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.sendall(b"GET")


def impersonate(endpoint: str) -> None:
    """Report as the streamer, without its keys."""
    context = zmq.Context()
    with context.socket(zmq.DEALER) as peer:
        peer.set(zmq.IDENTITY, b"streamer-1.1")
        peer.set(zmq.LINGER, 0)
        peer.connect(endpoint)
        report = Report(
            "streamer-1", 1, 1 << 40, 1, 1e9, 1e9, "stopped", (), (), SinkCounts("null")
        )
        for _ in range(10):
            with suppress(zmq.Again):
                peer.send_multipart(pack(report), zmq.NOBLOCK)
            time.sleep(0.02)
    context.term()


def main() -> int:
    """Attack all sockets at once."""
    directory, port, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    until = time.monotonic() + seconds
    done: Counter[str] = Counter()

    def repeat(name: str, act: Callable[[], None]) -> None:
        while time.monotonic() < until:
            try:
                act()
                done[name] += 1
            except PermissionError:
                done[f"{name}: not permitted"] += 1
                time.sleep(0.1)
            except OSError:
                done[f"{name}: refused"] += 1
            time.sleep(PAUSE_SECONDS)

    sockets = {
        "control": unix(directory / "control"),
        "telemetry": unix(directory / "telemetry"),
        "metrics": tcp(port),
    }
    threads = [
        threading.Thread(target=repeat, args=(f"{name} {act.__name__}", lambda a=act, c=c: a(c)))
        for name, c in sockets.items()
        for act in (idle, garbage, dripping, unread, reset)
    ]
    endpoint = f"ipc://{directory / 'telemetry'}"
    pretend = ("telemetry impersonate", lambda: impersonate(endpoint))
    threads.append(threading.Thread(target=repeat, args=pretend))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(done, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
