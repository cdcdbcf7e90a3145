"""What is known of the exchange's clock, a line for each look, to correct times by later.

`clock.jsonl` in `sink.directory` has a line for each measurement, and one when the clock here was
set (docs/decisions/0103-the-clock-beside-the-records.md).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Literal

import msgspec

from streamer.config import SinkConfig
from streamer.repair.clock_check import NoteClock

CLOCK_FILE = "clock.jsonl"

_log = logging.getLogger(__name__)


class ClockLine(msgspec.Struct, frozen=True):
    """The exchange's clock less ours, as of a moment by ours: all in microseconds."""

    measured_us: int  # Unix time
    offset_us: int
    uncertainty_us: int | None  # half of the question's time; None after our clock was set
    cause: Literal["measured", "clock_set"] = "measured"


def clock_note(sink: SinkConfig) -> NoteClock:
    """Return what notes the clock's offsets beside the records of a sink, if it keeps any."""
    return ClockLog(sink.directory).note if sink.kind != "null" else lambda *_: None


class ClockLog:
    """Appends lines to a file. What goes wrong is logged, once until it goes well again."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / CLOCK_FILE
        self._failed = False

    def note(
        self, unix_time: float, offset_seconds: float, uncertainty_seconds: float | None
    ) -> None:
        """Write a line; without an uncertainty the clock here was set. Times in seconds."""
        line = ClockLine(
            round(unix_time * 1e6),
            round(offset_seconds * 1e6),
            None if uncertainty_seconds is None else round(uncertainty_seconds * 1e6),
            "clock_set" if uncertainty_seconds is None else "measured",
        )
        try:
            flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
            fd = os.open(self._path, flags, 0o644)
            try:
                os.write(fd, msgspec.json.encode(line) + b"\n")  # at once: no line in halves
            finally:
                os.close(fd)
        except OSError as error:
            if not self._failed:
                _log.warning("%s: %s: the clock's offset is not kept", self._path, error)
            self._failed = True
        else:
            self._failed = False
