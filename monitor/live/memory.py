"""The memory of a streamer as the page draws it: the report's band, floors and trend. Pure."""

from __future__ import annotations

from typing import Any, Final

from monitor.evidence import Process
from monitor.replay import Replayed
from monitor.report.memory import Memory, memory_of
from monitor.snapshot import Snapshot, StreamerSnapshot
from monitor.soak_plans import MIB

POINTS_MAX: Final = 240  # of a band: two for each CSS pixel of a phone are not seen


def memory_of_all(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return what is drawn of each streamer's latest process, times in seconds since the start."""
    ceiling_mib = snapshot.memory_ceiling_bytes / MIB
    return [_drawn(one, ceiling_mib) for one in snapshot.streamers]


def memory_key(snapshot: Snapshot) -> tuple[object, ...]:
    """Return what differs when there is something else to draw."""
    return (
        snapshot.memory_ceiling_bytes,
        *((one.name, one.generation, len(one.bins), one.bins[-1:]) for one in snapshot.streamers),
    )


def _drawn(one: StreamerSnapshot, ceiling_mib: float) -> dict[str, Any]:
    process = Process(
        name=one.name,
        generation=one.generation,
        started_seconds=one.launched_elapsed_seconds,
        bin_seconds=one.bin_seconds,
        bins=one.bins,
        peak_rss_bytes=0,  # of the bins alone
        facts={},
    )
    assessments = () if one.leak is None else (one.leak,)
    memory = memory_of(Replayed(process, (), assessments), ceiling_mib)
    trend = memory.trend
    return {
        "name": one.name,
        "generation": one.generation,
        "band": _condensed(memory),
        "floors": [
            [round(at), round(mib, 2)]
            for at, mib in zip(memory.floor_seconds, memory.floor_mib, strict=True)
        ],
        "trend": None
        if trend is None
        else {
            "from_seconds": round(trend.start_seconds),
            "to_seconds": round(trend.end_seconds),
            "slope": round(trend.slope, 3),
            "low": round(trend.low, 3),
            "high": round(trend.high, 3),
            "middle": [round(one, 2) for one in trend.at(trend.slope)],
            "lowest": [round(one, 2) for one in trend.at(trend.low)],
            "highest": [round(one, 2) for one in trend.at(trend.high)],
        },
        "said": list(memory.said),
    }


def _condensed(memory: Memory) -> list[list[float | None]]:
    """Return rows of time, lowest and highest MiB, several bins in one where there are many."""
    size = -(-len(memory.seconds) // POINTS_MAX)
    condensed: list[list[float | None]] = []
    part: list[tuple[float, float, float]] = []

    def close() -> None:
        if part:
            low, high = min(low for _, low, _ in part), max(high for _, _, high in part)
            condensed.append([round(part[-1][0]), round(low, 2), round(high, 2)])
            part.clear()

    for at, low, high in zip(memory.seconds, memory.low_mib, memory.high_mib, strict=True):
        if low is None or high is None:  # the machine slept
            close()
            condensed.append([round(at), None, None])
            continue
        part.append((at, low, high))
        if len(part) == size:
            close()
    close()
    return condensed
