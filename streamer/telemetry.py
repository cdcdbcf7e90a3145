"""The streamer's end of the telemetry: reports go out, commands come in, nothing ever waits.

One DEALER socket, used by the feed's own thread. What the watcher cannot take is dropped: reports
are cumulative, so the next one says it again (`streamer.report_parts`). With keys nobody but the
watcher that holds the other half can read a report or be obeyed, whoever listens at the endpoint.
"""

from __future__ import annotations

import logging
import os
from collections import Counter

import zmq
from msgspec.structs import replace

from streamer.messages import (
    MAX_MESSAGE_BYTES,
    TELEMETRY_DROPS,
    Command,
    CommandResult,
    Report,
    StreamsPart,
    WireError,
    pack,
    unpack_command,
)
from streamer.report_parts import ReportParts
from streamer.telemetry_keys import TelemetryKeys

log = logging.getLogger(__name__)

# Messages: the first report of 30,000 streams, in parts. Older ones help nobody.
SEND_QUEUE = 64
RECEIVE_QUEUE = 64
AT_ONCE = 16  # commands taken per call; they are rare, and the feed comes first
TOO_LARGE, QUEUE_FULL = TELEMETRY_DROPS
_READABLE = int(zmq.POLLIN)  # an enum's & is a call of Python's, ten times a second
LINGER_MILLISECONDS = 1000  # for the final report; the default would wait for ever


class Telemetry:
    """Reports to a watcher's ROUTER socket at `endpoint`, as `NAME.GENERATION`."""

    def __init__(
        self, endpoint: str, name: str, generation: int, keys: TelemetryKeys | None = None
    ) -> None:
        """Connect in the background; without `keys` to whoever is there."""
        self._parent_pid = os.getppid()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.IDENTITY, f"{name}.{generation}".encode())
        self._socket.set(zmq.LINGER, LINGER_MILLISECONDS)
        self._socket.set(zmq.SNDHWM, SEND_QUEUE)
        self._socket.set(zmq.RCVHWM, RECEIVE_QUEUE)
        self._socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        if keys is not None:
            self._socket.set(zmq.CURVE_SERVERKEY, keys.server.encode())
            self._socket.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
            self._socket.set(zmq.CURVE_SECRETKEY, keys.secret.reveal().encode())
        self._socket.connect(endpoint)
        self._parts = ReportParts()
        self.dropped: Counter[str] = Counter()  # messages, by reason

    def send(self, message: Report | CommandResult) -> None:
        """Hand a message to ZeroMQ, or drop it when its queue is full or it is too large."""
        if isinstance(message, CommandResult):
            self._send(message)
            return
        for part in self._parts.of(message):
            if self._send(part):
                self._parts.told(part)
        # Whatever became of the parts: it is what tells the watcher that this process lives.
        self._send(replace(message, streams=(), telemetry_dropped=dict(self.dropped)))

    def _send(self, message: Report | StreamsPart | CommandResult) -> bool:
        """Return whether a message was handed over.

        Of one that is too large the watcher would hear nothing: it ends the connection.
        """
        frames = pack(message)
        if (size_bytes := sum(map(len, frames))) > MAX_MESSAGE_BYTES:
            log.error(
                "telemetry: a message of %d bytes is not sent: above %d",
                size_bytes,
                MAX_MESSAGE_BYTES,
            )
            self.dropped[TOO_LARGE] += 1
            return False
        try:
            self._socket.send_multipart(frames, flags=zmq.NOBLOCK)
        except zmq.Again:
            self.dropped[QUEUE_FULL] += 1
            return False
        return True

    def commands(self) -> list[Command]:
        """Return the commands that came since the last call."""
        received: list[Command] = []
        for _ in range(AT_ONCE):
            if not int(self._socket.getsockopt(zmq.EVENTS)) & _READABLE:
                break
            try:
                received.append(unpack_command(self._socket.recv_multipart(flags=zmq.NOBLOCK)))
            except WireError as error:
                log.warning("a command was not understood: %s", error)
        return received

    def close(self) -> None:
        """Give the last report its second, unless the supervisor is dead, then close."""
        orphaned = os.getppid() != self._parent_pid
        self._socket.close(0 if orphaned else LINGER_MILLISECONDS)
        self._context.term()
