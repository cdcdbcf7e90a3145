from __future__ import annotations

import copy
from typing import Any

import pytest

from monitor.reference import Reference
from monitor.resume import resumed_from
from monitor.soak_plans import PROFILES
from supervisor.description import environment, summary_of
from supervisor.errors import UsageError
from supervisor.run_spec import RunSpec, refuse_other_settings
from supervisor.settings import Settings
from tests import profiles


def settings(*symbols: str, **sections: Any) -> Settings:
    exchange = {"symbols": symbols or ("BTCUSDT", "ETHUSDT"), "streams": ("trade",)}
    return Settings.model_validate({"exchange": exchange, **sections})


def resuming(before: Settings) -> RunSpec:
    document = copy.deepcopy(profiles.stopped_hour())
    document["settings"] = {**document["settings"], **summary_of(before)}
    document["environment"] = environment()
    resumed = resumed_from(document, "a.json")
    return RunSpec("soak", resumed.plan, resumed=resumed)


def test_a_service_has_no_end_and_a_soak_that_of_its_plan_or_what_is_left_of_it() -> None:
    assert RunSpec("run").duration_seconds is None
    assert RunSpec("soak", PROFILES["smoke"]).duration_seconds == 120
    assert resuming(settings()).duration_seconds == 2100


def test_any_settings_fit_a_plain_run() -> None:
    refuse_other_settings(RunSpec("run"), settings())


def reference(**changes: Any) -> Reference:
    values = {"symbols": ("ETHUSDT", "BTCUSDT"), "streams": ("trade",)} | changes
    return Reference("good.json", "2026", **values, bin_seconds=15.0, index=(), rss_min_bytes=())


def test_a_reference_of_the_same_feed_fits_in_any_order() -> None:
    refuse_other_settings(RunSpec("soak", PROFILES["1h"], reference=reference()), settings())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbols": ("BTCUSDT",)}, "its symbols are BTCUSDT, and this soak has BTCUSDT, ETHUSDT"),
        ({"streams": ("aggTrade",)}, "its streams are aggTrade, and this soak has trade"),
    ],
)
def test_a_reference_of_another_feed_is_refused(changes: dict[str, Any], message: str) -> None:
    spec = RunSpec("soak", PROFILES["1h"], reference=reference(**changes))
    with pytest.raises(UsageError, match=f"--reference good.json: {message}"):
        refuse_other_settings(spec, settings())


def test_a_soak_goes_on_with_the_settings_that_it_was_begun_with(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    refuse_other_settings(resuming(settings()), settings())
    assert "a.json goes on after 1500 s of 3600 s" in caplog.text
    assert "not as before" not in caplog.text


def test_a_soak_of_other_symbols_is_another_one() -> None:
    with pytest.raises(UsageError, match=r"--resume a\.json: .*expected the settings that it was"):
        refuse_other_settings(resuming(settings()), settings("BNBUSDT"))


def test_what_else_is_different_is_named(caplog: pytest.LogCaptureFixture) -> None:
    other = settings(monitor={"profile_every": "31s"})
    refuse_other_settings(resuming(settings()), other)
    assert "not as before the interruption: " in caplog.text
