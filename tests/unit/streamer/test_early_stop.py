"""A wish to stop while a streamer starts: in a process of its own, which it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from streamer.early_stop import early_stop
from tests.streaming import ROOT

WAITS = """
import ctypes, signal, sys
from streamer.early_stop import early_stop
signal.signal(signal.SIGINT, signal.default_int_handler)
with early_stop(lambda: 7):
    print("starts", flush=True)
    while True:  # in a call that does not return for a signal, as those of librdkafka
        ctypes.CDLL(None).sleep(1000)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_waits_is_ended_by_a_wish_to_stop(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"starts\n"
        try:
            process.send_signal(number)
            assert process.wait(60) == 7
        finally:
            process.kill()


def test_who_is_in_charge_by_the_end_of_a_start_hears_the_signals() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    heard: list[int] = []
    handlers = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    before = signal.set_wakeup_fd(-1)
    try:
        with early_stop(lambda: 7):
            signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
            signal.set_wakeup_fd(writer)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (heard, os.read(reader, 1)) == ([signal.SIGTERM], bytes([signal.SIGTERM]))
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def test_a_start_that_fails_leaves_what_was_there() -> None:
    handlers = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        with pytest.raises(ValueError, match="wrong"), early_stop(lambda: 7):
            raise ValueError("wrong")
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
