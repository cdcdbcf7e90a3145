"""How strongly the floors of one or more windows speak for lasting growth."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import mul

from monitor.leak.bins import SHORT_BIN_SECONDS, Bins
from monitor.leak.floors import Floors, floors_of
from monitor.leak.rotations import PerRotation, weigh_rotations
from monitor.leak.trend import Fit, admissible_fits, straight_line

HELD_Z = 2.0  # the z that scores 0.5: a held window cannot pass it
_HALVING_PENALTY = 4.0  # short windows are many and see less
_TOLERANCE_MB_PER_HOUR = 1.0
_LOGARITHM_MB = 7.0  # divided by the age: log-like growth is tolerated early, not later
_FILLING = 50.0  # MB·h³, divided by the age⁴: bounded caches fill in the first 3 h
_LOGARITHM_UNEXPLAINED_MB = 5.0  # the same two where the process accounts for what it holds
_FILLING_UNEXPLAINED = 28.0
_MISCOUNTED = 0.3  # share of what is accounted for that may be missing: sizes are estimates
_BESIDE_REFERENCE_MB = 2.0  # divided by the age: what a known-good curve leaves unexplained
_FASTER_THAN_REFERENCE = 0.35  # share by which a run may grow faster than a known-good one
_LOGARITHM_SHORT_RUN_MB = 16.0  # in runs up to 1 h nothing could be seen beside _FILLING
_SMALLEST_GROWTH_MB = 4.0
_GROWTH_OF_NOISE = 2.0
_GROWTH_OF_LEVEL = 0.02
_LATEST_SHARE = 0.4
_WITHOUT_STEP_SHARE = 0.3
_GIVEN_BACK_SHARE = 0.5
_NEW_SHARE = 0.5  # of a window's growth must lead above what was reached before it
_SETTLING_SHARE = 0.4  # of what is tolerated at an age: the interval allows that it settles
_CALM = 3  # floors of the running median
_STEPS = 2  # the largest steps, which alone make no leak


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one window says. MB means MiB."""

    z: float  # (slope − tolerance)/error of the least suspicious shape, after safeguards
    raw_z: float  # before the safeguards
    held_by: tuple[str, ...]
    floors: Floors
    fits: list[Fit]  # admissible shapes, the best first
    chosen: Fit  # the least suspicious one
    whole: Floors  # of the longest window
    settling: float = 0.0  # MB/h of the growth that may be a start that settles
    cold: bool = False  # an hour from a cold start: whatever is seen may settle
    rotation: PerRotation | None = None  # when rotations say more than any window
    late: bool = False  # only short windows see it

    @property
    def interval(self) -> tuple[float, float]:
        """Slope's interval of 90 %: all shapes, widened by what calibration asked for.

        Where growth is suspected its mean over the window is among them, whatever shape fits
        best: a pace that changes looks like a warm-up, and a warm-up of a shape that nobody
        thought of like a pace.
        """
        suspected = self.z > HELD_Z
        fits = [*self.fits, straight_line(self.floors)] if suspected else self.fits
        low = min(fit.slope - 2 * fit.error for fit in fits)
        high = max(fit.slope + 2 * fit.error for fit in fits)
        middle, half = (low + high) / 2, 1.3 * (high - low) / 2 + 3.0 / self.floors.window_hours
        return middle - half - (self.settling if suspected or self.cold else 0.0), middle + half


def weigh(bins: Bins, windows: list[int], reference: Bins | None = None) -> Evidence | None:
    """Return the strongest evidence of the windows (in bins, the longest first)."""
    found: list[Evidence] = []
    for halvings, window in enumerate(windows):
        whole = found[0].floors if found else None
        evidence = _weigh_one(bins, window, halvings, reference, whole)
        if evidence is not None:
            found.append(evidence)
    if not found:
        return None
    longest = found[0]
    strongest = max(found, key=lambda evidence: evidence.z)
    rotation = weigh_rotations(bins)
    if rotation is not None and rotation.z > max(strongest.z, HELD_Z):
        return replace(longest, z=rotation.z, held_by=(), rotation=rotation)
    if strongest.z <= HELD_Z:
        return longest  # without suspicion it tells the slope best
    late = strongest is not longest and longest.z <= HELD_Z
    return replace(strongest, whole=longest.floors, late=late)


def _weigh_one(
    bins: Bins, window: int, halvings: int, reference: Bins | None, whole: Floors | None
) -> Evidence | None:
    """Return the evidence of a window; `whole` are the floors of the longest one, once known."""
    floors = floors_of(bins, window, reference)
    if floors is None:
        return None
    fits = admissible_fits(floors)
    if not fits:
        return None
    age_hours = (bins.end_bin - window / 2) * bins.width_seconds / 3600
    short_run = bins.width_seconds == SHORT_BIN_SECONDS
    tolerance = _tolerance(age_hours, short_run, floors, strict=bins.accounts_for_all)
    chosen = min(fits, key=lambda fit: (fit.slope - tolerance) / fit.error)
    raw = (chosen.slope - tolerance) / chosen.error - _HALVING_PENALTY * halvings
    held = _safeguards(floors, chosen, whole)
    z = min(raw, HELD_Z) if held else raw
    cold = short_run and reference is None
    settling = _SETTLING_SHARE * tolerance
    return Evidence(z, raw, held, floors, fits, chosen, whole or floors, settling, cold)


def _tolerance(age_hours: float, short_run: bool, floors: Floors, *, strict: bool) -> float:
    """MB/h that a healthy process may grow around an age."""
    if floors.reference_mb is not None:
        pace = plain_slope(floors.hours, floors.reference_mb)
        return max(
            _TOLERANCE_MB_PER_HOUR, _BESIDE_REFERENCE_MB / age_hours
        ) + _FASTER_THAN_REFERENCE * max(pace, 0.0)
    if short_run:
        tolerance = _LOGARITHM_SHORT_RUN_MB / age_hours
    else:
        told = strict and floors.explained_mb is not None
        logarithm = _LOGARITHM_UNEXPLAINED_MB if told else _LOGARITHM_MB
        filling = _FILLING_UNEXPLAINED if told else _FILLING
        tolerance = max(_TOLERANCE_MB_PER_HOUR, logarithm / age_hours, filling / age_hours**4)
    if floors.explained_mb is not None:
        pace = plain_slope(floors.hours, floors.explained_mb)
        tolerance += _MISCOUNTED * max(pace, 0.0)
    return tolerance


def _safeguards(floors: Floors, fit: Fit, whole: Floors | None) -> tuple[str, ...]:
    held = []
    growth = fit.slope * floors.window_hours
    enough = max(
        _SMALLEST_GROWTH_MB,
        _GROWTH_OF_NOISE * floors.noise_mb,
        _GROWTH_OF_LEVEL * floors.level_mb,
    )
    if growth < enough:
        held.append("small")
    if floors.given_back_mb > _GIVEN_BACK_SHARE * (growth + floors.given_back_mb):
        held.append("given back")
    half = len(floors.hours) // 2
    pace = plain_slope(floors.hours, floors.floor_mb)
    if plain_slope(floors.hours[half:], floors.floor_mb[half:]) < _LATEST_SHARE * pace:
        held.append("slowing")
    calm = _calmed(floors.floor_mb)
    steps = sorted(b - a for a, b in pairwise(calm))
    total = calm[-1] - calm[0]
    if total - sum(steps[-_STEPS:]) < _WITHOUT_STEP_SHARE * total:
        held.append("few steps")
    if whole is not None and calm[-1] - _highest_before(floors, whole) < _NEW_SHARE * growth:
        held.append("seen before")
    return tuple(held)


def _highest_before(floors: Floors, whole: Floors) -> float:
    """Return the level that was reached before a window began, but for one floor of luck."""
    begun = floors.age_hours - whole.age_hours
    earlier = sum(hour < begun for hour in whole.hours) - _CALM + 1
    known = sorted(_calmed(whole.floor_mb)[: max(earlier, 0)])
    return known[-2] if len(known) > 1 else -math.inf


def _calmed(floor_mb: list[float]) -> list[float]:
    """Return a running median, which keeps steps and loses peaks."""
    return [sorted(floor_mb[i : i + _CALM])[_CALM // 2] for i in range(len(floor_mb) - _CALM + 1)]


def plain_slope(x: list[float], y: list[float]) -> float:
    """Least-squares slope."""
    mean = sum(x) / len(x)
    centred = [value - mean for value in x]
    return float(sum(map(mul, centred, y)) / sum(map(mul, centred, centred)))
