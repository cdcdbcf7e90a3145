"""Healthy runs under a real Prometheus: no alert fires, every query of the dashboard answers."""

from __future__ import annotations

import json
import time

import pytest

from tests.drill_rig import Rig
from tests.streaming import ROOT
from tests.tools import required

DASHBOARD = ROOT / "deploy" / "grafana" / "vigil.json"
NOTHING_WHEN_WELL = {  # these panels are about what a healthy run has not
    "changes(vigil_start_time_seconds",
    "changes(vigil_streamer_generation",
}
SECONDS_IN_CI, SECONDS_IN_FULL = 60.0, 1200.0


def queries() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    found += [one["expr"] for one in dashboard["annotations"]["list"]]
    return [one.replace("$job", "vigil").replace("$instance", ".*") for one in found]


def is_quiet_for(rig: Rig, seconds: float) -> None:
    """Look once a second; whatever fires in this time is named."""
    rig.until_ready()
    # In hurried time the seconds of a start are minutes without a connection.
    rig.until("the end of the start", lambda: rig.query("vigil_ready == 1") and not rig.firing())
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert rig.page("/readyz")[0] == 200, rig.page("/readyz")[1]
        assert rig.firing() == set()
        time.sleep(1.0)
    assert rig.ever_fired(f"{seconds - 1:.0f}s") == set()


def test_the_dashboard_begins_with_verdict_and_objective():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert panels[0]["title"] == "Verdict and objective"
    assert "vigil_ready" in panels[1]["targets"][0]["expr"]
    first_rows = [one["title"] for one in panels[1:6]]
    assert "Fresh data, 30 days" in first_rows
    ids = [one["id"] for one in panels]
    assert len(ids) == len(set(ids))
    assert all(one["description"] for one in panels if one["type"] != "row")


@pytest.mark.timeout(300)
def test_a_healthy_run_raises_nothing_and_fills_the_dashboard():
    required("prometheus", "prometheus")
    # The rules' time runs 10 times faster. A scrape may take 5 s: these machines are busy.
    patient = {"connection.stale_after": "30s"}
    with Rig(settings=patient, hurry=10.0, scrape_seconds=5) as rig:
        is_quiet_for(rig, SECONDS_IN_CI)
        assert len(queries()) > 40
        for expression in queries():
            answer = rig.query(expression)  # raises when it cannot be parsed
            if not any(expression.startswith(one) for one in NOTHING_WHEN_WELL):
                assert answer, f"no series: {expression}"


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_twenty_healthy_minutes_raise_nothing():
    required("prometheus", "prometheus")
    with Rig(
        settings={"connection.max_age": "5m", "connection.stale_after": "30s"}, hurry=1.0
    ) as rig:
        is_quiet_for(rig, SECONDS_IN_FULL)
