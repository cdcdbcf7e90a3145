"""The process: how it starts, what it says, how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.exchange import Exchange
from tests.unit.simulator.conftest import Client, receive
from tests.waiting import eventually


def test_term_ends_it_cleanly_with_clients_connected(start: Callable[..., Client]) -> None:
    client = start()
    with client.open("/ws/btcusdt@trade") as connection:
        receive(connection)
        assert client.exchange.stop() == 0
    log = client.exchange.log_file.read_text()
    assert "Traceback" not in log
    assert "never retrieved" not in log


def test_plain_speaks_without_tls(start: Callable[..., Client]) -> None:
    client = start("--plain")
    assert client.exchange.websocket_url.startswith("ws://")
    assert client.exchange.ca_file is None
    with client.open("/ws/btcusdt@trade") as connection:
        assert receive(connection)["s"] == "BTCUSDT"
    assert client.rest("time")[0] == 200


def test_a_second_run_continues_the_tape(tmp_path: Path) -> None:
    began = str(time.time() - 30)
    tapes = []
    for _ in range(2):
        with Exchange(tmp_path, symbols=["BTCUSDT"], extra=["--start-time", began]) as exchange:
            tapes.append(exchange.tape("trade", "BTCUSDT", to_id=5_000_000_999))
    assert tapes[0] == tapes[1]
    assert len(tapes[0]) == 1000


@pytest.mark.parametrize(
    "arguments", [["--fault", "kind=nosuch"], ["--replay", "/nonexistent/recording"]]
)
def test_what_cannot_work_is_refused_with_2(arguments: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "simulator", *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("simulator: ")
    assert "Traceback" not in result.stderr


def test_a_taken_port_is_refused_with_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = subprocess.run(
            [sys.executable, "-m", "simulator", "--plain", "--port", port],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert result.returncode == 2
    assert "address already in use" in result.stderr.lower()


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-m', 'simulator', '--plain',"
        " '--die-with-parent'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    eventually(lambda: not is_alive(child))


def is_alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
