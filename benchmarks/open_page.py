"""Whether an open live page delays the supervisor's loop: wake-ups with a page open and without.

    python -m benchmarks.open_page [--rounds N] [--seconds S] [--streams N]...

A loop takes a report each second, judges and records it, and publishes a snapshot, as the
supervisor's does; between, it waits to be woken every 10 ms. How late each wake-up is, is what is
measured: rounds with a page open (a client in a process of its own, which reads what comes) and
without one take turns, so that what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from benchmarks.streams import Feed, Watcher
from monitor.web.server import MetricsServer
from streamer.messages import pack
from streamer.report_parts import ReportParts

WAKE_SECONDS = 0.01
CLIENT = """
import socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.sendall(b"GET /events HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
while client.recv(1 << 20):
    pass
"""


class Loop:
    """The supervisor's loop, as far as a page could disturb it."""

    def __init__(self, streams: int, server: MetricsServer) -> None:
        self._feed = Feed(streams, rate=1000)
        self._watcher = Watcher(self._feed)
        self._parts = ReportParts()
        self._server = server
        self._second = 0
        for _ in range(3):  # the first reports tell all streams
            self._turn()

    def _messages(self) -> list[list[bytes]]:
        report = self._feed.report()
        messages = []
        for part in self._parts.of(report):
            messages.append(pack(part))
            self._parts.told(part)
        return [*messages, pack(replace(report, streams=()))]

    def _turn(self) -> None:
        self._second += 1
        now = float(self._second)
        self._watcher.hear(self._messages(), now)
        self._watcher.look(now)
        self._server.publish(self._watcher.recorder.snapshot(now, 1_700_000_000.0 + now))

    def late(self, seconds: int) -> list[float]:
        """Return how late each wake-up was, in milliseconds, over some seconds."""
        poller = select.poll()
        idle = socket.socketpair()
        poller.register(idle[0], select.POLLIN)
        found: list[float] = []
        for _ in range(seconds):
            self._turn()
            end = time.monotonic() + 1.0
            while (began := time.monotonic()) < end:
                poller.poll(WAKE_SECONDS * 1000)
                found.append((time.monotonic() - began - WAKE_SECONDS) * 1000)
        for one in idle:
            one.close()
        return found


@contextmanager
def page(server: MetricsServer, *, is_open: bool) -> Iterator[None]:
    """Have a page open, or none."""
    if not is_open:
        yield
        return
    client = subprocess.Popen([sys.executable, "-c", CLIENT, str(server.address[1])])
    try:
        time.sleep(1.0)  # until it has its first message
        yield
    finally:
        client.kill()
        client.wait()
        time.sleep(0.5)  # until the server has noticed


def shares(late: list[float]) -> str:
    """Return the percentiles."""
    ordered = sorted(late)
    named = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    parts = [
        f"{name} {ordered[int(share * (len(ordered) - 1))]:.2f}" for name, share in named.items()
    ]
    return ", ".join([*parts, f"most {ordered[-1]:.1f} ms of {len(ordered)}"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--streams", type=int, action="append")
    options = parser.parse_args()
    for streams in options.streams or (30, 4500):
        server = MetricsServer("127.0.0.1:0")
        server.start()
        loop = Loop(streams, server)
        late: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(options.rounds):
            for is_open in late:
                with page(server, is_open=is_open):
                    late[is_open] += loop.late(options.seconds)
        server.close()
        print(f"{streams:,} streams, no page:   {shares(late[False])}", flush=True)
        print(f"{streams:,} streams, page open: {shares(late[True])}", flush=True)


if __name__ == "__main__":
    main()
