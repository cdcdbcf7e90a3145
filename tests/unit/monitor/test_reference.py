"""A known-good run explains the warm-up of the next one; what is not known to be good does not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from monitor.reference import UnfitReferenceError, reference_from
from monitor.soak_plans import PROFILES, scaled
from monitor.verdict import judge
from tests.unit.monitor.runs import Run

HOUR = 3600
MINE = replace(PROFILES["1h"], leak_required=True)


def warm_up(second: float) -> float:
    return 60 + 9 * (1 - math.exp(-second / 2100))


@cache
def known_good() -> str:
    run = Run(PROFILES["1h"])
    run.seconds(HOUR, in_sample=lambda at: {"rss_mib": warm_up(at)}, every=5)
    return json.dumps(run.end().document())


def hour(mib_per_hour: float, *, referred: bool) -> dict[str, Any]:
    reference = reference_from(json.loads(known_good()), "good.json", HOUR) if referred else None
    run = Run(MINE if referred else PROFILES["1h"], reference=reference)
    run.seconds(
        HOUR,
        in_sample=lambda at: {"rss_mib": 1.02 * warm_up(at) + mib_per_hour * at / HOUR},
        every=5,
    )
    return json.loads(json.dumps(run.end().document()))


def leak_of(document: dict[str, Any]) -> Any:
    return next(one for one in judge(document).criteria if one.name == "leak score")


def test_a_leak_within_the_hour_shows_beside_a_reference_only() -> None:
    assert leak_of(hour(25.0, referred=False)).outcome != "fail"
    document = hour(25.0, referred=True)
    leak = leak_of(document)
    assert leak.required
    assert leak.outcome == "fail"
    (marked,) = [one for one in document["actions"] if one["rule"] == "leak"]
    assert marked["action"] == "fail"
    assert marked["first_elapsed_seconds"] == pytest.approx(leak.first_breach, abs=16)


def test_the_same_warm_up_passes_and_the_document_says_by_what() -> None:
    document = hour(0.0, referred=True)
    assert leak_of(document).outcome == "pass"
    assert judge(document).outcome == "pass"
    assert document["reference"]["source"] == "good.json"


def test_the_judge_needs_the_reference() -> None:
    document = hour(25.0, referred=True)
    before = leak_of(document)
    document["reference"] = None
    assert leak_of(document).observed != before.observed


def unfit(document: dict[str, Any], seconds: float = HOUR) -> str:
    with pytest.raises(UnfitReferenceError) as caught:
        reference_from(document, "bad.json", seconds)
    return str(caught.value)


def test_what_cannot_be_a_reference_is_refused_with_the_reason() -> None:
    good = json.loads(known_good())
    assert "covers 3585 s" in unfit(good, 2 * HOUR)
    assert "too short for a leak score" in unfit(good, 600)
    assert "schema_version 2 is not known" in unfit(good | {"schema_version": 2})
    assert "not a profile" in unfit({"a": 1})
    without_schema = {key: value for key, value in good.items() if key != "schema_version"}
    assert "no schema_version" in unfit(without_schema)


def test_a_run_that_failed_or_was_stopped_is_no_reference() -> None:
    failed = json.loads(known_good())
    failed["actions"].append(
        {"rule": "rate", "action": "fail", "first_elapsed_seconds": 1.0, "message": "too few"}
    )
    failed["verdict"] = "pass"  # what is written in it counts for nothing
    assert "verdict is fail (rules); expected one that passed" in unfit(failed)
    stopped = json.loads(known_good())
    stopped["test_metadata"]["ended"] = "stopped"
    stopped["test_metadata"]["actual_duration_hours"] = 0.7
    assert "verdict is inconclusive (duration)" in unfit(stopped)


def test_a_leak_is_refused_even_where_its_score_was_informational() -> None:
    profile = replace(
        scaled(PROFILES["1h"], HOUR), memory_growth_limit_bytes=1 << 30, leak_required=False
    )
    run = Run(profile)
    run.seconds(HOUR, in_sample=lambda at: {"rss_mib": 60 + 90 * at / HOUR}, every=5)
    assert "shows a leak itself" in unfit(run.end().document())
