"""What is kept of each stream over a whole run, whatever its length: events and standstills. Pure.

A count per stream and minute would be 200 MB a day for 4,500 streams. A judgement asks how many
events there were, and for how long nothing came; of standstills only those count that were longer
than all before: the first one above any limit is among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Standstill = tuple[float, float]
"""Elapsed seconds: of the row with the last event, and of the last row without another one."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """A stream over consecutive rows of the profile. Times are elapsed seconds of rows."""

    began: float
    first: int  # events until the first row
    ended: float
    total: int  # events until the last row
    standstills: tuple[Standstill, ...] = ()  # each longer than those before

    @property
    def seconds(self) -> float:
        """From the first row to the last."""
        return self.ended - self.began

    def later(self, seconds: float, events: int) -> StreamRecord:
        """Return the same as part of a run in which this time and these events came before."""
        return StreamRecord(
            round(self.began + seconds, 3),
            self.first + events,
            round(self.ended + seconds, 3),
            self.total + events,
            tuple((round(a + seconds, 3), round(b + seconds, 3)) for a, b in self.standstills),
        )


@dataclass(slots=True)
class _Open:
    """A record that goes on."""

    began: float
    first: int
    ended: float
    total: int
    since: float  # the row with the last event
    longest: float = 0.0
    standstills: list[Standstill] = field(default_factory=list)

    def take(self, at: float, total: int) -> None:
        if total > self.total:
            self._note(self.standstills)
            self.longest = max(self.longest, self.ended - self.since)
            self.since = at
        self.ended, self.total = at, total

    def record(self) -> StreamRecord:
        standstills = list(self.standstills)
        self._note(standstills)
        return StreamRecord(self.began, self.first, self.ended, self.total, tuple(standstills))

    def _note(self, standstills: list[Standstill]) -> None:
        if self.ended - self.since > self.longest:
            standstills.append((self.since, self.ended))


class StreamRecords:
    """The records of all streams, by names such as `trade:BTCUSDT`."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._closed: dict[str, list[StreamRecord]] = {}

    def take(self, at: float, totals: Mapping[str, int]) -> None:
        """Take the events so far of the streams that are wanted, at the end of a row."""
        for name, total in totals.items():
            known = self._open.get(name)
            if known is None:
                self._open[name] = _Open(at, total, at, total, since=at)
            else:
                known.take(at, total)
        for name in [name for name in self._open if name not in totals]:
            self._closed.setdefault(name, []).append(self._open.pop(name).record())

    def all(self) -> dict[str, list[StreamRecord]]:
        """Return the records of each stream, the oldest first."""
        found = {name: list(records) for name, records in self._closed.items()}
        for name, one in self._open.items():
            found.setdefault(name, []).append(one.record())
        return found


def since_first_report(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return the rows from the first one on in which a streamer had reported, and the one before.

    A launch takes seconds, on a busy machine more than the windows of a short run have. Rows of the
    predecessor's, which tell nothing of streams, are all returned.
    """
    reported = (
        at
        for at, row in enumerate(rows)
        if row.get("events", row.get("stream_events", True)) or row.get("messages_received")
    )
    return rows[max(0, next(reported, len(rows)) - 1) :]


def records_of(
    rows: Sequence[Mapping[str, Any]], spans: Mapping[str, tuple[float, float]]
) -> dict[str, list[StreamRecord]]:
    """Return what consecutive rows tell that hold the events of each stream, as older ones do.

    `spans` tells from when to when a stream was wanted.
    """
    records = StreamRecords()
    for row in since_first_report(rows):
        at = row["elapsed_seconds"]
        wanted = (name for name, (began, ended) in spans.items() if began <= at <= ended)
        records.take(at, {name: row["events"].get(name, 0) for name in wanted})
    return records.all()


def as_json(records: Mapping[str, Sequence[StreamRecord]]) -> dict[str, list[list[Any]]]:
    """Return the records as they stand in the profile: the values in the order of the fields."""
    return {
        name: [
            [one.began, one.first, one.ended, one.total, [list(each) for each in one.standstills]]
            for one in each_of_name
        ]
        for name, each_of_name in records.items()
    }


def from_json(kept: Mapping[str, Sequence[Sequence[Any]]]) -> dict[str, list[StreamRecord]]:
    """Return the records of a profile."""
    return {
        name: [
            StreamRecord(
                float(began),
                int(first),
                float(ended),
                int(total),
                tuple((float(since), float(until)) for since, until in standstills),
            )
            for began, first, ended, total, standstills in records
        ]
        for name, records in kept.items()
    }


def joined(
    earlier: Mapping[str, Sequence[StreamRecord]],
    latest: Mapping[str, Sequence[StreamRecord]],
    seconds: float,
) -> dict[str, list[StreamRecord]]:
    """Return the records of two segments of a run; the earlier one lasted so many seconds."""
    found = {name: list(records) for name, records in earlier.items()}
    for name, records in latest.items():
        events = found[name][-1].total if found.get(name) else 0
        found.setdefault(name, []).extend(one.later(seconds, events) for one in records)
    return found
