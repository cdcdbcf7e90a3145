"""The control socket: commands of people to a running supervisor, a line of JSON each way.

`{"command": "rotate", "streamer": "streamer-1"}` → `{"ok": true, "detail": "…", "result": {}}`; the
streamer may be left out, where all are meant. It lies in the private runtime directory, and only
processes of our own user are heard. One thread owns it, and it never waits.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from supervisor.errors import UsageError

SOCKET_NAME: Final = "control"
LINE_BYTES = 4096  # a command is some words
CLIENTS = 16  # people at a time; more wait in the kernel's line
_CREDENTIALS = struct.Struct("iII")  # process, user, group: SO_PEERCRED of unix(7)


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that somebody waits to have answered."""

    command: str
    connection: socket.socket
    streamer: str | None = None  # None: all of them


class ControlSocket:
    """Hears commands; whoever carries them out answers each once."""

    def __init__(self, directory: Path) -> None:
        """Listen in the directory, which belongs to this supervisor alone. Raises UsageError."""
        self._path = directory / SOCKET_NAME
        self._reading: dict[socket.socket, bytes] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)
        try:
            _remove_socket(self._path)  # of one that was killed
            self._listener.bind(str(self._path))
        except OSError as error:
            self._listener.close()
            raise UsageError(f"{self._path}: cannot listen: {error}") from None
        self._path.chmod(0o600)
        self._listener.listen(CLIENTS)

    def filenos(self) -> list[int]:
        """Return what to poll."""
        return [one.fileno() for one in (self._listener, *self._reading)]

    def receive(self) -> list[Asked]:
        """Return the commands that have come; what is none is answered here."""
        while len(self._reading) < CLIENTS:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break  # nobody waits, or who did has gone again
            connection.setblocking(False)
            self._reading[connection] = b""
        return [asked for one in tuple(self._reading) if (asked := self._read(one)) is not None]

    def close(self) -> None:
        """Hear no more."""
        for connection in (self._listener, *self._reading):
            connection.close()
        self._path.unlink(missing_ok=True)

    def _read(self, connection: socket.socket) -> Asked | None:
        try:
            data = connection.recv(LINE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        text = self._reading[connection] + data
        if data and b"\n" not in text and len(text) < LINE_BYTES:
            self._reading[connection] = text
            return None
        del self._reading[connection]
        asked = Asked("", connection)
        if not data:
            connection.close()
            return None
        if _user_of(connection) not in (os.geteuid(), 0):
            answer(asked, ok=False, detail="you are another user")
            return None
        with suppress(ValueError, TypeError, KeyError):
            line = json.loads(text)
            return Asked(str(line["command"]), connection, line.get("streamer"))
        answer(asked, ok=False, detail='a line such as {"command": "reload"} is wanted')
        return None


def answer(asked: Asked, *, ok: bool, detail: str, result: Mapping[str, Any] | None = None) -> None:
    """Answer and hang up; who no longer listens gets nothing."""
    line = json.dumps({"ok": ok, "detail": detail, "result": result or {}}).encode() + b"\n"
    with suppress(OSError):  # it fits into any socket's buffer
        asked.connection.send(line)
    asked.connection.close()


def ask(
    directory: Path, command: str, within_seconds: float, streamer: str | None = None
) -> dict[str, Any]:
    """Ask the supervisor of a runtime directory; return its answer. Raises UsageError."""
    wanted = {"command": command} | ({"streamer": streamer} if streamer else {})
    path = directory / SOCKET_NAME
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(within_seconds)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(wanted).encode() + b"\n")
            with connection.makefile("rb") as lines:
                found: dict[str, Any] = json.loads(lines.readline())
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no supervisor answers at {path} ({error}); supervisor.runtime_directory is to be "
                "that of the running one"
            ) from None
    return found


def _remove_socket(path: Path) -> None:
    """Remove the socket, if there is one, and nothing else. Raises OSError."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "something that is no socket is in its place")
        path.unlink()


def _user_of(connection: socket.socket) -> int:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(raw)[1]
    return user
