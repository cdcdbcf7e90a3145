"""A soak whose supervisor is killed or stopped, and goes on from its profile."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import Any

import pytest

from tests.audit import audit_files
from tests.exchange import Exchange
from tests.soaking import assert_complete
from tests.supervising import Supervised


def recorded(vigil: Supervised) -> dict[str, Any]:
    """Return the profile on disk by now; nothing while there is none."""
    with suppress(OSError):
        return vigil.profile()
    return {"memory_samples": []}


def ended_by(vigil: Supervised, number: signal.Signals, *, more_than: int) -> dict[str, Any]:
    """Send a signal to the supervisor once more events are on disk; return what it left."""

    def streams() -> bool:
        rows = recorded(vigil)["memory_samples"]
        return bool(rows) and rows[-1]["messages_received"] > more_than

    vigil.until(streams)
    assert vigil.process is not None
    vigil.process.send_signal(number)
    vigil.exit_code()
    vigil.until(lambda: not vigil.left())
    return vigil.profile()


@pytest.fixture
def plan(vigil: Supervised) -> str:
    """Return a plan with a row each second, and more time than the slowest machine needs."""
    path = vigil.directory / "plan.toml"
    rows = 'sample_interval = "1s"\nbin = "1s"\nrate_window = "1m"\n'
    path.write_text(f'base = "smoke"\nduration = "10m"\n{rows}')
    return f"--profile={path}"


def criteria(profile: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in profile["criteria"]}


def test_a_soak_goes_on_after_its_supervisor_was_killed(vigil: Supervised, plan: str) -> None:
    settings = {"monitor.profile_every": 0.2}
    vigil.start("healthy", "soak", plan, settings=settings)
    before = ended_by(vigil, signal.SIGKILL, more_than=0)
    assert (before["verdict"], before["test_metadata"]["ended"]) == (None, None)
    known = before["memory_samples"][-1]["messages_received"]
    vigil.start("healthy", "soak", f"--resume={vigil.output}", settings=settings)
    profile = ended_by(vigil, signal.SIGTERM, more_than=known)
    assert [one["ended"] for one in profile["segments"]] == [None, "stopped"]
    first, second = profile["segments"]
    elapsed = before["test_metadata"]["actual_duration_hours"] * 3600
    assert first["ended_seconds"] == second["started_seconds"] == pytest.approx(elapsed, abs=0.01)
    assert second["between_seconds"] > 0
    assert profile["memory_samples"][: len(before["memory_samples"])] == before["memory_samples"]
    assert "(killed), then nothing for 0:" in criteria(profile)["segments"]["reason"]
    one, other = profile["streamers"][0]["generations"]
    assert (one["generation"], other["generation"]) == (1, 2)
    assert other["started_seconds"] >= first["ended_seconds"]


def test_another_soak_is_refused_with_what_differs(vigil: Supervised, plan: str) -> None:
    settings: dict[str, object] = {"monitor.profile_every": 0.2}
    vigil.start("healthy", "soak", plan, settings=settings)
    ended_by(vigil, signal.SIGKILL, more_than=0)
    left = vigil.output.read_bytes()
    settings["exchange.symbols"] = "XRPUSDT"
    vigil.start("healthy", "soak", f"--resume={vigil.output}", settings=settings)
    assert vigil.exit_code() == 2
    assert "and now they are trade:XRPUSDT; expected the settings" in vigil.log.read_text()
    assert vigil.output.read_bytes() == left


@pytest.mark.full
def test_killed_and_stopped_it_still_passes_and_every_trade_is_stored(vigil: Supervised) -> None:
    with Exchange(vigil.directory, rate=100) as exchange:
        settings: dict[str, object] = {
            "monitor.profile_every": 0.2,
            "exchange.websocket_url": exchange.websocket_url,
            "exchange.rest_url": exchange.rest_url,
            "exchange.ca_file": exchange.ca_file,
            "exchange.symbols": ",".join(exchange.symbols),
            "sink.directory": vigil.directory / "records",
            "connection.max_age": "7s",
            "connection.rotation_overlap": "500ms",
        }
        launcher = ("-m", "supervisor")
        begun = ("soak", "--profile=smoke", "--duration=60s")
        vigil.start("", *begun, settings=settings, launcher=launcher)
        ended_by(vigil, signal.SIGKILL, more_than=500)
        again = ("soak", f"--resume={vigil.output}")
        vigil.start("", *again, settings=settings, launcher=launcher)
        before = ended_by(vigil, signal.SIGTERM, more_than=1500)
        assert before["verdict"] == "inconclusive"
        settings["supervisor.log_level"] = "debug"  # which is no matter, but told
        vigil.start("", *again, settings=settings, launcher=launcher)
        assert vigil.exit_code() == 0, vigil.log.read_text()
        profile = vigil.profile()
        assert_complete(profile)
        assert [one["ended"] for one in profile["segments"]] == [None, "stopped", "completed"]
        assert profile["test_metadata"]["actual_duration_hours"] * 3600 == pytest.approx(60, abs=3)
        told = criteria(profile)["segments"]["reason"]
        assert "setting supervisor.log_level: info before, debug now" in told
        for symbol in exchange.symbols:
            audit = audit_files(exchange, vigil.directory / "records", "trade", symbol)
            assert audit.missing == (), audit
