"""What the exchange told one streamer of a machine about waiting, for all of them.

Limits and bans are of the address. A file holds the Unix time until which nobody may ask as the
time of its last change: to look costs one call, and to write needs no lock.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from streamer.retry_after import BAN_SECONDS_MAX

log = logging.getLogger(__name__)


class AddressHold:
    """Shared through a file whose directory is there; None: nobody shares the address."""

    def __init__(
        self, path: Path | None = None, unix_time: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._unix_time = unix_time

    def seconds(self) -> float:
        """Return for how long nothing may be asked; 0: it may be now."""
        if self._path is None:
            return 0.0
        try:
            until = self._path.stat().st_mtime
        except OSError:
            return 0.0
        # A clock that is set back must not make a ban of it that the exchange does not know.
        return min(max(until - self._unix_time(), 0.0), BAN_SECONDS_MAX)

    def hold(self, seconds: float) -> None:
        """Have nobody ask for so long, or for longer where that was told before."""
        if self._path is None or seconds <= self.seconds():
            return
        until = self._unix_time() + seconds
        try:
            with suppress(FileExistsError):
                self._path.touch(0o644, exist_ok=False)
            os.utime(self._path, (until, until))
        except OSError as error:  # then each one is told by the exchange itself
            log.warning("%s: cannot be written: %s", self._path, error.strerror)
