from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource
resource.setrlimit(resource.RLIMIT_CORE, ({soft}, {hard}))
from streamer import core_dumps
core_dumps.forbid()
print(*resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [(-1, -1, "1 1"), (0, -1, "1 1"), (4096, 8192, "1 1"), (1, 1, "1 1"), (0, 0, "0 0")],
)
def test_no_core_is_written_whatever_was_allowed(soft: int, hard: int, after: str) -> None:
    program = PROGRAM.format(soft=soft, hard=hard)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == after
