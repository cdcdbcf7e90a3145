"""Starts of the service after failed ones: the delay grows, and a person's stop clears it."""

from __future__ import annotations

import signal

from tests.supervising import Supervised

DELAYS = {  # for ever, as tests go
    "supervisor.restart_backoff_initial": 600.0,
    "supervisor.restart_backoff_max": 600.0,
}


def test_the_third_start_after_failures_waits_and_a_stop_clears_the_count(
    vigil: Supervised,
) -> None:
    for _ in range(2):
        vigil.start("fails_at_once", "run", settings=DELAYS)
        assert vigil.exit_code() == 5
    process = vigil.start("healthy", "run", settings=DELAYS)
    vigil.until_logged("the last 2 runs failed")
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0
    assert "generation 1 reports" not in vigil.log.read_text()
    process = vigil.start("healthy", "run", settings=DELAYS)
    vigil.until_logged("generation 1 reports")
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0


def test_a_streamer_that_refuses_the_settings_is_not_started_again(vigil: Supervised) -> None:
    for _ in range(2):
        vigil.start("refuses_settings", "run", settings=DELAYS)
        assert vigil.exit_code() == 2
    process = vigil.start("healthy", "run", settings=DELAYS)
    vigil.until_logged("generation 1 reports")
    assert "runs failed" not in vigil.log.read_text()
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0
