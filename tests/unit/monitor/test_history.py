from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

import pytest

from monitor.evidence import DocumentError
from monitor.history import FIGURES, in_order, past_of
from tests import profiles
from tests.hours import hour
from tests.unit.monitor.runs import Run


def test_a_run_in_a_line() -> None:
    found = past_of(hour(1, growth_mib=20.0), "a.json")
    assert (found.soak, found.verdict, found.duration_seconds) == ("1h", "fail", 3600)
    assert set(found.figures) == set(FIGURES)
    growth, rate = found.figures["memory growth"], found.figures["message rate"]
    assert growth is not None
    assert growth.low < 20 < growth.high
    assert rate is not None
    assert rate.value == pytest.approx(100, rel=0.01)
    assert found.units["memory growth"] == "MiB/h"


def test_a_short_run_has_no_growth_to_tell() -> None:
    assert past_of(profiles.smoke(), "a.json").figures["memory growth"] is None


def test_without_processes_there_is_no_growth_either() -> None:
    document: dict[str, Any] = {**profiles.smoke(), "streamers": []}
    assert past_of(document, "a.json").figures["memory growth"] is None


def test_a_service_has_no_verdict() -> None:
    found = past_of(Run(None).seconds(300).document(), "a.json")
    assert (found.soak, found.verdict) == (None, None)


def test_the_version_is_that_of_the_environment() -> None:
    document = copy.deepcopy(profiles.smoke())
    assert past_of(document, "a.json").version is None
    document["environment"]["packages"] = {"vigil": "1.2.3"}
    assert past_of(document, "a.json").version == "1.2.3"


def test_the_newest_is_the_last_one_whatever_its_time_zone() -> None:
    one = past_of(profiles.smoke(), "x.json")
    times = {
        "unknown": "someday",
        "local": "2026-11-01T00:00:00",  # the predecessor's, without a zone
        "first": "2026-11-01T01:00:00+00:00",
        "second": "2026-11-01T01:30:00+00:00",
        "third": "2026-11-01T01:00:00-01:00",
    }
    runs = [replace(one, source=name, start_time=at) for name, at in times.items()]
    random.Random(1).shuffle(runs)
    assert [one.source for one in in_order(runs)] == list(times)


def test_what_is_no_profile_is_refused() -> None:
    with pytest.raises(DocumentError):
        past_of({"runs": []}, "a.json")
