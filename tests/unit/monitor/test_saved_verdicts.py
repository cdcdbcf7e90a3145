"""A saved profile, judged again, gives what it gave when the run ended: to the letter."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from monitor import checkpoint
from monitor.verdict import judge
from tests import profiles


@pytest.mark.parametrize(
    ("document", "outcome"),
    [
        (profiles.smoke(), "pass"),
        (profiles.leaking_day(5.0), "fail"),
        (profiles.stopped_hour(), "inconclusive"),
    ],
)
def test_the_verdict_is_repeated(document: profiles.Document, outcome: str, tmp_path: Path) -> None:
    assert document["verdict"] == outcome
    path = tmp_path / "profile.json"
    checkpoint.write(path, document)
    again = judge(checkpoint.load(path))
    assert again.outcome == outcome
    assert [asdict(one) for one in again.criteria] == document["criteria"]
