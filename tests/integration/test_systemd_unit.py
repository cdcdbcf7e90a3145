"""The unit file, as systemd reads it."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "vigil.service"
WORST_SCORE = 1.3  # of systemd-analyze security; 1.2 is what network access alone costs


@pytest.fixture(scope="module")
def systemd_analyze() -> str:
    """Return the tool; where it is missing the test is skipped, but never in CI."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        if os.environ.get("CI") == "true":
            pytest.fail("systemd-analyze is missing; Debian has it in the package systemd")
        pytest.skip("systemd-analyze is missing; Debian has it in the package systemd")
    return tool


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit with an interpreter that exists on this machine."""
    text = UNIT.read_text().replace("/opt/vigil/bin/python", sys.executable)
    path = tmp_path / "vigil.service"
    path.write_text(text)
    return path


def test_systemd_finds_nothing_to_complain_about(systemd_analyze: str, unit: Path) -> None:
    done = subprocess.run(
        [systemd_analyze, "verify", str(unit)], capture_output=True, text=True, timeout=180
    )
    complaints = [line for line in done.stderr.splitlines() if "vigil.service" in line]
    assert (done.returncode, complaints) == (0, [])


def test_its_exposure_is_low(systemd_analyze: str, unit: Path) -> None:
    done = subprocess.run(
        [systemd_analyze, "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        timeout=180,
    )
    found = re.search(r"Overall exposure level for vigil\.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= WORST_SCORE


def test_its_limits_are_above_those_of_the_supervisor() -> None:
    unit = _section("Service")
    high, most = (int(unit[key].removesuffix("M")) for key in ("memoryhigh", "memorymax"))
    ceiling, supervisor = 450, 90  # MiB: the rule "memory ceiling"; supervisor and its helper
    assert 1.2 * ceiling + supervisor < high < most
    assert unit["restartpreventexitstatus"] == "2"
    assert unit["killmode"] == "control-group"


def test_the_time_to_stop_is_longer_than_all_graces() -> None:
    from supervisor.derived import graces_of
    from supervisor.settings import Settings

    assert float(_section("Service")["timeoutstopsec"]) > graces_of(Settings()).total_seconds


def _section(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(UNIT)
    return parser[name]
