from __future__ import annotations

import math
import os
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from monitor.telemetry import TelemetryError, TelemetryServer
from streamer.messages import WIRE_VERSION, Command, CommandResult, Report, pack
from streamer.telemetry_keys import TelemetryKeys
from tests.unit.monitor.observations import NAME, replace, report
from tests.waiting import WITHIN_SECONDS

PATIENCE_SECONDS = int(WITHIN_SECONDS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TelemetryServer]:
    server = TelemetryServer(tmp_path / "t")
    yield server
    server.close()


@pytest.fixture
def dealer(server: TelemetryServer) -> Iterator[Callable[[str], zmq.Socket[bytes]]]:
    context = zmq.Context()

    def connect(
        identity: str = f"{NAME}.1", keys: TelemetryKeys | None = None
    ) -> zmq.Socket[bytes]:
        socket = context.socket(zmq.DEALER)
        show(socket, keys or server.admit(NAME, 1))
        socket.set(zmq.IDENTITY, identity.encode())
        socket.set(zmq.LINGER, 0)
        socket.connect(server.endpoint)
        return socket

    yield connect
    context.destroy(linger=0)


def show(socket: zmq.Socket[bytes], keys: TelemetryKeys) -> None:
    socket.set(zmq.CURVE_SERVERKEY, keys.server.encode())
    socket.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
    socket.set(zmq.CURVE_SECRETKEY, keys.secret.reveal().encode())


def wait_for(
    server: TelemetryServer, enough: Callable[[list[Report | CommandResult]], bool]
) -> None:
    received: list[Report | CommandResult] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        received += server.receive()
        if enough(received):
            return
        time.sleep(0.005)
    pytest.fail(f"got {received}, refused {server.refused}")


def own(sequence: int = 1, **changes: object) -> Report:
    return replace(report(sequence, streams=()), pid=os.getpid(), **changes)


def test_reports_and_answers_arrive(
    server: TelemetryServer, dealer: Callable[..., zmq.Socket[bytes]]
) -> None:
    server.expect(NAME, 1, os.getpid())
    peer = dealer()
    peer.send_multipart(pack(own()))
    peer.send_multipart(pack(CommandResult("7", ok=True)))
    wait_for(server, lambda got: got == [own(), CommandResult("7", ok=True)])


def test_commands_reach_the_expected_generation(
    server: TelemetryServer, dealer: Callable[..., zmq.Socket[bytes]]
) -> None:
    command = Command("1", "rotate", 5.0)
    assert not server.send(NAME, command), "nobody is expected"
    server.expect(NAME, 1, os.getpid())
    assert not server.send(NAME, command), "nobody is connected"
    peer = dealer()
    peer.send_multipart(pack(own()))
    wait_for(server, bool)
    assert server.send(NAME, command)
    assert peer.poll(PATIENCE_SECONDS * 1000)
    assert peer.recv_multipart() == pack(command)


@pytest.mark.parametrize(
    ("identity", "frames", "why"),
    [
        ("stranger.1", pack(own()), "unexpected identity"),
        (f"{NAME}.2", pack(own(generation=2)), "unexpected identity"),
        (f"{NAME}.1", [WIRE_VERSION, b"\xc1"], "not understood"),
        (f"{NAME}.1", [b"vigil/99", b""], "not understood"),
        (f"{NAME}.1", [*pack(own()), b"more"], "not understood"),
        (f"{NAME}.1", pack(own(uptime_seconds=math.nan)), "not understood"),
        (f"{NAME}.1", pack(own(time=-1.0)), "not understood"),
        (f"{NAME}.1", pack(own(shed_total=-1)), "not understood"),
        (f"{NAME}.1", pack(own(rest_errors={"x": 1 << 63})), "not understood"),
        (f"{NAME}.1", pack(own(generation=2)), "false claim"),
        (f"{NAME}.1", pack(own(streamer="streamer-2")), "false claim"),
        (f"{NAME}.1", pack(replace(own(), pid=1)), "false claim"),
    ],
)
def test_what_is_wrong_is_counted_and_dropped(
    server: TelemetryServer,
    dealer: Callable[..., zmq.Socket[bytes]],
    identity: str,
    frames: list[bytes],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.expect(NAME, 1, os.getpid())
    peer = dealer(identity)  # kept: a socket that is collected loses what it sent
    peer.send_multipart(frames)
    wait_for(server, lambda got: server.refused == Counter({why: 1}) and not got)
    assert f"is refused: {why} (1 so far)" in caplog.text


def test_another_process_cannot_speak_even_with_the_keys(server: TelemetryServer) -> None:
    server.expect(NAME, 1, os.getpid())
    keys = server.admit(NAME, 1)
    code = (
        "import sys, zmq\n"
        "socket = zmq.Context().socket(zmq.DEALER)\n"
        f"socket.set(zmq.IDENTITY, b'{NAME}.1')\n"
        f"socket.set(zmq.CURVE_SERVERKEY, {keys.server.encode()})\n"
        f"socket.set(zmq.CURVE_PUBLICKEY, {keys.public.encode()})\n"
        f"socket.set(zmq.CURVE_SECRETKEY, {keys.secret.reveal().encode()})\n"
        f"socket.connect({server.endpoint!r})\n"
        f"socket.send_multipart([{WIRE_VERSION!r}, b''])\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        wait_for(server, lambda got: server.refused == Counter({"foreign process": 1}) and not got)
    finally:
        process.kill()
        process.communicate()


def test_the_directory_is_ours_alone(tmp_path: Path) -> None:
    directory = tmp_path / "t"
    directory.mkdir(mode=0o755)
    server = TelemetryServer(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    with pytest.raises(TelemetryError, match="in use by another supervisor"):
        TelemetryServer(directory)
    server.close()
    TelemetryServer(directory).close()


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TelemetryError, match="runtime_directory to a shorter path"):
        TelemetryServer(tmp_path / ("x" * 100))


def test_the_descriptor_tells_of_messages(
    server: TelemetryServer, dealer: Callable[..., zmq.Socket[bytes]]
) -> None:
    server.expect(NAME, 1, os.getpid())
    poller = zmq.Poller()
    poller.register(server.fileno(), zmq.POLLIN)
    server.receive()
    peer = dealer()
    peer.send_multipart(pack(own()))
    assert poller.poll(PATIENCE_SECONDS * 1000)
    wait_for(server, bool)
