from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.ledger import Ledger
from monitor.recorder import Recorder
from supervisor import profile_writer
from supervisor.profile_writer import ProfileWriter


@pytest.fixture
def kept(tmp_path: Path) -> ProfileWriter:
    return ProfileWriter(
        Recorder(Ledger(None, 60.0), None, {}, {}, started_time=0.0, started_at=0.0),
        tmp_path / "p.json",
    )


def test_a_checkpoint_is_a_whole_document(kept: ProfileWriter) -> None:
    kept.checkpoint(1.0, 1.0)
    assert kept.conclude(2.0, 2.0, judged=False) is None  # waits for the checkpoint
    assert "verdict" in json.loads(kept.path.read_text())


def test_a_judge_that_fails_costs_the_verdict_not_the_profile(
    kept: ProfileWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(document: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(profile_writer, "concluded", broken)
    with pytest.raises(ZeroDivisionError):
        kept.conclude(1.0, 1.0, judged=True)
    assert json.loads(kept.path.read_text())["test_metadata"]


def test_a_disk_that_refuses_does_not_end_the_loop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    recorder = Recorder(Ledger(None, 60.0), None, {}, {}, started_time=0.0, started_at=0.0)
    kept = ProfileWriter(recorder, tmp_path / "file" / "p.json")
    kept.checkpoint(1.0, 1.0)
    kept._writer.submit(lambda: None).result(10.0)
    kept.checkpoint(2.0, 2.0)
    assert "the profile could not be written" in caplog.text


def test_the_last_profile_goes_elsewhere_when_its_place_refuses_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    recorder = Recorder(Ledger(None, 60.0), None, {}, {}, started_time=0.0, started_at=0.0)
    kept = ProfileWriter(recorder, tmp_path / "file" / "p.json", tmp_path / "other" / "p.json")
    kept.conclude(1.0, 1.0, judged=False)
    assert kept.path == tmp_path / "other" / "p.json"
    assert json.loads(kept.path.read_text())["test_metadata"]
    assert "it goes to" in caplog.text
