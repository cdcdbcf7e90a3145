from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from supervisor.signals import SignalQueue, name_of


def test_signals_queue_up_in_order_and_wake_a_poll() -> None:
    with SignalQueue((signal.SIGUSR1, signal.SIGHUP)) as signals:
        assert signals.take() == []
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert select.select([signals], [], [], 60.0)[0] == [signals]
        assert signals.take() == [signal.SIGHUP, signal.SIGUSR1]
        assert select.select([signals], [], [], 0)[0] == []


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with SignalQueue((signal.SIGUSR1,)):
        assert signal.getsignal(signal.SIGUSR1) != before
    assert signal.getsignal(signal.SIGUSR1) == before


def test_what_comes_before_and_after_the_queue_ends_nothing() -> None:
    # A process of its own: a mask is a thread's, and pytest may have several.
    code = """
import os, signal
from supervisor.signals import WATCHED, SignalQueue, hold
def all_come():
    for number in (*WATCHED, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(os.getpid(), number)
hold()
all_come()
with SignalQueue() as signals:
    print(sorted(signals.take()) == sorted(WATCHED))
all_come()
raise SystemExit(7)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "True\n")
    assert done.stderr.count("Current thread 0x") == 2  # by SIGUSR2


@pytest.mark.parametrize(
    ("number", "name"), [(15, "SIGTERM"), (40, "SIGRTMIN+6"), (64, "SIGRTMAX"), (33, "signal 33")]
)
def test_every_signal_has_a_name(number: int, name: str) -> None:
    assert name_of(number) == name
