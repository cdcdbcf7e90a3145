"""Keeps undecodable frames for inspection: the first ones and the newest ones, within a bound.

`DIRECTORY/rejected/first.jsonl` grows to half of the bound and then stays as it is, since the
first frame of its kind tells most. What comes later goes to `newest.jsonl`, which takes the place
of `newest-before.jsonl` when it holds a quarter. Each line is a JSON object: `time` (ISO 8601,
UTC), `connection_id`, `error_type`, `error`, `payload_bytes` (the true length) and the payload's
beginning as `text`, or as `base64` where it is no UTF-8.
"""

from __future__ import annotations

import base64
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from streamer.errors import FrameRejected

KEPT_PER_SECOND = 20.0  # each costs a write of some microseconds: a flood must not slow the feed
KEPT_AT_ONCE = 100.0
PAYLOAD_LIMIT_BYTES = 16 << 10  # the largest event is below 1 kB, a depth update some 10 kB

_log = logging.getLogger(__name__)


class RejectedFrames:
    """Writes frames that were rejected; what exceeds the rate is counted, not kept."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        """Keep at most `limit_bytes` in `directory`/rejected, which is made when it is needed."""
        self.kept_total = 0
        self.passed_over_total = 0
        self._directory = directory / "rejected"
        self._limit_bytes = limit_bytes
        self._allowance = KEPT_AT_ONCE
        self._refilled_at: float | None = None
        self._has_failed = False

    def keep(self, payload: bytes, rejected: FrameRejected, connection_id: int, now: float) -> bool:
        """Keep a frame if rate and disk allow, and tell whether it was. `now` is monotonic."""
        if self._allowed(now):
            try:
                self._write(_line(payload, rejected, connection_id))
            except OSError as error:
                if not self._has_failed:  # once: the frame is counted elsewhere in any case
                    _log.warning("rejected frames cannot be kept: %s", error)
                self._has_failed = True
            else:
                self.kept_total += 1
                return True
        self.passed_over_total += 1
        return False

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


def _line(payload: bytes, rejected: FrameRejected, connection_id: int) -> bytes:
    entry: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(),
        "connection_id": connection_id,
        "error_type": rejected.error_type,
        "error": str(rejected),
        "payload_bytes": len(payload),
    }
    kept = payload[:PAYLOAD_LIMIT_BYTES]
    try:
        entry["text"] = kept.decode()
    except UnicodeDecodeError:
        entry["base64"] = base64.b64encode(kept).decode()
    return msgspec.json.encode(entry) + b"\n"
