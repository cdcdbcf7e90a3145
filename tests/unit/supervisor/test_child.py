"""A child process, from its first moment on."""

from __future__ import annotations

import signal
from pathlib import Path

from supervisor.child import Child
from tests.waiting import eventually


def test_a_child_that_is_told_to_end_before_it_has_begun_ends_in_order(tmp_path: Path) -> None:
    child = Child.launch(signal.pause, (), stacks_file=tmp_path / "stacks")
    child.send(signal.SIGTERM)
    eventually(child.has_ended, what="its end")
    assert child.reap() == 0, "it had nothing that could be lost"
