from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "n"))
        listener.settimeout(60.0)
        yield listener


def test_it_speaks_the_protocol(systemd: socket.socket) -> None:
    notifier = Notifier(systemd.getsockname())
    notifier.ready()
    notifier.status("3 of 3 streaming")
    notifier.watchdog()
    notifier.extend(1.5)
    notifier.stopping()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    with notifier.reloading():
        heard = [systemd.recv(100).decode() for _ in range(6)]
    assert systemd.recv(100) == b"READY=1"
    notifier.close()
    reloading, _, since = heard.pop().partition("\nMONOTONIC_USEC=")
    assert reloading == "RELOADING=1"
    assert 0 <= int(since) - before < 60e6
    assert heard == [
        "READY=1",
        "STATUS=3 of 3 streaming",
        "WATCHDOG=1",
        "EXTEND_TIMEOUT_USEC=1500000",
        "STOPPING=1",
    ]


def test_abstract_sockets_are_understood() -> None:
    name = f"vigil-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(60.0)
        notifier = Notifier(f"@{name}")
        notifier.ready()
        assert listener.recv(100) == b"READY=1"
        notifier.close()


def test_no_child_inherits_the_variables() -> None:
    environment = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "30000000", "HOME": "/"}
    notifier = Notifier.from_environment(environment)
    assert environment == {"HOME": "/"}
    assert notifier.watchdog_seconds == 30.0
    notifier.close()


def test_a_watchdog_for_another_process_is_not_ours() -> None:
    environment = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}
    assert Notifier.from_environment(environment).watchdog_seconds is None
    environment = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    assert Notifier.from_environment(environment).watchdog_seconds == 30.0


def test_nobody_listening_harms_nothing(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "gone")).ready()
    silent = Notifier(None)
    silent.ready()
    silent.close()
