"""Logs on stderr: lines for people, or JSON for machines. Standard library only.

Whatever a line holds is made printable and cut here, since much of it is foreign: no caller can
forget to. What foreign input makes us say again and again is counted instead of written.

A streamer's process carries this, so that it stays as small as it can: structlog, which would do
the same, costs 5 MB and imports rich.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from io import FileIO, TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from streamer.printable import printable, printable_lines
from streamer.repeats import Repeats

RECENT_BYTES: Final = 128 << 10  # a thousand lines
EXTRA_BYTES_MAX: Final = 1024
"""For each value beside a line's text: a path, a name, a sentence."""
LogFormat = Literal["console", "json"]

_NOT_LOGGED = "not_logged"
_ABOUT_FOREIGN = ("streamer.network", "streamer.ingest", "streamer.repair", "streamer.telemetry")
"""The loggers that others can make say what they like to: exchange, REST, commands."""
_TELLS_GAPS = "streamer.ingest.gap_records"

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; anything else came as `extra`."""


_PRIORITIES = (
    (logging.CRITICAL, "<2>"),
    (logging.ERROR, "<3>"),
    (logging.WARNING, "<4>"),
    (logging.INFO, "<6>"),
    (logging.NOTSET, "<7>"),
)
"""Python's levels as those of syslog(3)."""


class ConsoleFormatter(logging.Formatter):
    """`2026-11-22T23:05:24Z warning streamer.feed: text key=value`, then a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        extra = "".join(f" {key}={_text(value)}" for key, value in _extra(record).items())
        line = (
            f"{_time(record, 'seconds')} {record.levelname.lower():<7} "
            f"{record.name}: {printable(record.getMessage())}{extra}"
        )
        if record.exc_info:
            # Indented: a message of several lines in it cannot look like a line of the log.
            traceback = printable_lines(self.formatException(record.exc_info))
            line += "\n  " + traceback.replace("\n", "\n  ")
        return line


class JsonFormatter(logging.Formatter):
    """One object per line: `timestamp`, `level`, `logger`, `event`, and what came as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry: dict[str, Any] = {
            "timestamp": _time(record, "microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": printable(record.getMessage()),
            **{key: _printable_value(value) for key, value in _extra(record).items()},
        }
        if record.exc_info:
            entry["exception"] = printable_lines(self.formatException(record.exc_info))
        return msgspec.json.encode(entry).decode()


class _JournalFormatter(logging.Formatter):
    """Puts the level before each line in the way that the journal reads it (sd-daemon(3))."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines; each of them becomes an entry."""
        prefix = _priority(record.levelno)
        return "\n".join(prefix + line for line in self._formatter.format(record).split("\n"))


class RepeatFilter(logging.Filter):
    """Lets warnings about foreign input pass once, and their like with a count: `not_logged`.

    A gap or a suspicion is told by its ids, each of which matters: of those there is only a bound.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._repeats = {name: Repeats() for name in _ABOUT_FOREIGN}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written."""
        record.__dict__.pop(_NOT_LOGGED, None)  # what another handler's filter has counted
        repeats = next(
            (self._repeats[n] for n in _ABOUT_FOREIGN if record.name.startswith(n)), None
        )
        if repeats is None:
            return True
        counted = repeats.admit(
            f"{record.name} {record.getMessage()}",
            self._monotonic(),
            collapse=record.levelno >= logging.WARNING and record.name != _TELLS_GAPS,
        )
        if counted:
            record.__dict__[_NOT_LOGGED] = counted
        return counted is not None


class _CurrentStderr(logging.Handler):
    """Writes to whatever sys.stderr is now: a live view puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            self.handleError(record)


def configure(log_format: LogFormat, level: str) -> None:
    """Send every logger's records of a level (debug, info, warning, error) and above to stderr."""
    handler = _CurrentStderr()
    formatter = JsonFormatter() if log_format == "json" else ConsoleFormatter()
    handler.setFormatter(_JournalFormatter(formatter) if _stderr_is_journal() else formatter)
    root = logging.getLogger()
    handler.addFilter(RepeatFilter())
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # a closed stderr costs its lines, not a traceback each


def priority_prefix(level: int) -> str:
    """Return what the journal takes as a line's level; empty where stderr is no journal."""
    return _priority(level) if _stderr_is_journal() else ""


def _priority(level: int) -> str:
    return next(prefix for least, prefix in _PRIORITIES if level >= least)


def _stderr_is_journal() -> bool:
    """Return whether stderr is the stream that systemd has named: it may lead elsewhere by now."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def keep_recent(path: Path) -> None:
    """Also keep the last lines in a file, and in `path.1` those before them: for a diagnosis.

    A process that hangs cannot tell them any more. The file is to be in memory (a tmpfs).
    """
    try:
        handler = _PrivateFile(path, maxBytes=RECENT_BYTES, backupCount=1, encoding="utf-8")
    except OSError as error:
        logging.getLogger(__name__).warning("%s: no lines are kept: %s", path, error.strerror)
        return
    handler.setFormatter(ConsoleFormatter())
    handler.addFilter(RepeatFilter())
    logging.getLogger().addHandler(handler)


class _PrivateFile(RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        # Nobody else reads it, whatever the umask is.
        descriptor = os.open(
            self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        return TextIOWrapper(FileIO(descriptor, "a"), encoding=self.encoding, write_through=True)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _OWN}


def _printable_value(value: object) -> object:
    """Return a value for JSON, each text in it printable; what JSON does not know as text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {_text(key): _printable_value(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable_value(one) for one in value]
    return _text(value)


def _text(value: object) -> str:
    return printable(str(value), EXTRA_BYTES_MAX)


def _time(record: logging.LogRecord, precision: str) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
