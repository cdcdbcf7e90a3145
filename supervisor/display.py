"""How a run is shown: a live view on a terminal, plain reports in a log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from monitor.snapshot import Snapshot
from monitor.verdict import Verdict
from streamer.logs import LogFormat
from streamer.printable import printable_lines
from supervisor.report import MEBIBYTE, events_total, plain_report, verdict_block

log = logging.getLogger(__name__)


class Display(Protocol):
    """Shows people how it goes."""

    @property
    def owns_terminal(self) -> bool:
        """Whether nobody else may write to the terminal."""

    def refresh(self, snapshot: Snapshot) -> None:
        """Show the state; called each second."""

    def report(self, snapshot: Snapshot) -> None:
        """Write the report that stays; called every few minutes."""

    def conclude(self, verdict: Verdict | None, path: Path) -> None:
        """Write the end: the verdict (None: none was asked for) and where the profile is."""


class PlainDisplay:
    """Blocks of text on stdout."""

    owns_terminal = False

    def refresh(self, snapshot: Snapshot) -> None:
        """Show nothing: a log keeps what it is told."""

    def report(self, snapshot: Snapshot) -> None:
        """Write the plain report."""
        _write(plain_report(snapshot))

    def conclude(self, verdict: Verdict | None, path: Path) -> None:
        """Write the final block."""
        _write(verdict_block(verdict, path) if verdict else f"profile: {path}")


class JsonDisplay:
    """One event in the log per report: a log of JSON lines stays one."""

    owns_terminal = False

    def refresh(self, snapshot: Snapshot) -> None:
        """Show nothing: a log keeps what it is told."""

    def report(self, snapshot: Snapshot) -> None:
        """Log the figures of the plain report."""
        log.info(
            "report",
            extra={
                "elapsed_seconds": round(snapshot.elapsed_seconds, 1),
                "messages_total": events_total(snapshot),
                "messages_per_second": round(snapshot.events_per_second, 2),
                "streamers": {
                    one.name: {
                        "generation": one.generation,
                        "rss_mib": _mib(one.sample.rss_bytes if one.sample else None),
                        "vms_mib": _mib(one.sample.vms_bytes if one.sample else None),
                        "growth_mib": _mib(one.growth_bytes),
                        "streaming": one.streaming,
                        "streams": len(one.streams),
                        "longest_silence_seconds": max(
                            (round(stream.silent_seconds, 1) for stream in one.streams),
                            default=None,
                        ),
                    }
                    for one in snapshot.streamers
                },
            },
        )

    def conclude(self, verdict: Verdict | None, path: Path) -> None:
        """Log the verdict with its criteria."""
        if verdict is None:
            log.info("end", extra={"profile": str(path)})
            return
        for one in verdict.criteria:
            log.info(
                "criterion",
                extra={
                    "criterion": one.name,
                    "observed": one.observed,
                    "limit": one.limit,
                    "unit": one.unit,
                    "outcome": one.outcome,
                    "required": one.required,
                    "reason": one.reason,
                },
            )
        log.info("verdict", extra={"outcome": verdict.outcome, "profile": str(path)})


@contextmanager
def open_display(log_format: LogFormat) -> Iterator[Display]:
    """Yield what suits: the live view when stdout is a terminal, else what suits the log."""
    if log_format == "json":
        yield JsonDisplay()
    elif sys.stdout.isatty():
        from supervisor.view import LiveView  # rich is 10 MB that a service does not need

        with LiveView() as view:
            yield view
    else:
        yield PlainDisplay()


def _mib(count: float | None) -> float | None:
    return None if count is None else round(count / MEBIBYTE, 1)


def _write(text: str) -> None:
    try:
        sys.stdout.write(printable_lines(text) + "\n")
        sys.stdout.flush()
    except OSError as error:  # a closed pipe or terminal ends no run
        log.warning("stdout cannot be written: %s", error)
