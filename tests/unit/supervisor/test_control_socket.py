from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.control_socket import CLIENTS, ControlSocket, answer, ask
from supervisor.errors import UsageError

PATIENCE_SECONDS = 10.0


@pytest.fixture
def commands(tmp_path: Path) -> Any:
    opened = ControlSocket(tmp_path)
    yield opened
    opened.close()
    assert not (tmp_path / "control").exists()


def heard(commands: ControlSocket) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (asked := commands.receive()):
        assert time.monotonic() < deadline
    return asked


def told(directory: Path, line: bytes) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE_SECONDS)
    client.connect(str(directory / "control"))
    client.sendall(line)
    return client


def test_a_command_is_heard_and_answered(commands: ControlSocket, tmp_path: Path) -> None:
    answers: list[dict[str, Any]] = []
    client = threading.Thread(
        target=lambda: answers.append(ask(tmp_path, "rotate", PATIENCE_SECONDS, "streamer-1"))
    )
    client.start()
    [asked] = heard(commands)
    assert (asked.command, asked.streamer) == ("rotate", "streamer-1")
    answer(asked, ok=True, detail="done", result={"figure": 7})
    client.join()
    assert answers == [{"ok": True, "detail": "done", "result": {"figure": 7}}]
    assert len(commands.filenos()) == 1


@pytest.mark.parametrize("line", [b"no json\n", b"[]\n", b'{"name": 1}\n', b"x" * 5000])
def test_what_is_no_command_is_answered_with_what_would_be(
    commands: ControlSocket, tmp_path: Path, line: bytes
) -> None:
    with told(tmp_path, line) as client:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(commands.filenos()) > 1 or time.monotonic() < deadline - PATIENCE_SECONDS + 0.1:
            assert commands.receive() == []
        assert b"is wanted" in client.recv(4096)


def test_who_hangs_up_or_says_half_a_line_holds_nothing_up(
    commands: ControlSocket, tmp_path: Path
) -> None:
    told(tmp_path, b"").close()
    slow = [told(tmp_path, b'{"comm') for _ in range(CLIENTS - 1)]
    assert commands.receive() == []
    with told(tmp_path, b'{"command": "reload"}\n') as client:
        [asked] = heard(commands)
        client.close()
        answer(asked, ok=True, detail="to nobody")
    for one in slow:
        one.close()


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
