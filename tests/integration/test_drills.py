"""Drills: each fault is played for real, raises its alerts, and is mended as the runbook says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.alert_rules import alerts
from tests.drill import main
from tests.drills import DRILLS, play
from tests.runbook_pages import PAGES
from tests.streaming import ROOT
from tests.tools import required

IN_CI = ("down", "dead-letters")


def test_every_alert_is_raised_by_a_drill():
    raised = {alert for drill in DRILLS.values() for alert in drill.alerts}
    assert raised == {alert.name for alert in alerts()}


@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_belongs_to_a_heading_of_a_runbook_that_names_it(name):
    file, _, anchor = DRILLS[name].runbook.partition("#")
    page = next(one for one in PAGES if one.name == file).read_text()
    assert f"scripts/drill {name}" in page
    assert f"\n## {anchor}\n" in page.lower()


def test_the_list_names_all(capsys):
    assert main(["--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == list(DRILLS)


def test_a_wrong_name_is_refused():
    command = [sys.executable, "-m", "tests.drill", "nonsense"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 2
    assert "nonsense" in ran.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", IN_CI)
def test_a_drill_passes(name):
    required("prometheus", "prometheus")
    play(name, print)


@pytest.mark.full
@pytest.mark.timeout(4200)
@pytest.mark.parametrize("name", [one for one in DRILLS if one not in IN_CI])
def test_a_long_drill_passes(name):
    required("prometheus", "prometheus")
    play(name, print)
