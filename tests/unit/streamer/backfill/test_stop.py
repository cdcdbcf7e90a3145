from __future__ import annotations

import os
import signal
import threading

import pytest

from streamer.backfill.stop import Stop, Stopped


def test_the_first_signal_asks_and_the_second_one_ends():
    stop, before = Stop(), signal.getsignal(signal.SIGTERM)
    with stop.listening():
        stop.check()
        stop.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            stop.sleep(60.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_hears_no_signals():
    def listen() -> None:
        with stop.listening():
            heard.append(signal.getsignal(signal.SIGTERM))

    stop, heard = Stop(), []
    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert heard == [signal.getsignal(signal.SIGTERM)]
