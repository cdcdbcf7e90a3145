from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.supervising import DEADLINE_SECONDS, Supervised


@pytest.fixture
def vigil() -> Iterator[Supervised]:
    """Yield a supervisor to start; afterwards nothing of it may be left."""
    supervised = Supervised()
    try:
        yield supervised
        assert supervised.process is not None
        assert supervised.process.poll() is not None, "the test left the supervisor running"
        supervised.until(lambda: not supervised.left())
    finally:
        for pid in supervised.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if supervised.process is not None:
            supervised.process.wait(DEADLINE_SECONDS)
        shutil.rmtree(supervised.directory)
