"""The watcher's end of the telemetry: a ROUTER socket that listens to the streamers it expects.

Who may connect: who holds the keys that `admit` made for one launch. All keys are made anew in each
run and never stored; a process without them neither gets a message in nor is taken for the server
when it puts a socket of its own at the path (decision 0072).

Who may speak: of those, a process of our own user whose process id and identity
(`NAME.GENERATION`) were announced with `expect`. On `ipc://` libzmq gives the credentials that the
kernel vouches for as message property `Peer-Address`, in the form `HOST:UID:GID:PID` (measured with
libzmq 4.3.5). Whatever else comes is counted and dropped. One thread owns the server.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import zmq

from monitor.authenticator import Authenticator
from monitor.report_assembly import ReportAssembler
from streamer.messages import (
    MAX_MESSAGE_BYTES,
    Command,
    CommandResult,
    Report,
    StreamsPart,
    WireError,
    pack,
    unpack,
)
from streamer.secret import Secret
from streamer.telemetry_keys import TelemetryKeys

log = logging.getLogger(__name__)

SOCKET_NAME = "telemetry"
PATH_LIMIT_BYTES = 107  # of a Unix socket's address on Linux, its final zero excluded
SEND_QUEUE = 64  # commands are rare; a streamer that takes none is dealt with by signals
# Messages of each streamer, should we be busy for a while: at 40 kB for a part 10 MB at most.
RECEIVE_QUEUE = 256
HANDSHAKE_MILLISECONDS = 2000  # an honest peer takes some; who does not speak is dropped after it
_DOMAIN = b"telemetry"  # ZAP's name for the socket; with it libzmq lets nobody in unasked
REFUSALS = (
    "unexpected identity", "foreign process", "keys of another", "not understood", "false claim",
)  # fmt: skip
AT_ONCE = 1000  # messages taken per call, so that a flood cannot hold the control loop


class TelemetryError(RuntimeError):
    """The server cannot be opened: says why and what helps."""


class NoCurveError(TelemetryError):
    """The ZeroMQ at hand cannot keep other processes out."""


@dataclass(frozen=True, slots=True)
class _Peer:
    identity: bytes
    pid: int
    assembler: ReportAssembler = field(default_factory=ReportAssembler)


class TelemetryServer:
    """Receives reports and answers, sends commands. `directory` becomes 0700 and is locked."""

    def __init__(self, directory: Path) -> None:
        if not zmq.has("curve"):
            raise NoCurveError(
                "this ZeroMQ was built without CURVE, which keeps other processes out of the "
                "telemetry; install pyzmq from its wheels, or build libzmq with libsodium"
            )
        path = directory.absolute() / SOCKET_NAME
        if len(os.fsencode(path)) > PATH_LIMIT_BYTES:
            raise TelemetryError(
                f"{path} is longer than the {PATH_LIMIT_BYTES} bytes that a Unix socket may have; "
                "set supervisor.runtime_directory to a shorter path"
            )
        self.endpoint = f"ipc://{path}"
        self.refused: Counter[str] = Counter()  # by why, one of REFUSALS
        self._expected: dict[str, _Peer] = {}
        self._admitted: dict[str, tuple[str, str]] = {}  # by streamer: public key, NAME.GENERATION
        self._public_key, secret_key = (key.decode() for key in zmq.curve_keypair())
        self._lock = _locked(directory)
        self._context = zmq.Context()
        self._authenticator = Authenticator(self._context)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.CURVE_SERVER, 1)
        self._socket.set(zmq.CURVE_SECRETKEY, secret_key.encode())
        self._socket.set(zmq.ZAP_DOMAIN, _DOMAIN)
        self._socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MILLISECONDS)
        self._socket.set(zmq.LINGER, 0)  # what a dead streamer has not read, nobody will
        self._socket.set(zmq.SNDHWM, SEND_QUEUE)
        self._socket.set(zmq.RCVHWM, RECEIVE_QUEUE)
        self._socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)  # an error, not silence, for an absent peer
        try:
            self._socket.bind(self.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise TelemetryError(f"cannot listen on {self.endpoint}: {error}") from error

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when there may be messages.

        It is edge-triggered: call `receive` until it returns nothing, and once per turn anyway.
        """
        return int(self._socket.getsockopt(zmq.FD))

    def admit(self, streamer: str, generation: int) -> TelemetryKeys:
        """Return fresh keys for a launch; those of the generation before connect no more."""
        public, secret = (key.decode() for key in zmq.curve_keypair())
        self._admitted[streamer] = public, f"{streamer}.{generation}"
        self._authenticator.accept(dict(self._admitted.values()))
        return TelemetryKeys(public=public, secret=Secret(secret), server=self._public_key)

    def expect(self, streamer: str, generation: int, pid: int) -> None:
        """Listen to this process as `streamer`, and no longer to the generation before."""
        self._expected[streamer] = _Peer(f"{streamer}.{generation}".encode(), pid)

    def receive(self) -> list[Report | CommandResult]:
        """Return what has come, without waiting; at most `AT_ONCE` messages."""
        received: list[Report | CommandResult] = []
        for _ in range(AT_ONCE):
            try:
                identity, *frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            message = self._understood(identity.bytes, frames)
            if message is not None:
                received.append(message)
        return received

    def send(self, streamer: str, command: Command) -> bool:
        """Send a command to the expected generation; False when it cannot be reached now."""
        peer = self._expected.get(streamer)
        if peer is None:
            return False
        try:
            self._socket.send_multipart([peer.identity, *pack(command)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        return True

    def close(self) -> None:
        """Close the socket and release the directory."""
        self._socket.close()
        self._context.term()
        self._lock.close()

    def _understood(
        self, identity: bytes, frames: list[zmq.Frame]
    ) -> Report | CommandResult | None:
        """Return the message, or None with its refusal counted."""
        name = identity.decode(errors="replace").rpartition(".")[0]
        peer = self._expected.get(name)
        if peer is None or peer.identity != identity:
            self._refuse("unexpected identity", identity)
            return None
        if not frames or _credentials(frames[0]) != (os.getuid(), peer.pid):
            self._refuse("foreign process", identity)
            return None
        if str(frames[0].get("User-Id")).encode() != identity:
            self._refuse("keys of another", identity)
            return None
        try:
            message = unpack([frame.bytes for frame in frames])
        except WireError:
            self._refuse("not understood", identity)
            return None
        if isinstance(message, CommandResult):
            return message
        claimed = f"{message.streamer}.{message.generation}".encode()
        if claimed != identity or message.pid != peer.pid:
            self._refuse("false claim", identity)
            return None
        if isinstance(message, StreamsPart):
            peer.assembler.take(message)
            return None
        return peer.assembler.whole(message)

    def _refuse(self, why: str, identity: bytes) -> None:
        """Count a message that is not taken; the first, tenth, hundredth … of a kind is logged."""
        self.refused[why] += 1
        count = self.refused[why]
        if str(count).strip("0") == "1":
            log.warning("telemetry of %r is refused: %s (%d so far)", identity[:80], why, count)


def _credentials(frame: zmq.Frame) -> tuple[int, int] | None:
    """Return user and process id of the peer that sent a frame, or None when none are told."""
    try:
        parts = str(frame.get("Peer-Address")).rsplit(":", 3)
        return int(parts[1]), int(parts[3])
    except (zmq.ZMQError, IndexError, ValueError):
        return None


def _locked(directory: Path) -> IO[bytes]:
    """Make the directory ours alone and return its lock. Raises TelemetryError.

    Without the lock a second bind would succeed in silence and take our peers.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid != os.getuid():
            raise TelemetryError(f"{directory} belongs to another user; choose another directory")
        directory.chmod(0o700)
        lock = (directory / f"{SOCKET_NAME}.lock").open("ab")
        os.fchmod(lock.fileno(), 0o600)
    except OSError as error:
        raise TelemetryError(f"cannot use {directory} for telemetry: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise TelemetryError(
            f"{directory} is in use by another supervisor; stop it, or give this one a "
            "supervisor.runtime_directory of its own"
        ) from error
    return lock
