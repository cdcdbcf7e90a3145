from __future__ import annotations

import json

import pytest

from monitor.soak_plans import MIB, PROFILES, ProfileError, from_mapping, scaled, to_mapping


def test_the_predecessors_thresholds() -> None:
    day, hour = PROFILES["24h"], PROFILES["1h"]
    assert day.duration_seconds == 86_400
    assert day.memory_ceiling_bytes == 450 * MIB
    assert day.memory_growth_limit_bytes == 50 * MIB
    assert day.drops_limit == 10
    assert (day.leak_score_pass, day.leak_score_fail, day.leak_required) == (0.5, 0.8, True)
    assert hour.memory_ceiling_bytes == 400 * MIB
    assert hour.memory_growth_limit_bytes == 10 * MIB
    assert (hour.rate_window_seconds, day.rate_window_seconds) == (300, 600)
    for profile in (day, hour):
        assert profile.rate_limit_per_second == 10
        assert (profile.duration_coverage, profile.sample_coverage) == (0.98, 0.95)
        assert profile.sample_interval_seconds == 60
        assert profile.memory_high_bytes == 400 * MIB
    assert day.output_file == "binance_soak_memory_profile.json"
    assert hour.output_file == "binance_1h_validation_profile.json"


@pytest.mark.parametrize(
    ("hours", "growth_mib", "drops"), [(24, 50, 10), (12, 25, 5), (5, 10.42, 3), (0.05, 10, 1)]
)
def test_growth_and_drops_scale_and_nothing_else_of_the_limits(
    hours: float, growth_mib: float, drops: int
) -> None:
    profile = scaled(PROFILES["24h"], hours * 3600)
    assert profile.memory_growth_limit_bytes / MIB == pytest.approx(growth_mib, abs=0.01)
    assert profile.drops_limit == drops
    assert profile.memory_ceiling_bytes == 450 * MIB
    assert profile.rate_limit_per_second == 10
    assert profile.leak_score_fail == 0.8


def test_scaling_the_day_to_an_hour_gives_the_hours_windows() -> None:
    profile = scaled(PROFILES["24h"], 3600)
    hour = PROFILES["1h"]
    assert profile.rate_window_seconds == hour.rate_window_seconds
    assert profile.sample_interval_seconds == hour.sample_interval_seconds
    assert profile.bin_seconds == hour.bin_seconds


def test_windows_of_a_short_run_fit_into_it() -> None:
    profile = scaled(PROFILES["smoke"], 60)
    assert profile.rate_window_seconds == 6
    assert profile.sample_interval_seconds == 1


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_no_time_at_all_is_refused(seconds: float) -> None:
    with pytest.raises(ProfileError, match="duration"):
        scaled(PROFILES["24h"], seconds)


def test_a_profile_of_the_users_own() -> None:
    profile = from_mapping(
        {"base": "24h", "duration": "12h", "memory_ceiling": "300MiB", "drops_limit": "none"},
        "mine",
    )
    assert profile.name == "mine"
    assert profile.duration_seconds == 43_200
    assert profile.memory_growth_limit_bytes == 25 * MIB
    assert profile.memory_ceiling_bytes == 300 * MIB
    assert profile.drops_limit is None


def test_a_saved_profile_is_read_again() -> None:
    for profile in PROFILES.values():
        saved = json.loads(json.dumps(to_mapping(profile)))
        if saved["drops_limit"] is None:
            saved["drops_limit"] = "none"  # TOML's way to say it
        assert from_mapping(saved, saved.pop("name")) == profile


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"base": "2h"}, "base: expected one of 24h, 1h, smoke"),
        ({"memory_celing": 1}, "memory_celing: no such key; known are base"),
        ({"memory_ceiling": "lots"}, "memory_ceiling: expected a size.*'lots'"),
        ({"memory_ceiling": 0}, "memory_ceiling: expected more than 0"),
        ({"duration": "soon"}, "duration: expected a duration"),
        ({"sample_coverage": 95}, "sample_coverage: expected a number from 0 to 1"),
        ({"drops_limit": 0}, "drops_limit: expected a whole number from 1"),
        ({"leak_required": "yes"}, "leak_required: 'yes' is of the wrong kind"),
        ({"leak_score_pass": 0.9}, "leak_score_pass: must not be above"),
        ({"duration": "60s", "rate_window": "2m"}, "rate_window: must not be longer"),
    ],
)
def test_errors_name_the_key_and_the_cure(mapping: dict[str, object], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        from_mapping(mapping, "mine")
