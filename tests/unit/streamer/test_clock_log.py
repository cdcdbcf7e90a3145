from __future__ import annotations

import json
import logging

from streamer.clock_log import CLOCK_FILE, ClockLog, clock_note
from streamer.config import SinkConfig


def test_each_offset_is_a_line(tmp_path):
    note = clock_note(SinkConfig(directory=tmp_path))
    note(1_795_780_000.25, -0.001234, 0.005)
    note(1_795_780_009.0, 600.0, None)
    first, second = map(json.loads, (tmp_path / CLOCK_FILE).read_text().splitlines())
    assert first == {
        "measured_us": 1_795_780_000_250_000, "offset_us": -1234, "uncertainty_us": 5000,
        "cause": "measured",
    }  # fmt: skip
    assert (second["offset_us"], second["uncertainty_us"]) == (600_000_000, None)
    assert second["cause"] == "clock_set"


def test_nothing_is_noted_beside_no_records(tmp_path):
    clock_note(SinkConfig(kind="null", directory=tmp_path))(1.0, 1.0, 1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_told_once(tmp_path, caplog):
    log = ClockLog(tmp_path / "gone")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            log.note(1.0, 1.0, 1.0)
    assert len(caplog.messages) == 1
    assert "gone/clock.jsonl: " in caplog.messages[0]
    (tmp_path / "gone").mkdir()
    log.note(1.0, 1.0, 1.0)
    assert (tmp_path / "gone" / CLOCK_FILE).exists()
