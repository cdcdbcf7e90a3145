"""What a soak must hold to: the built-in profiles, their scaling, and profiles of the user's own.

Sizes are MiB throughout, as in the predecessor. Numbers without a reason beside them are the
predecessor's own thresholds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from streamer.units import parse_duration, parse_size

MIB = 1 << 20
HOUR = 3600.0
DAY = 24 * HOUR
GROWTH_FLOOR_BYTES = 10 * MIB  # no run is too short to be allowed this much
GROWTH_PER_DAY_BYTES = 50 * MIB
DROPS_PER_DAY = 10
MINIMUM_INTERVAL_SECONDS = 1.0  # the supervisor samples once a second


class ProfileError(ValueError):
    """A profile that cannot be used: says which key, its value, and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakPlan:
    """The thresholds of one soak."""

    name: str
    duration_seconds: float
    sample_interval_seconds: float = 60.0
    bin_seconds: float = 60.0  # memory minima for growth and leak score; 15 s up to 1 h
    memory_ceiling_bytes: int = 450 * MIB  # a single sample above ends the soak
    memory_high_bytes: int = 400 * MIB
    memory_high_for_seconds: float = 600.0
    memory_growth_limit_bytes: int = GROWTH_PER_DAY_BYTES
    rate_limit_per_second: float = 10.0  # unique trade and aggTrade events, all symbols together
    rate_window_seconds: float = 600.0
    drops_limit: int | None = DROPS_PER_DAY  # this many fail; None: told, not judged
    cpu_limit_cores: float = 0.8  # told: one thread carries the feed, and a core is all it has
    leak_score_pass: float = 0.5
    leak_score_fail: float = 0.8
    leak_required: bool = True
    duration_coverage: float = 0.98
    sample_coverage: float = 0.95
    output_file: str = "profile.json"


PROFILES = {
    "24h": SoakPlan(
        name="24h", duration_seconds=DAY, output_file="binance_soak_memory_profile.json"
    ),
    "1h": SoakPlan(
        name="1h",
        duration_seconds=HOUR,
        bin_seconds=15.0,
        memory_ceiling_bytes=400 * MIB,
        memory_growth_limit_bytes=GROWTH_FLOOR_BYTES,
        rate_window_seconds=300.0,
        drops_limit=None,  # the predecessor asked for none, and one reset an hour is the internet's
        leak_required=False,  # over an hour from a cold start warm-up and leak look the same
        output_file="binance_1h_validation_profile.json",
    ),
    "smoke": SoakPlan(
        name="smoke",
        duration_seconds=120.0,
        sample_interval_seconds=2.0,
        bin_seconds=MINIMUM_INTERVAL_SECONDS,
        memory_growth_limit_bytes=GROWTH_FLOOR_BYTES,
        rate_window_seconds=12.0,  # a tenth of the run
        drops_limit=1,
        leak_required=False,
        output_file="smoke_profile.json",
    ),
}
"""The built-in profiles by name."""


def scaled(profile: SoakPlan, duration_seconds: float) -> SoakPlan:
    """Return the profile for another duration: growth and drops by the time given.

    Growth is max(10 MiB, 50 MiB per day), drops 10 per day rounded up, where the profile judges
    them at all. Ceiling, rate and score never scale; what is measured by the minute becomes finer
    in a short run, since a window as long as the run would judge nothing.
    """
    if not 0 < duration_seconds < math.inf:
        raise ProfileError(f"duration: expected more than 0 seconds, not {duration_seconds}")
    if duration_seconds == profile.duration_seconds:
        return profile
    per_run = duration_seconds / DAY
    finest = max(MINIMUM_INTERVAL_SECONDS, duration_seconds / 120)
    drops = None if profile.drops_limit is None else math.ceil(DROPS_PER_DAY * per_run)
    return replace(
        profile,
        duration_seconds=duration_seconds,
        memory_growth_limit_bytes=max(GROWTH_FLOOR_BYTES, round(GROWTH_PER_DAY_BYTES * per_run)),
        drops_limit=drops,
        rate_window_seconds=min(
            PROFILES["24h"].rate_window_seconds
            if duration_seconds > HOUR
            else PROFILES["1h"].rate_window_seconds,
            duration_seconds / 10,
        ),
        sample_interval_seconds=min(60.0, max(MINIMUM_INTERVAL_SECONDS, duration_seconds / 60)),
        bin_seconds=60.0 if duration_seconds > HOUR else min(15.0, finest),
    )


_SIZES = {"memory_ceiling", "memory_high", "memory_growth_limit"}
_DURATIONS = {"duration", "sample_interval", "bin", "memory_high_for", "rate_window"}
_SHARES = {"leak_score_pass", "leak_score_fail", "duration_coverage", "sample_coverage"}


def from_mapping(mapping: Mapping[str, object], name: str) -> SoakPlan:
    """Return a profile from the keys of a user's file.

    The keys are the fields of SoakPlan; sizes and durations are named without their unit and
    written with it (`memory_ceiling = "450MiB"`, `duration = "12h"`), or with it and as plain
    numbers (`memory_ceiling_bytes`). `base` names the built-in profile that fills in the rest
    (default `24h`), scaled to the duration. Raises ProfileError.
    """
    given = dict(mapping)
    base = given.pop("base", "24h")
    if not isinstance(base, str) or base not in PROFILES:
        raise ProfileError(f"base: expected one of {', '.join(PROFILES)}, not {base!r}")
    values = {field: value for key, raw in given.items() for field, value in [_parsed(key, raw)]}
    profile = PROFILES[base]
    if "duration_seconds" in values:
        profile = scaled(profile, values["duration_seconds"])
    profile = replace(profile, **{"name": name, **values})
    if profile.leak_score_pass > profile.leak_score_fail:
        raise ProfileError("leak_score_pass: must not be above leak_score_fail")
    if profile.rate_window_seconds > profile.duration_seconds:
        raise ProfileError("rate_window: must not be longer than the duration")
    return profile


def to_mapping(profile: SoakPlan) -> dict[str, Any]:
    """Return the profile as plain JSON values, under the names of its fields."""
    return dataclasses.asdict(profile)


def _parsed(key: str, raw: object) -> tuple[str, Any]:
    """Return the field's name and its value. Raises ProfileError."""
    bare = key.removesuffix("_bytes").removesuffix("_seconds")
    try:
        if bare in _SIZES:
            return f"{bare}_bytes", _positive(parse_size(raw))
        if bare in _DURATIONS:
            return f"{bare}_seconds", _positive(parse_duration(raw))
        if key in _SHARES:
            return key, _share(raw)
        if key in ("rate_limit_per_second", "cpu_limit_cores"):
            return key, parse_duration(raw)  # any number from 0
        if key == "drops_limit":
            return key, _count_or_none(raw)
        if key == "leak_required" and isinstance(raw, bool):
            return key, raw
        if key in {"name", "output_file"} and isinstance(raw, str) and raw:
            return key, raw
    except ValueError as error:
        raise ProfileError(f"{key}: {error}, not {raw!r}") from error
    known = sorted(field.name for field in fields(SoakPlan))
    if key in known:
        raise ProfileError(f"{key}: {raw!r} is of the wrong kind")
    raise ProfileError(f"{key}: no such key; known are base, {', '.join(known)}")


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("expected more than 0")
    return value


def _share(raw: object) -> float:
    if isinstance(raw, (int, float)) and not isinstance(raw, bool) and 0 <= raw <= 1:
        return float(raw)
    raise ValueError("expected a number from 0 to 1")


def _count_or_none(raw: object) -> int | None:
    if raw == "none":  # TOML has no null
        return None
    if isinstance(raw, int) and not isinstance(raw, bool) and raw > 0:
        return raw
    raise ValueError('expected a whole number from 1, or "none"')
