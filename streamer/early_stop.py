"""A wish to stop that comes while a streamer starts: it ends at once, in order.

A start waits: for a predecessor, for brokers. Python's own handlers run when such a call returns,
so a thread looks out for the signal. Nothing was received so far, so nothing can be lost.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

_STOPS = (signal.SIGTERM, signal.SIGINT)
_OVER = b"\0"  # no signal's number


@contextmanager
def early_stop(exit_code: Callable[[], int]) -> Iterator[None]:
    """End the process with this code when SIGTERM or SIGINT comes within the block.

    Before the block ends, others have to be in charge of signals. To be called by the main thread.
    """
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(reader, True)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(
        target=_watch, args=(reader, exit_code), name="early-stop", daemon=True
    )
    thread.start()
    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    try:
        yield
    except BaseException:
        signal.set_wakeup_fd(before)
        raise
    finally:
        os.write(writer, _OVER)
        thread.join()
        os.close(reader)
        os.close(writer)


def _watch(reader: int, exit_code: Callable[[], int]) -> None:
    while (number := os.read(reader, 1)) != _OVER:
        if number[0] in _STOPS:
            name = signal.Signals(number[0]).name
            log.warning("%s while it was starting: nothing was received, it ends", name)
            os._exit(exit_code())
