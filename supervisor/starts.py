"""How many runs have failed in a row, across restarts of the service by systemd.

A run counts as failed from its start until it has lived long enough or ended in order, so that one
that was killed counts as well. The count is in the runtime directory: a reboot clears it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Final

from supervisor.errors import ExitCode
from supervisor.own_directory import write_private

log = logging.getLogger(__name__)

_FILE: Final = "failed-runs"
_FAILED: Final = frozenset(
    {ExitCode.INTERNAL_ERROR, ExitCode.STARTUP_FAILED, ExitCode.RESTART_BUDGET_SPENT}
)
"""What another start follows; the rest is a person's wish, or waits for a person."""


class Starts:
    """The count of one runtime directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _FILE
        self._open = False  # whether this run counts as failed so far

    def begin(self) -> int:
        """Return how many runs failed in a row before this one, and count this one."""
        failed = 0
        with suppress(OSError, ValueError):  # there is none yet, or it is none of ours
            failed = max(0, int(self._path.read_bytes()[:8]))
        self._write(failed + 1)
        self._open = True
        return failed

    def ended(self, code: ExitCode) -> None:
        """Note how the run ended."""
        if code not in _FAILED:
            self.healthy()

    def healthy(self) -> None:
        """Note that this run did not fail."""
        if self._open:
            self._open = False
            self._write(0)

    def _write(self, failed: int) -> None:
        try:
            write_private(self._path, f"{failed}\n")
        except OSError as error:  # then failures in a row are restarted without a longer delay
            log.warning("%s: cannot be written: %s", self._path, error.strerror)
