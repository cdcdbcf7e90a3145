"""Kafka's topics checked after the start, since no broker answered then: tried until it is done."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from streamer.errors import StreamerError

PAUSE_SECONDS = 5.0  # between two attempts, which take some seconds themselves

_log = logging.getLogger(__name__)


class LateOpening:
    """Calls `prepare` on a thread of its own until it returns without a StreamerError.

    What brokers refuse may be mended while records wait, so that is tried again, too.
    """

    def __init__(
        self, prepare: Callable[[], None], *, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self.is_done = False
        self._prepare = prepare
        self._pause_seconds = pause_seconds
        self._error: str | None = None
        self._stopped = threading.Event()
        # A daemon: a broker that does not answer keeps no process from ending.
        threading.Thread(target=self._run, name="late opening", daemon=True).start()

    def take_error(self) -> str | None:
        """Return why the latest attempt failed, once."""
        error, self._error = self._error, None
        return error

    def close(self) -> None:
        """Try no more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._prepare()
            except StreamerError as error:
                self._error = str(error)
            except Exception as error:  # noqa: BLE001 - else records would wait for ever
                _log.exception("what Kafka was asked at the start is asked again")
                self._error = repr(error)
            else:
                self.is_done = True
                return
            self._stopped.wait(self._pause_seconds)
