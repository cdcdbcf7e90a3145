from __future__ import annotations

import os
import select
import signal

from supervisor.signals import SignalQueue


def test_signals_queue_up_in_order_and_wake_a_poll() -> None:
    with SignalQueue((signal.SIGUSR1, signal.SIGHUP)) as signals:
        assert signals.take() == []
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert select.select([signals], [], [], 5.0)[0] == [signals]
        assert signals.take() == [signal.SIGHUP, signal.SIGUSR1]
        assert select.select([signals], [], [], 0)[0] == []


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with SignalQueue((signal.SIGUSR1,)):
        assert signal.getsignal(signal.SIGUSR1) != before
    assert signal.getsignal(signal.SIGUSR1) == before
