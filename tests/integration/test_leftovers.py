"""Nothing of the tests is left when pytest itself ends without its fixtures."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from tests.streaming import ROOT, eventually


def test_of_a_test_that_timed_out_by_os_exit_no_process_is_left(tmp_path):
    file = tmp_path / "pids"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "tests/integration/hanging.py"],
        cwd=ROOT, env={**os.environ, "VIGIL_TEST_PIDS": str(file)}, capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "Timeout" in ended.stdout + ended.stderr
    supervisor, streamer = map(int, file.read_text().split())
    eventually(lambda: not _runs(supervisor), what="the supervisor's end")
    eventually(lambda: not _runs(streamer), what="the streamer's end")


def _runs(pid: int) -> bool:
    """Return whether a process is more than an entry that nobody has collected yet."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
