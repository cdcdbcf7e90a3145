"""The dead letters: what could not be decoded, encoded or delivered; bounded in rate and size.

Each is a JSON object: `time` (ISO 8601, UTC), its source (`connection_id` of a frame, `topic` of a
record, `rest` with the stream that was asked about), `error_type`, `error`, `payload_bytes` (the
true length) and the payload's beginning as `text`, or as `base64` where it is no UTF-8.

They go to a topic where there is one. Otherwise, and when the topic does not take them, each is a
line of `DIRECTORY/rejected/first.jsonl`, which grows to half of the bound and then stays as it is,
since the first frame of its kind tells most. What comes later goes to `newest.jsonl`, which takes
the place of `newest-before.jsonl` when it holds a quarter.
"""

from __future__ import annotations

import base64
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from streamer.errors import FrameRejected

KEPT_PER_SECOND = 20.0  # each costs a write of some microseconds: a flood must not slow the feed
KEPT_AT_ONCE = 100.0
PAYLOAD_LIMIT_BYTES = 16 << 10  # the largest event is below 1 kB, a depth update some 10 kB

_log = logging.getLogger(__name__)


class LetterBox(Protocol):
    """Takes dead letters elsewhere than into files. Never blocks."""

    def post(self, letter: bytes) -> bool:
        """Take a letter, or say that it cannot be taken now."""

    def returned(self) -> list[bytes]:
        """Return the letters that could not be delivered, since the last call."""

    def close(self) -> None:
        """Give the letters under way a moment; afterwards `returned` tells of the others."""


class RejectedFrames:
    """Keeps what was rejected; what exceeds the rate is counted, not kept."""

    def __init__(
        self, directory: Path, limit_bytes: int, letter_box: LetterBox | None = None
    ) -> None:
        """Keep at most `limit_bytes` in `directory`/rejected, which is made when it is needed."""
        self.kept_total = 0
        self.passed_over_total = 0
        self._directory = directory / "rejected"
        self._limit_bytes = limit_bytes
        self._letter_box = letter_box
        self._allowance = KEPT_AT_ONCE
        self._refilled_at: float | None = None
        self._has_failed = False

    def keep(self, payload: bytes, rejected: FrameRejected, connection_id: int, now: float) -> bool:
        """Keep a frame if rate and disk allow, and tell whether it was. `now` is monotonic."""
        source = {"connection_id": connection_id}
        return self._keep(payload, source, rejected.error_type, str(rejected), now)

    def keep_record(
        self, content: bytes, topic: str, error_type: str, error: str, now: float
    ) -> bool:
        """Keep a record that a sink has given up, as `keep` does a frame."""
        return self._keep(content, {"topic": topic}, error_type, error, now)

    def keep_answer(
        self, content: bytes, stream: str, error_type: str, error: str, now: float
    ) -> None:
        """Keep what REST told of a stream, as `keep` does a frame."""
        self._keep(content, {"rest": stream}, error_type, error, now)

    def collect(self) -> None:
        """Write what the letter box could not deliver into the files."""
        if self._letter_box is not None:
            for letter in self._letter_box.returned():
                if not self._file(letter):
                    self.kept_total -= 1
                    self.passed_over_total += 1

    def close(self) -> None:
        """See to the letters under way."""
        if self._letter_box is not None:
            self._letter_box.close()
            self.collect()

    def _keep(
        self, payload: bytes, source: dict[str, Any], error_type: str, error: str, now: float
    ) -> bool:
        if self._allowed(now):
            letter = _letter(payload, source, error_type, error)
            box = self._letter_box
            if (box is not None and box.post(letter)) or self._file(letter):
                self.kept_total += 1
                return True
        self.passed_over_total += 1
        return False

    def _file(self, letter: bytes) -> bool:
        try:
            self._write(letter + b"\n")
        except OSError as error:
            if not self._has_failed:  # once: the letter is counted in any case
                _log.warning("dead letters cannot be kept: %s", error)
            self._has_failed = True
            return False
        return True

    def _allowed(self, now: float) -> bool:
        if self._refilled_at is not None:
            refill = (now - self._refilled_at) * KEPT_PER_SECOND
            self._allowance = min(self._allowance + refill, KEPT_AT_ONCE)
        self._refilled_at = now
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True

    def _write(self, line: bytes) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        first = self._directory / "first.jsonl"
        path = first
        newest = self._directory / "newest.jsonl"
        if newest.exists() or _size(first) + len(line) > self._limit_bytes // 2:
            path = newest
            quarter = self._limit_bytes // 4
            if len(line) > quarter:
                raise OSError(f"sink.rejected_bytes leaves no room for {len(line)} bytes")
            if _size(path) + len(line) > quarter:
                path.replace(self._directory / "newest-before.jsonl")
        with path.open("ab") as file:
            file.write(line)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _letter(payload: bytes, source: dict[str, Any], error_type: str, error: str) -> bytes:
    entry: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(),
        **source,
        "error_type": error_type,
        "error": error,
        "payload_bytes": len(payload),
    }
    kept = payload[:PAYLOAD_LIMIT_BYTES]
    try:
        entry["text"] = kept.decode()
    except UnicodeDecodeError:
        entry["base64"] = base64.b64encode(kept).decode()
    return msgspec.json.encode(entry)
