"""Profiles of every kind of run, made by the recorder from what was observed, in seconds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import cache
from typing import Any

from monitor.soak_plans import PROFILES
from monitor.verdict import concluded
from streamer.messages import LATENCY_BUCKETS_SECONDS, Histogram, Notice, Report, SinkCounts
from tests.unit.monitor.observations import EPOCH, replace, stream
from tests.unit.monitor.runs import SYMBOLS, Run

HOUR = 3600
DAY = 24 * HOUR
EVERY_SECONDS = (
    10  # between observations; twice a minute's bin at least, below the heartbeat's limit
)
CONNECTION_LIFE = 4 * HOUR

Document = dict[str, Any]


@cache
def passing_day() -> Document:
    """Return a day as it should be: a warm-up, load that breathes, five rotations."""
    return _day(lambda _at: 0.0, Story())


@cache
def leaking_day(mib_per_hour: float) -> Document:
    """Return a day with a leak, two lost connections, a repaired gap and one that was not."""
    story = Story()
    story.lose(6.3 * HOUR, seconds=42.0)
    story.gap(6.3 * HOUR + 45, missing=2310, repaired=True)
    story.lose(17.1 * HOUR, seconds=9.0)
    story.gap(17.1 * HOUR + 12, missing=140, repaired=False)
    return _day(lambda at: mib_per_hour * at / HOUR, story)


@cache
def stopped_hour() -> Document:
    """Return an hour that a person stopped after 25 minutes."""
    story = Story()
    run = _Told("1h", story)
    memory = _memory(lambda _at: 0.0)
    run.seconds(1500, story.told, memory, every=5).end("stopped", **story.told(1500))
    return concluded(run.document())[0]


@cache
def smoke() -> Document:
    """Return two minutes as they should be."""
    return concluded(Run(PROFILES["smoke"]).seconds(120).end().document())[0]


def predecessors(hours: float = 1.0) -> Document:
    """Return a profile in the predecessor's format: one row a minute, no verdict, no events."""
    rows = [
        {
            "timestamp": f"2025-11-0{1 + minute // 1440}T00:00:00",
            "elapsed_hours": minute / 60,
            "rss_mb": 120.0 + minute % 7,
            "vms_mb": 900.0,
            "messages_received": 1800 * minute,
        }
        for minute in range(1, int(hours * 60) + 1)
    ]
    return {
        "test_metadata": {
            "test_duration_hours": hours,
            "actual_duration_hours": hours,
            "start_time": "2025-11-01T00:00:00",
            "end_time": "2025-11-01T01:00:00",
            "symbols": ["BTCUSDT", "ETHUSDT"],
            "sample_interval_seconds": 60,
            "total_samples": len(rows),
        },
        "summary_statistics": {"total_messages": 1800 * len(rows)},
        "memory_samples": rows,
    }


class Story:
    """What the streamer has to tell in its reports, by the second."""

    def __init__(self) -> None:
        self._lost: list[tuple[float, float]] = []
        self._gaps: list[tuple[float, int, bool]] = []

    def lose(self, at: float, seconds: float) -> None:
        """Lose the connection for a time."""
        self._lost.append((at, seconds))

    def gap(self, at: float, missing: int, *, repaired: bool) -> None:
        """Find ids missing."""
        self._gaps.append((at, missing, repaired))

    def drops(self, second: int) -> int:
        """Return how many connections were lost so far."""
        return sum(at <= second for at, _ in self._lost)

    def told(self, second: int) -> dict[str, Any]:
        """Return the parts of the report of a second."""
        # A rate of 40/s that breathes by 25/s over the day, summed up.
        breath = 25 * DAY / (2 * math.pi) * (1 - math.cos(2 * math.pi * second / DAY))
        counts = [round((40 * second + breath) * share) for share in (1.0, 0.45)]
        gaps = [one for one in self._gaps if one[0] <= second]
        lost = sum(missing for _, missing, repaired in gaps if not repaired)
        return {
            "streams": tuple(
                stream(
                    count,
                    symbol,
                    gaps_total=len(gaps) if symbol == SYMBOLS[0] else 0,
                    missing_total=lost if symbol == SYMBOLS[0] else 0,
                )
                for count, symbol in zip(counts, SYMBOLS, strict=True)
            ),
            "sink": SinkCounts("files", acknowledge_seconds=_histogram(second, 6)),
            "receive_latency": _histogram(second, 2),
            "notices": tuple(self._notices(second)),
        }

    def _notices(self, second: int) -> list[Notice]:
        found: list[tuple[float, str, dict[str, Any]]] = []
        ends = [
            *((CONNECTION_LIFE * one, 0.0, True) for one in range(1, 6)),
            *((at, away, False) for at, away in self._lost),
        ]
        opened, number = 1.0, 1
        here = {"slot": "slot-1"}
        found.append((opened, "connection_opened", {**here, "connection_id": number}))
        for at, away, planned in sorted(ends):
            back = at + away
            if planned:
                found.append((at, "rotation_started", {**here, "from_connection": number}))
            found.append((back, "connection_opened", {**here, "connection_id": number + 1}))
            if planned:
                found.append((at + 0.4, "rotation_completed", {**here, "reason": "age"}))
            reason = "age" if planned else "reset by peer"
            ending = {"planned": planned, "dropped": not planned, "reason": reason}
            ending |= {"connection_id": number, "age_seconds": at - opened, "code": None}
            found.append((at + 0.5 if planned else at, "connection_closed", {**here, **ending}))
            opened, number = back, number + 1
        for at, missing, repaired in self._gaps:
            ids = {"stream": "trade", "symbol": SYMBOLS[0], "first_id": 1000}
            ids["last_id"] = 1000 + missing - 1
            kind = "gap_repaired" if repaired else "gap"
            found.append((at, kind, {**ids, ("repaired" if repaired else "missing"): missing}))
        found.sort(key=lambda one: one[0])
        return [
            Notice(number, EPOCH + at, kind, detail)
            for number, (at, kind, detail) in enumerate(found, start=1)
            if second - 3 * EVERY_SECONDS <= at <= second
        ]


class _Told(Run):
    """A run whose streamer tells a story, and counts the drops in it."""

    def __init__(self, profile: str, story: Story) -> None:
        super().__init__(PROFILES[profile])
        self.story = story

    def _report(self, second: int, changes: dict[str, Any]) -> Report:
        report = super()._report(second, changes)
        drops = self.story.drops(second)
        return replace(report, slots=(replace(report.slots[0], drops_total=drops),))


def _histogram(second: int, middle: int) -> Histogram:
    buckets = range(len(LATENCY_BUCKETS_SECONDS) + 1)
    counts = tuple(round(60 * second * math.exp(-abs(one - middle) * 1.4)) for one in buckets)
    return Histogram(counts, sum_seconds=0.2 * second)


def _memory(grown: Callable[[float], float]) -> Callable[[int], dict[str, Any]]:
    noise = random.Random(7)  # the same run each time

    def in_sample(second: int) -> dict[str, Any]:
        warm_up = 22 * (1 - math.exp(-second / 1500))
        load = 3 * math.sin(2 * math.pi * second / DAY)
        return {"rss_mib": 41 + warm_up + load + grown(second) + abs(noise.gauss(0, 0.8))}

    return in_sample


def _day(grown: Callable[[float], float], story: Story) -> Document:
    run = _Told("24h", story)
    run.seconds(DAY, story.told, _memory(grown), every=EVERY_SECONDS)
    run.end(**story.told(DAY))
    return concluded(run.document())[0]
