from __future__ import annotations

import base64
import json

import pytest

from streamer.data.rejected import (
    KEPT_AT_ONCE,
    KEPT_PER_SECOND,
    PAYLOAD_LIMIT_BYTES,
    RejectedFrames,
)
from streamer.errors import FrameRejected

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


class Box:
    """A letter box that takes letters while it is open, and can send them back."""

    def __init__(self) -> None:
        self.is_open = True
        self.posted: list[bytes] = []
        self.back: list[bytes] = []
        self.is_closed = False

    def post(self, letter: bytes) -> bool:
        if self.is_open:
            self.posted.append(letter)
        return self.is_open

    def returned(self) -> list[bytes]:
        back, self.back = self.back, []
        return back

    def close(self) -> None:
        self.is_closed = True


def test_a_letter_box_takes_the_place_of_the_files(tmp_path):
    box = Box()
    frames = RejectedFrames(tmp_path, MIB, box)
    assert frames.keep(b"{", REJECTED, 3, 0.0)
    assert frames.keep_record(b"record", "trades", "refused", "too large", 0.0)

    frame, record = (json.loads(letter) for letter in box.posted)
    assert (frame["connection_id"], frame["text"]) == (3, "{")
    assert record["topic"] == "trades"
    assert (record["error_type"], record["error"]) == ("refused", "too large")
    assert not (tmp_path / "rejected").exists()


def test_what_the_letter_box_does_not_take_or_sends_back_is_filed(tmp_path):
    box = Box()
    frames = RejectedFrames(tmp_path, MIB, box)
    frames.keep(b"sent back", REJECTED, 1, 0.0)
    box.is_open = False
    frames.keep(b"not taken", REJECTED, 1, 0.0)
    box.back = list(box.posted)
    frames.close()

    assert [entry["text"] for entry in lines(tmp_path)] == ["not taken", "sent back"]
    assert (frames.kept_total, frames.passed_over_total, box.is_closed) == (2, 0, True)


def test_a_letter_that_nobody_can_keep_is_counted_as_dropped(tmp_path):
    box = Box()
    frames = RejectedFrames(tmp_path / "file", MIB, box)
    (tmp_path / "file").write_text("")
    frames.keep(b"x", REJECTED, 1, 0.0)
    box.back = list(box.posted)
    frames.collect()

    assert (frames.kept_total, frames.passed_over_total) == (0, 1)
