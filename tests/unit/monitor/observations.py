"""Observations with plausible values: a test names only what it is about."""

from __future__ import annotations

from typing import Any

import msgspec

from monitor.model import Launched, Reported, Sample
from streamer.messages import Report, SinkCounts, SlotState, StreamCounts

replace = msgspec.structs.replace
MIB = 1 << 20
NAME = "streamer-1"
EPOCH = 1_700_000_000.0


def launched(generation: int = 1, streamer: str = NAME) -> Launched:
    return Launched(streamer, generation, 4242, EPOCH)


def sample(at: float, rss_mib: float = 60.0, generation: int = 1, **changes: Any) -> Sample:
    values: dict[str, Any] = {
        "streamer": NAME,
        "generation": generation,
        "at": at,
        "time": EPOCH + at,
        "rss_bytes": round(rss_mib * MIB),
        "vms_bytes": 500 * MIB,
        "cpu_seconds": at * 0.01,
        "threads": 5,
        "open_files": 20,
    }
    return Sample(**values | changes)


def stream(
    events: int = 0,
    symbol: str = "BTCUSDT",
    kind: str = "trade",
    silent_seconds: float = 0.1,
    **changes: Any,
) -> Any:
    """Return the counts of a stream; `report` puts its silence before the time of the report."""
    values: dict[str, Any] = {
        "stream": kind,
        "symbol": symbol,
        "events_total": events,
        "duplicates_total": 0,
        "gaps_total": 0,
        "missing_total": 0,
        "last_id": events or None,
        "silent_since": -silent_seconds,
        "last_event_time": EPOCH,
    }
    return StreamCounts(**values | changes)


def slot(name: str = "slot-1", age: float | None = 100.0, **changes: Any) -> SlotState:
    values: dict[str, Any] = {
        "slot": name,
        "live": age is not None,
        "connection_id": 1,
        "age_seconds": age,
        "drops_total": 0,
        "last_pong_time": None,
    }
    return SlotState(**values | changes)


def report(sequence: int, generation: int = 1, **changes: Any) -> Report:
    values: dict[str, Any] = {
        "streamer": NAME,
        "generation": generation,
        "sequence": sequence,
        "pid": 4242,
        "time": EPOCH + sequence,
        "uptime_seconds": float(sequence),
        "state": "streaming",
        "streams": (stream(100 * sequence),),
        "slots": (slot(),),
        "sink": SinkCounts("files"),
    }
    whole = Report(**values | changes)
    return replace(whole, streams=tuple(_placed(one, whole) for one in whole.streams))


def _placed(one: StreamCounts, whole: Report) -> StreamCounts:
    return replace(one, silent_since=whole.uptime_seconds + one.silent_since)


def reported(at: float, **changes: Any) -> Reported:
    return Reported(at, report(**{"sequence": max(round(at), 1), **changes}))
