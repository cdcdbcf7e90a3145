"""Logs on stderr: lines for people, or JSON for machines. Standard library only.

A streamer's process carries this, so that it stays as small as it can: structlog, which would do
the same, costs 5 MB and imports rich.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

LogFormat = Literal["console", "json"]

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; anything else came as `extra`."""


class ConsoleFormatter(logging.Formatter):
    """`2026-11-22T23:05:24Z warning streamer.feed: text key=value`, then a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        extra = "".join(f" {key}={value}" for key, value in _extra(record).items())
        line = (
            f"{_time(record, 'seconds')} {record.levelname.lower():<7} "
            f"{record.name}: {record.getMessage()}{extra}"
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object per line: `timestamp`, `level`, `logger`, `event`, and what came as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry: dict[str, Any] = {
            "timestamp": _time(record, "microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry, enc_hook=str).decode()


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
    handler.setFormatter(JsonFormatter() if log_format == "json" else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # a closed stderr costs its lines, not a traceback each


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _OWN}


def _time(record: logging.LogRecord, precision: str) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
