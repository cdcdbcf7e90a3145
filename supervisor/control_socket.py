"""The control socket: commands of people to a running supervisor, a line of JSON each way.

`{"command": "rotate", "streamer": "streamer-1"}` → `{"ok": true, "detail": "…", "result": {}}`; the
streamer may be left out, where all are meant. It lies in the private runtime directory, and only
processes of our own user are heard. One thread owns it, and it never waits.

Whoever connects holds nothing up: clients are bounded, each has a deadline for its command and one
for taking its answer, and of too many the one that has been idle for longest is dropped.
"""

from __future__ import annotations

import errno
import json
import socket
import stat
import time as clocks
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import zmq

from streamer.strict_json import encode
from supervisor.control_connection import Asked, ControlConnection, Stage
from supervisor.errors import UsageError

SOCKET_NAME: Final = "control"
CLIENTS: Final = 16  # that have not said their command yet; people are fewer
BUSY: Final = 64  # that wait for an answer or take theirs: descriptors are bounded by both
READ_SECONDS: Final = 5.0  # for a line of some words, from the connection on
TAKE_SECONDS: Final = 5.0  # for reading an answer
_CLOSE_SECONDS: Final = 1.0  # for what is not taken when everything ends
_ACCEPTED_AT_ONCE: Final = 64  # per turn, so that a flood cannot hold the loop
_COMMANDS_AT_ONCE: Final = 16  # the same for commands, some of which take milliseconds
_EXHAUSTED_SECONDS: Final = 1.0  # out of descriptors: `accept` fails again at once until some end

__all__ = ["Asked", "ControlSocket", "answer", "ask"]


class ControlSocket:
    """Receives commands; whoever carries them out answers each once."""

    def __init__(self, directory: Path) -> None:
        """Listen in the directory, which belongs to this supervisor alone. Raises UsageError."""
        self._path = directory / SOCKET_NAME
        self._clients: list[ControlConnection] = []  # the oldest first
        self._accept_at = 0.0
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

    def filenos(self, now: float) -> dict[int, int]:
        """Return what to poll, and for which events of `zmq.poll`. `now` is monotonic."""
        wanted = {one.fileno(): one.events for one in self._clients if one.events}
        if now >= self._accept_at:
            wanted[self._listener.fileno()] = zmq.POLLIN
        return wanted

    def receive(self, now: float) -> list[Asked]:
        """Return the commands that have come; what is none is answered here."""
        self._accept(now)
        asked: list[Asked] = []
        for client in self._clients:
            if client.stage is Stage.READING and len(asked) < _COMMANDS_AT_ONCE:
                asked += client.read(now)
            client.take(now)
            if client.stage is not Stage.CLOSED and now >= client.until:
                client.close()
        self._clients = [one for one in self._clients if one.stage is not Stage.CLOSED]
        return asked

    def close(self) -> None:
        """Stop listening; who takes an answer has a second for the rest of it."""
        self._listener.close()
        until = clocks.monotonic() + _CLOSE_SECONDS
        for client in self._clients:
            client.finish(until)
        self._path.unlink(missing_ok=True)

    def _accept(self, now: float) -> None:
        for _ in range(_ACCEPTED_AT_ONCE if now >= self._accept_at else 0):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # who waited has gone again
            except OSError:
                self._accept_at = now + _EXHAUSTED_SECONDS
                return
            reading = [one for one in self._clients if one.stage is Stage.READING]
            busy = sum(one.stage in (Stage.WAITING, Stage.ANSWERED) for one in self._clients)
            if len(reading) >= CLIENTS:
                reading[0].close()
            client = ControlConnection(connection, now + READ_SECONDS, TAKE_SECONDS)
            if busy >= BUSY:
                client.refusal = f"{busy} commands wait for answers already; try again later"
            elif not client.is_trusted():
                client.refusal = "you are another user"
            self._clients.append(client)


def answer(asked: Asked, *, ok: bool, detail: str, result: Mapping[str, Any] | None = None) -> None:
    """Answer and hang up; who no longer listens gets nothing, and a second answer is none."""
    asked.client.answer({"ok": ok, "detail": detail, "result": result or {}})


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
            connection.sendall(encode(wanted) + b"\n")
            with connection.makefile("rb") as lines:
                found: dict[str, Any] = json.loads(lines.readline())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"no supervisor answers at {path} ({reason}); expected "
                "supervisor.runtime_directory to be that of the running one"
            ) from None
    return found


def _remove_socket(path: Path) -> None:
    """Remove the socket, if there is one, and nothing else. Raises OSError."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "something that is no socket is in its place")
        path.unlink()
