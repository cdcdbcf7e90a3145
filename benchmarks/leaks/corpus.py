# ruff: noqa: D401 - families and parts are things; their docstrings describe them
"""Labelled memory curves of healthy and leaking processes, made from a family and a seed.

Every curve has a level, noise, a warm-up and a message rate with a daily cycle; the family adds
what it is named for. Curves are samples each 5 s, condensed to bins as the detector keeps them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SAMPLE_SECONDS = 5
RATES_MB_PER_HOUR = (2.0, 5.0, 10.0, 20.0, 50.0)


@dataclass(frozen=True, slots=True)
class Run:
    """A curve condensed to bins; row i ends at `ends[i]` seconds."""

    family: str
    seed: int
    rate_mb_per_hour: float  # 0 for a healthy one; the mean over the leak's life
    onset_hours: float
    bin_seconds: int
    ends: list[int]
    memory_bytes: list[int]  # lowest in the bin
    messages: list[float] | None
    rotations: frozenset[int]  # indices of bins
    leak_mb: list[float]  # what is leaked by the bin's end: the truth
    unexplained_bytes: list[int]  # lowest of memory less what the process accounts for
    reference: list[tuple[float, int]] | None = None  # elapsed seconds, bytes: a known-good run


@dataclass(slots=True)
class Draft:
    """A curve in the making, on the fine grid."""

    choice: np.random.Generator  # of parameters: what kind of process it is
    random: np.random.Generator  # of chance: how one run of it turns out
    accounts: np.random.Generator  # of how well the process knows what it holds
    hours: Array
    rate: Array  # messages per second
    memory: Array
    leak: Array
    explained: Array  # what the process accounts for: caches, buffers, free heap
    rotations: list[float] = field(default_factory=list)  # hours
    tells_messages: bool = True
    onset_hours: float = 0.0

    def hold(self, part: Array, known: tuple[float, float]) -> None:
        """Add memory of which the process accounts for a share, as told by its own counts."""
        self.memory += part
        self.explained += float(self.accounts.uniform(*known)) * part

    def between(self, low: float, high: float) -> float:
        """Draw uniformly."""
        return float(self.choice.uniform(low, high))

    def log_between(self, low: float, high: float) -> float:
        """Draw uniformly in the logarithm."""
        return float(np.exp(self.choice.uniform(np.log(low), np.log(high))))


Shape = Callable[[Draft], None]
LeakShape = Callable[[Draft, float], None]


COUNTED = (0.8, 1.1)
"""Share told of caches and queues: bytes per entry are an estimate."""
FREED = (0.6, 1.0)
"""Share told of free heap that is still mapped: holes in pools are not all seen."""


# Parts --------------------------------------------------------------------------------------------


def wandering(draft: Draft, deviation: float, correlation_hours: float) -> Array:
    """Noise that forgets itself after a while (Ornstein-Uhlenbeck)."""
    step = draft.hours[1] - draft.hours[0]
    keep = np.exp(-step / correlation_hours)
    shocks = draft.random.normal(0, deviation * np.sqrt(1 - keep**2), len(draft.hours))
    shocks[0] = draft.random.normal(0, deviation)
    return _recursive(shocks, keep)


def _recursive(shocks: Array, keep: float) -> Array:
    """x[i] = keep·x[i−1] + shocks[i]."""
    out = np.empty_like(shocks)
    value = 0.0
    for i, shock in enumerate(shocks.tolist()):
        value = keep * value + shock
        out[i] = value
    return out


def warm_up(draft: Draft, size: float, tau_hours: float) -> Array:
    """A cache that fills ever more slowly."""
    return np.asarray(size * (1 - np.exp(-draft.hours / tau_hours)))


def saw_tooth(draft: Draft, amplitude: float, period_hours: float) -> Array:
    """A collector that runs about once per period, seldom wholly."""
    end = draft.hours[-1]
    count = int(end / period_hours * 2) + 4
    gaps = period_hours * draft.random.uniform(0.8, 1.2, count)
    starts = np.concatenate(([0.0], np.cumsum(gaps)))
    which = np.searchsorted(starts, draft.hours, side="right") - 1
    rest = amplitude * 0.1 * draft.random.random(len(starts))
    height = amplitude * draft.random.uniform(0.85, 1.15, len(starts))
    phase = (draft.hours - starts[which]) / np.append(gaps, period_hours)[which]
    return np.asarray(rest[which] + height[which] * phase)


def steps(draft: Draft, at_hours: list[float], sizes: list[float]) -> Array:
    """Jumps that stay."""
    out = np.zeros_like(draft.hours)
    for at, size in zip(at_hours, sizes, strict=True):
        out[draft.hours >= at] += size
    return out


def peaks_of(rate: Array, draft: Draft) -> Array:
    """Running maximum of the rate over 5 min, relative to the mean rate."""
    width = max(int(300 / SAMPLE_SECONDS), 1)
    kernel = np.ones(width) / width
    smooth = np.convolve(np.concatenate((np.full(width - 1, rate[0]), rate)), kernel, "valid")
    return np.asarray(np.maximum.accumulate(smooth) / rate.mean())


def rotate(draft: Draft, period_hours: float) -> list[float]:
    """Mark rotations, once per run; each one holds two connections for a few minutes."""
    at: list[float] = np.arange(period_hours, draft.hours[-1], period_hours).tolist()
    draft.rotations = at
    bump = draft.between(2, 12)
    for hour in at:
        until = hour + draft.between(1, 4) / 60
        draft.memory += bump * ((draft.hours >= hour) & (draft.hours < until))
    return at


# Healthy families ---------------------------------------------------------------------------------


def flat(draft: Draft) -> None:
    """Nothing but level and noise after a short start."""


def warming(draft: Draft) -> None:
    """A cache fills with a time constant of up to an hour."""
    draft.hold(warm_up(draft, draft.log_between(20, 120), draft.log_between(0.05, 1.0)), COUNTED)


def warming_twice(draft: Draft) -> None:
    """A quick and a slow cache together."""
    draft.hold(warm_up(draft, draft.between(10, 60), draft.log_between(0.05, 0.3)), COUNTED)
    draft.hold(warm_up(draft, draft.between(10, 50), draft.log_between(0.8, 2.0)), COUNTED)


def late_plateau(draft: Draft) -> None:
    """A bounded cache fills at a constant pace until it is full."""
    full = draft.between(0.5, 3.0)
    draft.hold(draft.between(10, 60) * np.minimum(draft.hours / full, 1), COUNTED)


def collected(draft: Draft) -> None:
    """A saw-tooth of the garbage collector."""
    draft.memory += saw_tooth(draft, draft.log_between(5, 60), draft.log_between(0.04, 1.0))


def loaded(draft: Draft) -> None:
    """Buffers follow the message rate."""
    draft.hold(draft.log_between(5, 40) * draft.rate / draft.rate.mean(), COUNTED)


def high_water(draft: Draft) -> None:
    """Buffers grow with the highest rate ever seen and stay."""
    draft.hold(draft.log_between(5, 30) * peaks_of(draft.rate, draft), FREED)


def rotating(draft: Draft) -> None:
    """Rotations: two connections for minutes, a rest that shrinks from one to the next."""
    at = rotate(draft, draft.between(1, 4))
    first, shrink = draft.log_between(2, 25), draft.between(0.05, 0.5)
    draft.memory += steps(draft, at, [first * shrink**i for i in range(len(at))])


def ratcheting(draft: Draft) -> None:
    """Fragmentation grows like the logarithm of time, in small steps."""
    size = draft.log_between(3, 12)
    count = int(draft.between(20, 80))
    at = np.sort(np.exp(draft.random.uniform(np.log(0.05), np.log(draft.hours[-1]), count)))
    draft.hold(steps(draft, at.tolist(), [size * np.log(480) / count] * count), FREED)


def breathing(draft: Draft) -> None:
    """Use that wanders for hours and comes back."""
    draft.memory += np.abs(wandering(draft, draft.log_between(1, 6), draft.log_between(0.2, 1.5)))


def bursting(draft: Draft) -> None:
    """Sudden peaks that fade within an hour."""
    for at in draft.random.uniform(
        0, draft.hours[-1], draft.random.poisson(draft.hours[-1] / 2)
    ).tolist():
        fade = np.exp(-np.clip(draft.hours - at, 0, None) / draft.log_between(0.05, 0.7))
        draft.memory += draft.log_between(5, 60) * fade * (draft.hours >= at)


def stepping(draft: Draft) -> None:
    """One to three jumps at any time: a module loaded late, a bigger pool."""
    count = int(draft.random.integers(1, 4))
    at = draft.random.uniform(0.2, draft.hours[-1], count).tolist()
    draft.memory += steps(draft, at, [draft.log_between(3, 40) for _ in at])


def trimmed(draft: Draft) -> None:
    """A slow saw-tooth of one to three hours: memory is given back seldom."""
    draft.memory += saw_tooth(draft, draft.log_between(5, 25), draft.between(1.0, 3.0))


def stormy(draft: Draft) -> None:
    """Two or three market storms; what they needed is kept; messages are not told."""
    draft.tells_messages = False
    count = int(draft.random.integers(2, 4))
    kept = np.zeros_like(draft.hours)
    for at in np.sort(draft.random.uniform(0.5, draft.hours[-1], count)).tolist():
        length = draft.between(0.3, 2.0)
        rise = draft.log_between(5, 40) * np.clip((draft.hours - at) / length, 0, 1)
        kept = np.maximum(kept, rise)
    draft.hold(kept, FREED)


def heavy_tailed(draft: Draft) -> None:
    """Noise that wanders for hours, and outliers in both directions (Student's t)."""
    draft.memory += draft.log_between(0.3, 1.5) * draft.random.standard_t(2.5, len(draft.hours))
    draft.memory += wandering(draft, draft.log_between(0.5, 3), draft.log_between(0.3, 3))


def red(draft: Draft) -> None:
    """Use that wanders for hours about its mean, on both sides, at two speeds."""
    draft.memory += wandering(draft, draft.log_between(0.5, 3), draft.log_between(1, 4))
    draft.memory += wandering(draft, draft.log_between(0.3, 2), draft.log_between(0.05, 0.5))


def hyperbolic(draft: Draft) -> None:
    """A cache that fills like t / (t + h): no exponential, and far slower in the end."""
    half = draft.log_between(0.2, 1.5)
    draft.hold(draft.log_between(15, 60) * draft.hours / (draft.hours + half), COUNTED)
    draft.memory += wandering(draft, draft.log_between(0.3, 1.5), draft.log_between(0.2, 2))


def stretched(draft: Draft) -> None:
    """Many caches of many speeds: a stretched exponential."""
    tau, power = draft.log_between(0.1, 0.8), draft.between(0.4, 0.8)
    size = draft.log_between(15, 60)
    draft.hold(size * (1 - np.exp(-((draft.hours / tau) ** power))), COUNTED)
    draft.memory += wandering(draft, draft.log_between(0.3, 1.5), draft.log_between(0.2, 2))


def late_logistic(draft: Draft) -> None:
    """A cache that begins to fill after an hour or more: slowly, quickly, slowly."""
    middle, width = draft.between(1, 5), draft.log_between(0.1, 0.6)
    draft.hold(draft.log_between(10, 50) / (1 + np.exp((middle - draft.hours) / width)), COUNTED)
    draft.memory += wandering(draft, draft.log_between(0.3, 1.5), draft.log_between(0.2, 2))


# Leaking families ---------------------------------------------------------------------------------


def steady(draft: Draft, rate: float) -> None:
    """The same each second."""
    draft.leak += rate * draft.hours


def warm_and_steady(draft: Draft, rate: float) -> None:
    """A leak behind a warm-up."""
    warming(draft)
    steady(draft, rate)


def per_message(draft: Draft, rate: float) -> None:
    """So many bytes per message."""
    step = draft.hours[1] - draft.hours[0]
    draft.leak += rate * np.cumsum(draft.rate) * step / draft.rate.mean()


def per_rotation(draft: Draft, rate: float) -> None:
    """A connection's worth of memory is lost at each rotation."""
    period = draft.between(1, 4)
    at = rotate(draft, period)
    sizes = rate * period * draft.random.uniform(0.9, 1.1, len(at))
    draft.leak += steps(draft, at, sizes.tolist())


def late(draft: Draft, rate: float) -> None:
    """It begins after hours of health."""
    draft.onset_hours = draft.between(0.12, 0.6) * float(draft.hours[-1])
    draft.leak += rate * np.clip(draft.hours - draft.onset_hours, 0, None)


def accelerating(draft: Draft, rate: float) -> None:
    """The pace rises steadily; the rate is that at mid-time."""
    share = draft.hours / draft.hours[-1]
    draft.leak += rate * draft.hours * (0.3 + 0.7 * share)


def behind_saw_tooth(draft: Draft, rate: float) -> None:
    """The collector's drops hide it."""
    collected(draft)
    steady(draft, rate)


def behind_load(draft: Draft, rate: float) -> None:
    """The daily cycle and the wandering of use hide it."""
    loaded(draft)
    draft.memory += np.abs(wandering(draft, draft.log_between(0.5, 3), draft.log_between(0.2, 1)))
    steady(draft, rate)


def noisy(draft: Draft, rate: float) -> None:
    """Strong noise, peaks that fade."""
    draft.memory += draft.random.normal(0, draft.between(2, 6), len(draft.hours))
    bursting(draft)
    steady(draft, rate)


def in_chunks(draft: Draft, rate: float) -> None:
    """The allocator takes whole chunks of 1 to 4 MB at random times."""
    chunk = draft.log_between(1, 4)
    count = draft.random.poisson(rate * draft.hours[-1] / chunk)
    at = draft.random.uniform(0, draft.hours[-1], count).tolist()
    draft.leak += steps(draft, at, [chunk] * count)


def behind_heavy_tails(draft: Draft, rate: float) -> None:
    """A steady leak in noise with outliers that wanders."""
    heavy_tailed(draft)
    steady(draft, rate)


def behind_red(draft: Draft, rate: float) -> None:
    """A leak per message in use that wanders for hours."""
    red(draft)
    per_message(draft, rate)


def behind_hyperbola(draft: Draft, rate: float) -> None:
    """A leak behind a warm-up that is no exponential."""
    hyperbolic(draft)
    steady(draft, rate)


def changing(draft: Draft, rate: float) -> None:
    """The pace changes every few hours, from nothing to twice the mean."""
    draft.leak += rate * _in_phases(draft, (2, 6))
    red(draft)


def per_reconnect(draft: Draft, rate: float) -> None:
    """Memory is lost when a connection breaks, at any time; nobody tells when that is."""
    apart = draft.log_between(0.5, 2.5)
    gaps = draft.random.exponential(apart, int(draft.hours[-1] / apart * 2) + 8)
    at = [hour for hour in np.cumsum(gaps).tolist() if hour < draft.hours[-1]]
    sizes = rate * apart * draft.random.uniform(0.5, 1.5, len(at))
    draft.leak += steps(draft, at, sizes.tolist())
    draft.memory += wandering(draft, draft.log_between(0.3, 1.5), draft.log_between(0.2, 2))


def behind_falling_load(draft: Draft, rate: float) -> None:
    """The load falls for most of the day, buffers with it, and a leak takes their place."""
    draft.rate *= 1 - 0.8 * np.minimum(draft.hours / draft.between(8, 20), 1)
    loaded(draft)
    draft.memory += wandering(draft, draft.log_between(0.3, 1.5), draft.log_between(0.2, 2))
    steady(draft, rate)


def _in_phases(draft: Draft, hours: tuple[float, float]) -> Array:
    """Return hours of a clock whose pace changes: a mean of 1 over the day."""
    step = float(draft.hours[1] - draft.hours[0])
    pace = np.zeros_like(draft.hours)
    at = 0.0
    while at < draft.hours[-1]:
        until = at + draft.between(*hours)
        pace[(draft.hours >= at) & (draft.hours < until)] = draft.between(0, 2)
        at = until
    clock = np.cumsum(pace) * step
    return np.asarray(clock * draft.hours[-1] / clock[-1])


HEALTHY: dict[str, Shape] = {
    shape.__name__: shape
    for shape in (
        flat, warming, warming_twice, late_plateau, collected, loaded, high_water, rotating,
        ratcheting, breathing, bursting, stepping, trimmed, stormy,
        heavy_tailed, red, hyperbolic, stretched, late_logistic,
    )
}  # fmt: skip
LEAKING: dict[str, LeakShape] = {
    shape.__name__: shape
    for shape in (
        steady, warm_and_steady, per_message, per_rotation, late, accelerating, behind_saw_tooth,
        behind_load, noisy, in_chunks,
        behind_heavy_tails, behind_red, behind_hyperbola, changing, per_reconnect,
        behind_falling_load,
    )
}  # fmt: skip
ROTATING = frozenset({"rotating", "per_rotation"})
"""Families that rotate in their own way."""
UNLIKE = frozenset({
    "heavy_tailed", "red", "hyperbolic", "stretched", "late_logistic",
    "behind_heavy_tails", "behind_red", "behind_hyperbola", "changing", "per_reconnect",
    "behind_falling_load",
})  # fmt: skip
"""Families that the detector's own shapes do not describe, never looked at while it was tuned."""
HELD_OUT = UNLIKE | {"trimmed", "stormy", "warming_twice", "behind_load", "in_chunks"}
"""Families that were never looked at while the detector was tuned."""


# Making a run -------------------------------------------------------------------------------------


def make(
    family: str,
    seed: int,
    rate_mb_per_hour: float = 0.0,
    hours: float = 24.0,
    *,
    reference: bool = False,
) -> Run:
    """Draw the run of a family, seed and rate; the same arguments give the same run.

    With `reference` it also holds the curve of another run of that process, without the leak, up
    to 10 % slower or faster, larger or smaller.
    """
    draft = _draw(family, seed, rate_mb_per_hour, hours, chance=0)
    known_good = None
    if reference:
        other = _draw(family, seed, 0.0, hours, chance=1)
        size = other.random.uniform(0.9, 1.1)
        memory = _lowest((other.memory - other.memory[0]) * size + other.memory[0], hours)
        ends = np.arange(1, len(memory) + 1) * _width(hours)
        known_good = [(float(end), int(low)) for end, low in zip(ends, memory, strict=True)]
    width = _width(hours)
    per_bin = width // SAMPLE_SECONDS
    totals = np.cumsum(draft.rate * SAMPLE_SECONDS)[per_bin - 1 :: per_bin]
    return Run(
        family=family,
        seed=seed,
        rate_mb_per_hour=rate_mb_per_hour,
        onset_hours=draft.onset_hours,
        bin_seconds=width,
        ends=(np.arange(1, len(totals) + 1) * width).tolist(),
        memory_bytes=_lowest(draft.memory + draft.leak, hours).tolist(),
        messages=np.floor(totals).tolist() if draft.tells_messages else None,
        rotations=frozenset(int(np.ceil(h * 3600 / width)) - 1 for h in draft.rotations),
        leak_mb=draft.leak[per_bin - 1 :: per_bin].tolist(),
        unexplained_bytes=_lowest(draft.memory + draft.leak - draft.explained, hours).tolist(),
        reference=known_good,
    )


def _draw(family: str, seed: int, rate: float, hours: float, chance: int) -> Draft:
    name = zlib.crc32(f"{family}/{hours}".encode())
    kind = np.random.default_rng((name, seed))
    luck = np.random.default_rng((name, seed, int(rate * 10), chance + 1))
    count = int(hours * 3600 / SAMPLE_SECONDS)
    pace = luck.uniform(0.9, 1.1) if chance else 1.0
    grid: Array = np.arange(1, count + 1, dtype=np.float64) * float(SAMPLE_SECONDS / 3600 * pace)
    accounts = np.random.default_rng((name, seed, 7))
    draft = Draft(kind, luck, accounts, grid, *(np.zeros(count) for _ in range(4)))
    _background(draft)
    if family not in ROTATING and draft.between(0, 1) < 0.6:
        rotate(draft, draft.between(1, 4))  # most processes rotate, and nothing remains of it
    if family in HEALTHY:
        HEALTHY[family](draft)
    else:
        LEAKING[family](draft, rate)
    return draft


def _background(draft: Draft) -> None:
    """Level, noise, a quick start and the message rate."""
    grid, count = draft.hours, len(draft.hours)
    cycle = 1 + draft.between(0.1, 0.7) * np.sin(2 * np.pi * (grid / 24 + draft.between(0, 1)))
    drift = np.exp(wandering(draft, draft.between(0.05, 0.3), draft.log_between(0.1, 1.0)))
    jitter = draft.random.gamma(4, 0.25, count)
    draft.rate = draft.log_between(14, 140) * cycle * drift * jitter
    draft.tells_messages = draft.between(0, 1) < 0.8
    level, noise = draft.between(50, 200), draft.log_between(0.05, 1.5)
    draft.memory = level + draft.random.normal(0, noise, count)
    draft.memory += wandering(draft, draft.log_between(0.05, 0.8), draft.log_between(0.02, 0.3))
    draft.memory += warm_up(draft, draft.between(5, 30), draft.log_between(0.01, 0.1))
    # Told with an error of its own: counts are taken at another moment than the memory.
    draft.explained = draft.accounts.normal(0, 0.3, count)


def _width(hours: float) -> int:
    return 15 if hours <= 1 else 60


def _lowest(memory: Array, hours: float) -> NDArray[np.int64]:
    """The lowest sample of each bin, in whole pages."""
    lowest = memory.reshape(-1, _width(hours) // SAMPLE_SECONDS).min(axis=1)
    return np.asarray((lowest * 256).astype(np.int64) * 4096)
