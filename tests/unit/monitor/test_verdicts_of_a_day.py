"""Verdicts of runs of a day: in a file that is not measured for coverage, which costs thrice."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.soak_plans import PROFILES
from monitor.verdict import concluded, judge
from tests.unit.monitor.observations import stream
from tests.unit.monitor.runs import SYMBOLS, Run
from tests.unit.monitor.test_verdict import criterion


def test_a_day_with_its_rotations() -> None:
    run = Run(PROFILES["24h"]).seconds(86_400, every=6).end()
    document, verdict = concluded(run.document())
    assert verdict.outcome == "pass", verdict.failed + verdict.open
    rotations = criterion(document, "rotations")
    assert rotations.observed == 5
    assert criterion(document, "leak score").required
    recorded = judge(document, detector=None)
    assert [one.outcome for one in recorded.criteria] == [one.outcome for one in verdict.criteria]


def test_a_leak_of_the_day_fails() -> None:
    profile = PROFILES["24h"]
    run = Run(profile)
    run.seconds(86_400, in_sample=lambda at: {"rss_mib": 60 + 8 * at / 3600}, every=6).end()
    document, verdict = concluded(run.document())
    failed = {one.name for one in verdict.failed}
    assert {"memory growth", "leak score", "rules"} <= failed
    leak = criterion(document, "leak score")
    (marked,) = [one for one in document["actions"] if one["action"] == "fail"]
    assert leak.first_breach == pytest.approx(marked["first_elapsed_seconds"], abs=61)


def test_an_hour_without_a_symbol_fails_a_day_however_busy_the_rest_was() -> None:
    def outage(at: int) -> dict[str, Any]:
        counted = at if at < 30_000 else max(30_000, at - 3600)
        return {"streams": (stream(900 * at), stream(counted, "ETHUSDT"))}

    document = Run(PROFILES["24h"]).seconds(86_400, outage, every=10).end().document()
    verdict = judge(document)
    assert [one.name for one in verdict.failed] == ["stream outages"]
    outages = criterion(document, "stream outages")
    assert outages.observed == 1
    assert 30_600 <= (outages.first_breach or 0) <= 30_720
    assert "trade:ETHUSDT" in outages.reason


def test_an_outage_hides_behind_no_busy_hours() -> None:
    def outage(at: int) -> dict[str, Any]:
        counted = at if at < 1200 else max(1200, at - 400)
        return {"streams": tuple(stream(900 * counted, symbol) for symbol in SYMBOLS)}

    document = Run(PROFILES["1h"]).seconds(3600, outage).end().document()
    rate = criterion(document, "message rate")
    assert rate.outcome == "fail"
    assert rate.observed == 0
    assert 1500 <= (rate.first_breach or 0) <= 1620
