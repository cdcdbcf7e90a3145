"""Which streams were wanted, and when: what a judgement may expect of whom. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.stream_changes import StreamChanges, Streams, changes
from streamer.messages import Report

CHANGES_KEPT = 1000  # of single streams; who changes more often is judged by the last ones


@dataclass(slots=True)
class SubscriptionHistory:
    """Notes from the reports of all streamers when a stream joined or left.

    What the first report of the first process of a streamer names was wanted from the beginning.
    """

    changes: list[dict[str, Any]] = field(default_factory=list)
    _now: dict[str, frozenset[str]] = field(default_factory=dict)  # by streamer
    _streams: dict[str, Streams] = field(default_factory=dict)  # as last reported, by streamer

    @property
    def now(self) -> frozenset[str]:
        """The streams that are wanted now."""
        return frozenset().union(*self._now.values())

    def take(self, report: Report, elapsed_seconds: float) -> None:
        """Take a newer report."""
        known = self._streams.get(report.streamer)
        self._streams[report.streamer] = report.streams
        if known is not None and not _is_other_set(changes(known, report.streams)):
            return
        named = frozenset(f"{one.stream}:{one.symbol}" for one in report.streams if not one.leaving)
        before = self._now.get(report.streamer)
        self._now[report.streamer] = named
        if before is None or named == before:
            return
        self.changes.append(
            {
                "elapsed_seconds": round(elapsed_seconds, 3),
                "added": sorted(named - before),
                "removed": sorted(before - named),
            }
        )
        while sum(len(one["added"]) + len(one["removed"]) for one in self.changes) > CHANGES_KEPT:
            del self.changes[0]


def _is_other_set(difference: StreamChanges) -> bool:
    return difference.is_other_set or any(
        before is not None and before.leaving != now.leaving for before, now in difference.changed
    )


def spans(
    initial: Iterable[str], changes: Sequence[Mapping[str, Any]], end_seconds: float
) -> dict[str, tuple[float, float]]:
    """Return from when to when each stream was last wanted, in seconds; to the end if it still is.

    `initial` are the names, such as `trade:BTCUSDT`, that were wanted from the beginning.
    """
    found = dict.fromkeys(initial, (0.0, end_seconds))
    for change in changes:
        at = float(change["elapsed_seconds"])
        for name in change["removed"]:
            found[name] = (found.get(name, (0.0, at))[0], at)
        for name in change["added"]:
            found[name] = (at, end_seconds)
    return found
