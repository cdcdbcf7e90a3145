"""Who has not the keys of a launch: neither heard, nor obeyed, nor in the way of who has."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pytest
import zmq

from monitor.telemetry import NoCurveError, TelemetryServer
from streamer.messages import Command, pack
from streamer.secret import Secret
from streamer.telemetry import Telemetry
from streamer.telemetry_keys import TelemetryKeys
from tests.unit.monitor.observations import NAME, replace, report
from tests.waiting import eventually

DRAIN = Command("1", "drain", 5.0)


def own(sequence: int = 1, generation: int = 1) -> Any:
    return replace(report(sequence, streams=()), pid=os.getpid(), generation=generation)


def until(done: Callable[[], object]) -> None:
    eventually(done, every=0.005)


def failed_handshake(socket: zmq.Socket[bytes]) -> Callable[[], bool]:
    """Return what says whether a connection of the socket was refused, by libzmq's own events."""
    monitor = socket.get_monitor_socket(
        zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        | zmq.EVENT_DISCONNECTED
    )
    return lambda: bool(monitor.poll(10))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TelemetryServer]:
    server = TelemetryServer(tmp_path / "t")
    yield server
    server.close()


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context = zmq.Context()
    # A default of its sockets: one that is collected as garbage waits for its peer for ever, else.
    context.setsockopt(zmq.LINGER, 0)
    yield context
    context.destroy(linger=0)


def streamer(server: TelemetryServer, keys: TelemetryKeys | None, generation: int = 1) -> Telemetry:
    return Telemetry(server.endpoint, NAME, generation, keys)


def squatter(
    server: TelemetryServer,
    context: zmq.Context[zmq.Socket[bytes]],
    keys: TelemetryKeys | None,
    identity: str = f"{NAME}.1",
) -> zmq.Socket[bytes]:
    """Return a peer that calls itself the streamer, and reports."""
    socket = context.socket(zmq.DEALER)
    socket.set(zmq.IDENTITY, identity.encode())
    if keys is not None:
        socket.set(zmq.CURVE_SERVERKEY, keys.server.encode())
        socket.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
        socket.set(zmq.CURVE_SECRETKEY, keys.secret.reveal().encode())
    refused = failed_handshake(socket)
    socket.connect(server.endpoint)
    socket.send_multipart(pack(own(99)))
    until(refused)
    return socket


def of_its_own(server: TelemetryServer) -> TelemetryKeys:
    """Return keys of somebody who has learnt the server's public key, but was never launched."""
    public, secret = zmq.curve_keypair()
    real = server.admit("another", 1)
    return TelemetryKeys(public=public.decode(), secret=Secret(secret.decode()), server=real.server)


def former(server: TelemetryServer) -> TelemetryKeys:
    """Return the keys of a generation that is gone."""
    keys = server.admit(NAME, 1)
    server.admit(NAME, 2)
    return keys


@pytest.mark.parametrize("keys_of", [lambda _server: None, of_its_own, former])
def test_who_has_no_keys_is_not_heard_and_takes_nobodys_identity(
    server: TelemetryServer,
    context: zmq.Context[zmq.Socket[bytes]],
    keys_of: Callable[[TelemetryServer], TelemetryKeys | None],
) -> None:
    keys = keys_of(server)
    intruder = squatter(server, context, keys)
    server.expect(NAME, 1, os.getpid())
    real = streamer(server, server.admit(NAME, 1))
    real.send(own())
    heard: list[Any] = []
    until(lambda: heard.extend(server.receive()) or heard)
    assert heard == [own()]
    assert server.send(NAME, DRAIN)
    commands: list[Command] = []
    until(lambda: commands.extend(real.commands()) or commands)
    assert commands == [DRAIN]
    assert not intruder.poll(100), "the command went to the streamer alone"
    assert not server.refused
    real.close()


def test_one_streamer_cannot_speak_for_another(
    server: TelemetryServer, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    server.expect(NAME, 1, os.getpid())
    server.admit(NAME, 1)
    keys = server.admit("streamer-2", 1)
    peer = context.socket(zmq.DEALER)
    peer.set(zmq.IDENTITY, f"{NAME}.1".encode())
    peer.set(zmq.CURVE_SERVERKEY, keys.server.encode())
    peer.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
    peer.set(zmq.CURVE_SECRETKEY, keys.secret.reveal().encode())
    peer.connect(server.endpoint)
    peer.send_multipart(pack(own()))
    until(lambda: server.receive() or server.refused)
    assert server.refused == Counter({"keys of another": 1})


@pytest.mark.parametrize("curve", [False, True])
def test_who_replaces_the_socket_is_neither_told_nor_obeyed(
    server: TelemetryServer,
    context: zmq.Context[zmq.Socket[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    curve: bool,
) -> None:
    monkeypatch.setattr("streamer.telemetry.LINGER_MILLISECONDS", 0)  # nobody will take it
    keys = server.admit(NAME, 1)
    path = Path(server.endpoint.removeprefix("ipc://"))
    path.unlink()
    impostor = context.socket(zmq.ROUTER)
    if curve:
        impostor.set(zmq.CURVE_SERVER, 1)
        impostor.set(zmq.CURVE_SECRETKEY, zmq.curve_keypair()[1])
    refused = failed_handshake(impostor)
    impostor.bind(server.endpoint)
    real = streamer(server, keys)
    real.send(own())
    until(refused)
    impostor.set(zmq.ROUTER_MANDATORY, 1)
    with pytest.raises(zmq.ZMQError, match="Host unreachable"):
        impostor.send_multipart([f"{NAME}.1".encode(), *pack(DRAIN)])
    assert not impostor.poll(100), "not a report was told"
    assert real.commands() == []
    real.close()


def test_a_streamer_connects_before_it_is_expected_and_again_after_a_restart(
    server: TelemetryServer,
) -> None:
    for generation in (1, 2, 3):
        real = streamer(server, server.admit(NAME, generation), generation)
        real.send(own(generation=generation))
        server.expect(NAME, generation, os.getpid())
        heard: list[Any] = []
        until(lambda found=heard: found.extend(server.receive()) or found)
        assert heard == [own(generation=generation)]
        real.close()


def test_a_supervisor_that_starts_again_has_other_keys(tmp_path: Path) -> None:
    found = set()
    for _ in range(2):
        server = TelemetryServer(tmp_path / "t")
        keys = server.admit(NAME, 1)
        found |= {keys.server, keys.public, keys.secret.reveal()}
        server.close()
    assert len(found) == 6


def test_keys_are_shown_by_nothing_but_the_pipe(server: TelemetryServer) -> None:
    keys = server.admit(NAME, 1)
    assert keys.secret.reveal() not in repr(changed(keys, public="p"))
    names = [path.name for path in Path(server.endpoint.removeprefix("ipc://")).parent.iterdir()]
    assert sorted(names) == ["telemetry", "telemetry.lock"], "keys are in no file"


def test_without_curve_it_says_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq, "has", lambda _name: False)
    with pytest.raises(NoCurveError, match="install pyzmq from its wheels"):
        TelemetryServer(tmp_path / "t")
