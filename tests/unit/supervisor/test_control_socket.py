from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor import control_connection, control_socket
from supervisor.control_connection import LINE_BYTES
from supervisor.control_socket import (
    BUSY,
    CLIENTS,
    READ_SECONDS,
    TAKE_SECONDS,
    Asked,
    ControlSocket,
    answer,
    ask,
)
from supervisor.errors import UsageError
from tests.strict_json import TEXT, TEXT_READ, VALUES, VALUES_READ, parsed
from tests.waiting import WITHIN_SECONDS

PATIENCE_SECONDS = WITHIN_SECONDS
NOW = 100.0


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[ControlSocket]:
    opened = ControlSocket(tmp_path)
    yield opened
    opened.close()
    assert not (tmp_path / "control").exists()


def heard(commands: ControlSocket, now: float | None = None) -> list[Asked]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (asked := commands.receive(time.monotonic() if now is None else now)):
        assert time.monotonic() < deadline
    return asked


def told(directory: Path, line: bytes) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE_SECONDS)
    client.connect(str(directory / "control"))
    client.sendall(line)
    return client


def everything(client: socket.socket) -> dict[str, Any]:
    with client.makefile("rb") as lines:
        found: dict[str, Any] = json.loads(lines.readline())
        assert lines.read() == b"", "one line, then the end"
    return found


def polled(commands: ControlSocket) -> int:
    return len(commands.filenos(NOW))


def test_a_command_is_heard_and_answered(commands: ControlSocket, tmp_path: Path) -> None:
    answers: list[dict[str, Any]] = []
    client = threading.Thread(
        target=lambda: answers.append(ask(tmp_path, "rotate", PATIENCE_SECONDS, "streamer-1"))
    )
    client.start()
    [asked] = heard(commands)
    assert (asked.command, asked.streamer) == ("rotate", "streamer-1")
    answer(asked, ok=True, detail="done", result={"figure": 7})
    answer(asked, ok=False, detail="a second answer is none")
    client.join()
    assert answers == [{"ok": True, "detail": "done", "result": {"figure": 7}}]
    assert polled(commands) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b"[]\n",
        b'{"name": 1}\n',
        b'{"command": "rotate", "streamer": ["a"]}\n',
        b'{"command": "rotate", "streamr": "a"}\n',
        b'{"command": ["rotate"]}\n',
        b'{"command": ""}\n',
        b'{"command": "\xff"}\n',
        b"[" * 4000 + b"\n",
        b'{"command": ' + b"[" * 4000 + b"\n",
        b"9" * 4000 + b"\n",
        b"x" * 5000,
    ],
)
def test_what_is_no_command_is_answered_with_what_would_be(
    commands: ControlSocket, tmp_path: Path, line: bytes
) -> None:
    with told(tmp_path, line) as client:
        assert commands.receive(NOW) == []
        found = json.loads(client.recv(LINE_BYTES))
    assert found["ok"] is False
    assert found["detail"].startswith('a line such as {"command": "reload"} is expected (')
    commands.receive(NOW)
    assert polled(commands) == 1


def test_who_hangs_up_holds_nothing_up(commands: ControlSocket, tmp_path: Path) -> None:
    told(tmp_path, b"").close()
    told(tmp_path, b'{"comm').close()
    assert commands.receive(NOW) == []
    with told(tmp_path, b'{"command": "reload"}\n') as client:
        [asked] = heard(commands, NOW)
        client.close()
        answer(asked, ok=True, detail="to nobody")
    commands.receive(NOW)
    assert polled(commands) == 1


def test_of_too_many_the_longest_idle_is_dropped(commands: ControlSocket, tmp_path: Path) -> None:
    idle = []
    for _ in range(3 * CLIENTS):
        idle.append(told(tmp_path, b'{"comm'))
        assert commands.receive(NOW) == []
        assert polled(commands) <= 1 + CLIENTS
    with told(tmp_path, b'{"command": "reload"}\n'):
        [asked] = heard(commands, NOW)
        assert asked.command == "reload"
    dropped, kept = idle[: 2 * CLIENTS + 1], idle[2 * CLIENTS + 1 :]
    assert all(one.recv(1) == b"" for one in dropped)
    for one in kept:
        one.setblocking(False)
        with pytest.raises(BlockingIOError):
            one.recv(1)
    for one in idle:
        one.close()


def test_each_client_has_a_deadline_for_its_command(
    commands: ControlSocket, tmp_path: Path
) -> None:
    with told(tmp_path, b'{"comm') as slow:
        assert commands.receive(NOW) == []
        slow.sendall(b"and")
        commands.receive(NOW + READ_SECONDS - 0.1)
        assert polled(commands) == 2
        slow.sendall(b'": "drips')
        commands.receive(NOW + READ_SECONDS)
        assert polled(commands) == 1
        assert slow.recv(1) == b""


def test_a_large_answer_arrives_whole(commands: ControlSocket, tmp_path: Path) -> None:
    detail = "x" * 5_000_000
    found: list[dict[str, Any]] = []
    reader = threading.Thread(
        target=lambda: found.append(ask(tmp_path, "status", PATIENCE_SECONDS))
    )
    reader.start()
    [asked] = heard(commands)
    answer(asked, ok=True, detail=detail)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while reader.is_alive():
        commands.receive(time.monotonic())
        assert time.monotonic() < deadline
    assert found[0]["detail"] == detail


def test_who_does_not_take_its_answer_is_dropped(commands: ControlSocket, tmp_path: Path) -> None:
    with told(tmp_path, b'{"command": "status"}\n'):
        [asked] = heard(commands)
        assert polled(commands) == 1, "while an answer is made there is nothing to poll for"
        answer(asked, ok=True, detail="x" * 5_000_000)
        assert polled(commands) == 2
        commands.receive(time.monotonic() + TAKE_SECONDS + 1)
        assert polled(commands) == 1


def test_the_end_waits_a_moment_for_who_takes_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_socket, "_CLOSE_SECONDS", PATIENCE_SECONDS)
    commands = ControlSocket(tmp_path)
    detail, found = "x" * 1_000_000, []
    client = told(tmp_path, b'{"command": "drain"}\n')
    [asked] = heard(commands)
    reader = threading.Thread(target=lambda: found.append(everything(client)))
    answer(asked, ok=True, detail=detail)
    reader.start()
    commands.close()
    reader.join()
    client.close()
    assert found[0]["detail"] == detail


def test_answers_that_are_waited_for_are_bounded(commands: ControlSocket, tmp_path: Path) -> None:
    clients, asked = [], 0
    while asked < BUSY:
        clients.append(told(tmp_path, b'{"command": "rotate"}\n'))
        asked += len(heard(commands, NOW))
    with told(tmp_path, b'{"command": "rotate"}\n') as late:
        assert commands.receive(NOW) == []
        assert "commands wait for answers" in everything(late)["detail"]
    for one in clients:
        one.close()


def test_without_descriptors_the_socket_is_left_alone_for_a_second(
    commands: ControlSocket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Exhausted:
        def accept(self) -> None:
            raise OSError(24, "Too many open files")

        def close(self) -> None:
            """Belongs to the real one."""

    real = commands._listener
    monkeypatch.setattr(commands, "_listener", Exhausted())
    commands.receive(NOW)
    assert commands.filenos(NOW + 0.9) == {}
    monkeypatch.setattr(commands, "_listener", real)
    assert len(commands.filenos(NOW + 1.0)) == 1


def test_another_user_is_refused(
    commands: ControlSocket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_connection, "_trusted_users", lambda: {os.getuid() + 1})
    with told(tmp_path, b'{"command": "reload"}\n') as client:
        assert commands.receive(NOW) == []
        assert "another user" in everything(client)["detail"]


def test_nobody_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no supervisor answers at"):
        ask(tmp_path, "reload", 1.0)
    with pytest.raises(UsageError, match="cannot listen"):
        ControlSocket(tmp_path / "absent")


def test_what_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("precious")
    with pytest.raises(UsageError, match=r"control: cannot listen: .*no socket is in its place"):
        ControlSocket(tmp_path)
    assert (tmp_path / "control").read_text() == "precious"


def test_whatever_is_asked_and_answered_a_strict_reader_takes_it(
    commands: ControlSocket, tmp_path: Path
) -> None:
    streamer = TEXT[:40]
    answers: list[dict[str, Any]] = []
    client = threading.Thread(
        target=lambda: answers.append(ask(tmp_path, "rotate", PATIENCE_SECONDS, streamer))
    )
    client.start()
    [asked] = heard(commands)
    assert asked.streamer == TEXT_READ[:45]
    answer(asked, ok=True, detail=TEXT, result=VALUES)
    client.join()
    assert answers == [{"ok": True, "detail": TEXT_READ, "result": VALUES_READ}]

    other = told(tmp_path, b'{"command": "rotate"}\n')
    [asked] = heard(commands)
    answer(asked, ok=True, detail=TEXT, result=VALUES)
    with other.makefile("rb") as lines:
        assert parsed(lines.read())["result"] == VALUES_READ
