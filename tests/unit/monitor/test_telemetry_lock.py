from __future__ import annotations

import stat
from pathlib import Path

from monitor.telemetry import TelemetryServer


def test_the_lock_is_ours_alone_even_when_an_older_one_was_not(tmp_path: Path) -> None:
    lock = tmp_path / "telemetry.lock"
    lock.touch(mode=0o644)
    TelemetryServer(tmp_path).close()
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
