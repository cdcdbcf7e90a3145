from __future__ import annotations

import os
from pathlib import Path

from supervisor.diagnosis import keep, keep_in_background


def test_it_keeps_what_the_kernel_knows(tmp_path: Path) -> None:
    keep_in_background(os.getpid(), tmp_path / "d").join(10.0)
    text = (tmp_path / "d").read_text()
    assert "VmRSS" in text
    assert "Private_Dirty" in text
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o600


def test_a_process_that_is_gone_leaves_a_note(tmp_path: Path) -> None:
    keep(2**22 + 1, tmp_path / "d")  # above the highest PID that Linux gives
    assert (
        "== smaps_rollup\nnot readable: No such file or directory" in (tmp_path / "d").read_text()
    )
