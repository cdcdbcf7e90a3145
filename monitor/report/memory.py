"""Memory as the report draws it: band, floors, and the trend that the leak detector saw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from monitor.evidence import Evidence, Process
from monitor.growth import SKIP_SECONDS
from monitor.leak import Assessment
from monitor.leak.bins import Bins
from monitor.leak.floors import Floors, floors_of
from monitor.replay import Replayed
from monitor.soak_plans import MIB

BREAK_BINS = 5  # longer without samples, and the band is interrupted: the machine slept
FEWEST_BINS = 2  # one has no noise yet


@dataclass(frozen=True, slots=True)
class Trend:
    """The growth that does not go away, over the window that was decisive."""

    start_seconds: float
    end_seconds: float
    middle_mib: float  # the floors' mean, in the middle of the window
    slope: float  # MiB/h
    low: float  # of its interval of 90 %
    high: float

    def at(self, slope: float) -> tuple[float, float]:
        """Return the memory at both ends of the window, should it grow by `slope`."""
        half = slope * (self.end_seconds - self.start_seconds) / 3600 / 2
        return self.middle_mib - half, self.middle_mib + half


@dataclass(frozen=True, slots=True)
class Memory:
    """One process; times are elapsed seconds of the run. None interrupts a line."""

    name: str
    seconds: tuple[float, ...]
    low_mib: tuple[float | None, ...]
    high_mib: tuple[float | None, ...]
    floor_seconds: tuple[float, ...]
    floor_mib: tuple[float, ...]
    trend: Trend | None
    score_seconds: tuple[float, ...]
    scores: tuple[float | None, ...]
    said: tuple[str, ...]  # what the detector has to say at the end, a sentence each


def memories(evidence: Evidence, replays: Sequence[Replayed]) -> tuple[Memory, ...]:
    """Return the memory of each process that was seen at all."""
    ceiling_mib = evidence.profile.memory_ceiling_bytes / MIB
    return tuple(memory_of(one, ceiling_mib) for one in replays if one.process.bins)


def memory_of(replayed: Replayed, ceiling_mib: float) -> Memory:
    """Return the memory of one process; without bins there is nothing to draw."""
    process, latest = replayed.process, replayed.latest
    band = list(_band(process))
    floors, from_seconds = _floors(process)
    floor_seconds: tuple[float, ...] = ()
    if floors is not None:
        floor_seconds = tuple(from_seconds + hour * 3600 for hour in floors.hours)
    floor_mib = tuple(floors.floor_mb) if floors is not None else ()
    return Memory(
        name=str(process),
        seconds=tuple(at for at, _, _ in band),
        low_mib=tuple(low for _, low, _ in band),
        high_mib=tuple(high for _, _, high in band),
        floor_seconds=floor_seconds,
        floor_mib=floor_mib,
        trend=_trend(process, latest, floor_seconds, floor_mib),
        score_seconds=replayed.times,
        scores=tuple(one.score for one in replayed.assessments),
        said=tuple(_said(latest, ceiling_mib)) if latest else (),
    )


def _band(process: Process) -> Iterator[tuple[float, float | None, float | None]]:
    for before, one in pairwise((None, *process.bins)):
        assert one is not None  # noqa: S101 - for mypy: only the first `before` is None
        end = process.started_seconds + (one.index + 1) * process.bin_seconds
        if before is not None and one.index - before.index > BREAK_BINS:
            yield end - process.bin_seconds, None, None
        yield end, one.rss_min_bytes / MIB, one.rss_max_bytes / MIB


def _floors(process: Process) -> tuple[Floors | None, float]:
    """Return the floors of the whole run after its start, and the time that they count from."""
    width = process.bin_seconds
    bins = Bins(width)
    for one in process.bins:
        bins.add((one.index + 1) * width, one.rss_min_bytes, one.messages_total, False)
    if len(bins.index) < FEWEST_BINS:
        return None, process.started_seconds
    skipped = int(min(SKIP_SECONDS, bins.end_bin * width / 10) / width)
    floors = floors_of(bins, bins.end_bin - skipped)
    from_seconds = process.started_seconds + (floors.age_hours * 3600 if floors else 0.0)
    return floors, from_seconds


def _trend(
    process: Process,
    latest: Assessment | None,
    floor_seconds: Sequence[float],
    floor_mib: Sequence[float],
) -> Trend | None:
    if latest is None or latest.window_seconds is None or latest.slope_mb_per_hour is None:
        return None
    end = process.started_seconds + latest.elapsed_seconds
    start = end - latest.window_seconds
    inside = [mib for at, mib in zip(floor_seconds, floor_mib, strict=True) if start <= at <= end]
    if not inside or latest.low is None or latest.high is None:
        return None
    middle = sum(inside) / len(inside)
    return Trend(start, end, middle, latest.slope_mb_per_hour, latest.low, latest.high)


def _said(latest: Assessment, ceiling_mib: float) -> Iterator[str]:
    score = "no score" if latest.score is None else f"score {latest.score:.2f}"
    yield f"{score}: {latest.reason}"
    projected, reached = latest.projected_growth_24h_mb, latest.hours_to(ceiling_mib)
    if projected is None or reached is None:
        return
    low, likely, high = projected
    yield f"Should it go on, 24 h bring {likely:+,.0f} MiB ({low:+,.0f} to {high:+,.0f})."
    earliest, until = reached
    ceiling = f"the ceiling of {ceiling_mib:,.0f} MiB"
    if math.isinf(until):  # the interval includes no growth
        at_best = "" if math.isinf(earliest) else f" ({earliest:,.0f} h at the earliest)"
        yield f"That it ever reaches {ceiling} is not shown{at_best}."
    else:
        yield f"It reaches {ceiling} in {earliest:,.0f} to {until:,.0f} h."
