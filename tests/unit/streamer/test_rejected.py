from __future__ import annotations

import base64
import json

import pytest

from streamer.errors import FrameRejected
from streamer.rejected import KEPT_AT_ONCE, KEPT_PER_SECOND, PAYLOAD_LIMIT_BYTES, RejectedFrames

REJECTED = FrameRejected("not_json", "JSON is malformed")
MIB = 1 << 20


def lines(directory, name="first"):
    path = directory / "rejected" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_frame_is_kept_with_its_reason(tmp_path):
    assert RejectedFrames(tmp_path, MIB).keep("{né".encode(), REJECTED, 3, 0.0)

    (entry,) = lines(tmp_path)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "connection_id": 3,
        "error_type": "not_json",
        "error": "JSON is malformed",
        "payload_bytes": 4,
        "text": "{né",
    }


def test_bytes_that_are_no_text_are_kept_as_base64(tmp_path):
    RejectedFrames(tmp_path, MIB).keep(b"\xff\x00", REJECTED, 1, 0.0)

    assert base64.b64decode(lines(tmp_path)[0]["base64"]) == b"\xff\x00"


def test_long_payloads_are_cut(tmp_path):
    RejectedFrames(tmp_path, MIB).keep(b"x" * 100_000, REJECTED, 1, 0.0)

    (entry,) = lines(tmp_path)
    assert entry["payload_bytes"] == 100_000
    assert len(entry["text"]) == PAYLOAD_LIMIT_BYTES


def test_the_first_and_the_newest_are_kept_within_the_bound(tmp_path):
    limit = 20_000
    frames = RejectedFrames(tmp_path, limit)
    for i in range(1000):
        assert frames.keep(b"frame %d" % i, REJECTED, 1, i * 1.0)

    total = sum(path.stat().st_size for path in (tmp_path / "rejected").iterdir())
    assert limit // 2 < total <= limit
    assert lines(tmp_path)[0]["text"] == "frame 0"
    newest = [
        entry["text"] for entry in lines(tmp_path, "newest-before") + lines(tmp_path, "newest")
    ]
    assert newest[-1] == "frame 999"
    assert newest == [f"frame {i}" for i in range(1000 - len(newest), 1000)]


def test_a_restart_goes_on_with_the_same_files(tmp_path):
    for i in range(3):
        RejectedFrames(tmp_path, MIB).keep(b"%d" % i, REJECTED, 1, 0.0)

    assert [entry["text"] for entry in lines(tmp_path)] == ["0", "1", "2"]


def test_a_flood_is_counted_not_written(tmp_path):
    frames = RejectedFrames(tmp_path, MIB)
    kept = sum(frames.keep(b"x", REJECTED, 1, 5.0) for _ in range(1000))

    assert kept == KEPT_AT_ONCE
    assert (frames.kept_total, frames.passed_over_total) == (kept, 1000 - kept)
    assert sum(frames.keep(b"x", REJECTED, 1, 6.0) for _ in range(1000)) == KEPT_PER_SECOND


@pytest.mark.parametrize("limit", [0, 100])
def test_a_bound_that_is_too_small_keeps_nothing(tmp_path, limit):
    assert not RejectedFrames(tmp_path, limit).keep(b"x", REJECTED, 1, 0.0)


def test_a_disk_that_refuses_harms_nothing(tmp_path, caplog):
    (tmp_path / "rejected").write_text("in the way")
    frames = RejectedFrames(tmp_path, MIB)

    assert not frames.keep(b"x", REJECTED, 1, 0.0)
    assert not frames.keep(b"x", REJECTED, 1, 0.0)
    assert frames.passed_over_total == 2
    assert caplog.text.count("cannot be kept") == 1
