"""Recordings: read exactly, sent in order, at a speed."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.replay import RecordingError, Replay, read

LINES = [
    "wss://stream.example:9443/stream?streams=a@trade/b@trade <-> 100.0",
    '100.5: {"stream":"a@trade","data":{"t":1,  "p":"1.0"}}',
    '101.5: {"stream":"b@trade","data":{"t":9}}',
    '102.5: {"stream":"a@trade","data":{"t":2}}',
]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording"
    path.write_text("\n".join(LINES) + "\n\n")
    return path


def test_frames_are_read_byte_for_byte(recording: Path) -> None:
    first = read(recording)[0]
    assert first == (100.5, "a@trade", b'{"stream":"a@trade","data":{"t":1,  "p":"1.0"}}')
    assert len(read(recording)) == 3


def test_nothing_is_due_before_somebody_listens(recording: Path) -> None:
    replay = Replay(read(recording), 0, 0.0)
    assert replay.due(10**18) == []
    replay.start(5)
    assert [name for name, _ in replay.due(5)] == ["a@trade", "b@trade", "a@trade"]
    assert (replay.sent, replay.total) == (3, 3)
    assert replay.due(10**18) == []


def test_speed_scales_the_recorded_times(recording: Path) -> None:
    replay = Replay(read(recording), 2.0, 1.0)
    replay.start(0)
    replay.start(999)  # later listeners change nothing
    assert replay.due(999_999) == []
    assert len(replay.due(1_000_000)) == 1
    assert replay.next_time(0) == 1_500_000
    assert len(replay.due(1_499_999)) == 0
    assert len(replay.due(2_000_000)) == 2


def test_streams_and_symbols_are_known(recording: Path) -> None:
    replay = Replay(read(recording), 1.0, 0.0)
    assert replay.names == {"a@trade", "b@trade"}
    assert replay.symbols() == {"A", "B"}


@pytest.mark.parametrize(
    ("text", "where"),
    [("{}", "first line"), (LINES[0] + "\nnonsense", ":2:"), (LINES[0] + "\n\n1.0: {}", ":3:")],
)
def test_a_bad_line_is_located(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "bad"
    path.write_text(text)
    with pytest.raises(RecordingError, match=where):
        read(path)
