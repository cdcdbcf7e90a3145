"""A test that hangs, for test_leftovers.py: not collected by its name, run by its path."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest


@pytest.fixture
def pids(vigil):
    """A supervisor and a streamer that ends by SIGKILL only; their numbers are in the file."""
    process = vigil.start("ignores_all", "run")
    vigil.until_logged("generation 1 reports")
    found = process.pid, vigil.streamer().pid
    Path(os.environ["VIGIL_TEST_PIDS"]).write_text(" ".join(map(str, found)))


@pytest.mark.timeout(1, method="thread", func_only=True)
@pytest.mark.usefixtures("pids")
def test_that_hangs():
    while True:
        time.sleep(60)
