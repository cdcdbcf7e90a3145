from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from monitor.snapshot import Snapshot
from monitor.soak_plans import PROFILES
from streamer.secret import SecretUrl
from supervisor import description
from supervisor.description import environment, known_of, summary_of
from supervisor.settings import Settings
from tests.strict_json import VALUES_READ, nasty_snapshot, parsed
from tests.unit.monitor.runs import Run

SECRET = "hunter2"
SETTINGS = Settings.model_validate(
    {
        "exchange": {
            "symbols": ["BTCUSDT"],
            "streams": ["trade"],
            "proxy": SecretUrl(f"http://me:{SECRET}@127.0.0.1:3128"),
        },
        "connection": {"max_age": "2h", "stale_after": "20s"},
    }
)


def test_the_summary_has_what_a_judge_needs_and_no_secret() -> None:
    summary = summary_of(SETTINGS)
    assert (summary["symbols"], summary["streams"]) == (["BTCUSDT"], ["trade"])
    assert summary["connection_max_age_seconds"] == 7200
    assert summary["stale_after_seconds"] == 20
    assert summary["effective"]["exchange"]["symbols"]
    proxies = summary["proxies"]
    assert set(proxies.values()) == {"http://********@127.0.0.1:3128"}
    assert SECRET not in json.dumps(summary)


def test_without_a_proxy_none_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert set(summary_of(Settings())["proxies"].values()) == {None}


def test_the_environment_names_python_and_the_packages() -> None:
    found = environment()
    assert found["python"] == sys.version.split()[0]
    assert found["packages"]["psutil"]
    json.dumps(found)


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "_REPORTED_PACKAGES", ("psutil", "no-such-package-here"))
    packages: dict[str, Any] = environment()["packages"]
    assert packages.pop("psutil")
    assert packages == {"no-such-package-here": None}


def test_a_diagnosis_begins_with_settings_status_and_environment() -> None:
    run = Run(PROFILES["smoke"]).seconds(3)
    known = known_of(SETTINGS, run.recorder)
    assert set(known) == {"settings.json", "status.json", "environment.json"}
    assert json.loads(known["settings.json"])["exchange"]["symbols"]
    assert [one["name"] for one in json.loads(known["status.json"])["streamers"]] == ["streamer-1"]
    assert SECRET not in "".join(known.values())


def test_whatever_is_known_of_a_process_a_strict_reader_takes_it() -> None:
    class Recorder:
        def snapshot(self, now: float, time: float) -> Snapshot:
            return nasty_snapshot()

    found = known_of(SETTINGS, Recorder())  # type: ignore[arg-type]
    assert parsed(found["status.json"])["recent_events"][-1]["detail"] == VALUES_READ
    assert parsed(found["settings.json"])["exchange"]["symbols"] == ["BTCUSDT"]
    assert parsed(found["environment.json"])["cpus"]
