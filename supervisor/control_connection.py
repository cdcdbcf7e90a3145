"""One client of the control socket: a line is read, waits for its answer, and takes it."""

from __future__ import annotations

import os
import socket
import struct
import time as clocks
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Any, Final

import msgspec
import zmq

from streamer.strict_json import encode

LINE_BYTES: Final = 4096  # a command is some words
_EXPECTED: Final = 'a line such as {"command": "reload"} is expected'
_CREDENTIALS: Final = struct.Struct("iII")  # process, user, group: SO_PEERCRED of unix(7)
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client says. A misspelt `streamer` must not come to mean all of them."""

    command: _Name
    streamer: _Name | None = None


_decoder = msgspec.json.Decoder(Line)


class Stage(Enum):
    """What a client is at."""

    READING = auto()  # its command is not complete
    WAITING = auto()  # for its answer
    ANSWERED = auto()  # and has not taken all of it
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that somebody waits to have answered."""

    command: str
    client: ControlConnection
    streamer: str | None = None  # None: all of them


class ControlConnection:
    """A connection that never waits; who owns it looks at `until`, a monotonic time."""

    def __init__(self, connection: socket.socket, read_until: float, take_seconds: float) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._text = b""
        self._left = b""  # of the answer
        self._take_seconds = take_seconds
        self.stage = Stage.READING
        self.refusal: str | None = None  # what is answered to its command, whatever that is
        self.until = read_until

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._connection.fileno()

    @property
    def events(self) -> int:
        """What to poll for; nothing while its answer is being made."""
        return {Stage.READING: zmq.POLLIN, Stage.ANSWERED: zmq.POLLOUT}.get(self.stage, 0)

    def is_trusted(self) -> bool:
        """Return whether its user is our own, or root."""
        size = _CREDENTIALS.size
        raw = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return _CREDENTIALS.unpack(raw)[1] in _trusted_users()

    def read(self, now: float) -> list[Asked]:
        """Return its command once it is there; what is none is answered."""
        try:
            data = self._connection.recv(LINE_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.close()
            return []
        self._text += data
        line, end, _ = self._text.partition(b"\n")
        if not end and len(self._text) < LINE_BYTES:
            return []
        try:
            # UnicodeDecodeError is a ValueError, as msgspec's errors are.
            found = _decoder.decode(line if end else b"")
        except (ValueError, RecursionError) as error:
            why = str(error) if end else f"no new line within {LINE_BYTES} bytes"
            self.answer({"ok": False, "detail": f"{_EXPECTED} ({why})"}, now)
            return []
        if self.refusal is not None:
            self.answer({"ok": False, "detail": self.refusal}, now)
            return []
        self.stage, self.until = Stage.WAITING, float("inf")
        return [Asked(found.command, self, found.streamer)]

    def answer(self, told: Mapping[str, Any], now: float | None = None) -> None:
        """Send a line, now as much of it as fits, and hang up after the rest."""
        if self.stage not in (Stage.READING, Stage.WAITING):
            return
        now = clocks.monotonic() if now is None else now
        self._left = encode({"result": {}, **told}) + b"\n"
        self.stage, self.until = Stage.ANSWERED, now + self._take_seconds
        self.take(now)

    def take(self, now: float) -> None:
        """Send more of the answer, if it is answered."""
        if self.stage is not Stage.ANSWERED or now >= self.until:
            return
        try:
            while self._left:
                self._left = self._left[self._connection.send(self._left) :]
        except BlockingIOError:
            return
        except OSError:
            pass  # nobody listens any more
        self.close()

    def finish(self, until: float) -> None:
        """Send the rest of the answer until a monotonic time, waiting if need be, and hang up."""
        if self.stage is Stage.ANSWERED:
            with suppress(OSError):
                self._connection.settimeout(max(0.001, until - clocks.monotonic()))
                self._connection.sendall(self._left)
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.stage = Stage.CLOSED
        self._connection.close()


def _trusted_users() -> set[int]:
    return {os.geteuid(), 0}
