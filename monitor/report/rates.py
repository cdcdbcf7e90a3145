"""Messages over time as the report draws them: per stream and symbol, and all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from monitor.evidence import Evidence

DRAWN = 8  # more lines cannot be told apart; the rest is drawn as one
PREDECESSORS = "all messages"  # its format does not tell them apart


@dataclass(frozen=True, slots=True)
class Line:
    """Events per second in each interval."""

    name: str
    per_second: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One stream of a symbol over the whole run."""

    name: str
    events: int
    mean_per_second: float
    lowest_per_second: float | None  # of the intervals
    longest_silence_seconds: float | None


@dataclass(frozen=True, slots=True)
class Rates:
    """Lines over the ends of the intervals, in elapsed seconds."""

    seconds: tuple[float, ...]
    lines: tuple[Line, ...]
    judged: Line | None  # what the criterion is about: unique trades and aggregate trades
    limit_per_second: float
    streams: tuple[StreamRow, ...]


def rates(evidence: Evidence) -> Rates:
    """Return the rates of a run."""
    rows = evidence.rows
    counts = [_counts(row) for row in rows]
    names = sorted({name for one in counts for name in one}, key=lambda name: -counts[-1][name])
    lines = [Line(name, _rate(rows, [one.get(name, 0) for one in counts])) for name in names]
    drawn = lines
    if len(lines) > DRAWN:
        rest = lines[DRAWN - 1 :]
        together = tuple(sum(each) for each in zip(*(one.per_second for one in rest), strict=True))
        drawn = [*lines[: DRAWN - 1], Line(f"{len(rest)} others together", together)]
    totals = evidence.delivered or (counts[-1] if counts else {})
    by_total = sorted(totals, key=lambda name: -totals[name])
    lowest = {one.name: min(one.per_second, default=None) for one in lines}
    rated = [row.get("rated_events") for row in rows]
    judged = None
    if len(lines) > 1 and all(one is not None for one in rated):
        judged = Line("all trades", _rate(rows, rated))
    return Rates(
        seconds=tuple(row["elapsed_seconds"] for row in rows[1:]),
        lines=tuple(drawn),
        judged=judged,
        limit_per_second=evidence.profile.rate_limit_per_second,
        streams=tuple(_row(evidence, name, totals[name], lowest.get(name)) for name in by_total),
    )


def _row(evidence: Evidence, name: str, events: int, lowest: float | None) -> StreamRow:
    return StreamRow(
        name=name,
        events=events,
        mean_per_second=events / max(evidence.elapsed_seconds, 1e-9),
        lowest_per_second=lowest,
        longest_silence_seconds=_silence(evidence, name),
    )


def _counts(row: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the events by stream and symbol; where there are too many, by stream."""
    events: Mapping[str, int] | None = row.get("events", row.get("stream_events"))
    return {PREDECESSORS: row["messages_received"]} if events is None else events


def _rate(rows: Sequence[Mapping[str, Any]], totals: Sequence[Any]) -> tuple[float, ...]:
    return tuple(
        (after - before) / max(row["elapsed_seconds"] - earlier["elapsed_seconds"], 1e-9)
        for (earlier, row), (before, after) in zip(pairwise(rows), pairwise(totals), strict=True)
    )


def _silence(evidence: Evidence, name: str) -> float | None:
    known = [
        one.facts["longest_silence_seconds"][name]
        for one in evidence.processes
        if name in one.facts.get("longest_silence_seconds", {})
    ]
    return max(known, default=None)
