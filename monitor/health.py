"""Is it streaming and storing? What `/readyz` says, and how fresh each stream is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from monitor.snapshot import Snapshot, StreamerSnapshot
from streamer.messages import StreamCounts

STORED_WITHIN_SECONDS: Final = 30.0
"""Records wait this long for an acknowledgement before a sink counts as one that stores nothing.

Files acknowledge every second; Kafka within milliseconds, or 20 s over a change of leaders.
"""

DOUBT_FACTOR: Final = 2.0
"""A silence about which REST tells nothing is held for a fault once it is this much longer."""

NAMED_STREAMS: Final = 5  # in a sentence; `binance_stream_silent_seconds` has all of them


def is_fresh(one: StreamCounts, silent_seconds: float, limit_seconds: float, live: bool) -> bool:
    """Return whether a stream is up to date: heard of lately, or without news at the exchange.

    `limit_seconds` is `connection.stale_after`; 0: no silence is too long. `live` tells whether a
    connection serves the stream.
    """
    if not limit_seconds or silent_seconds < limit_seconds or one.silence == "quiet":
        return True
    if one.silence == "unconfirmed" and live:  # REST is being asked; a market may just be quiet
        return silent_seconds < DOUBT_FACTOR * limit_seconds
    return False


def freshness(streamer: StreamerSnapshot, limit_seconds: float) -> Mapping[tuple[str, str], bool]:
    """Return by stream and symbol whether each wanted one is fresh, by the latest report."""
    if streamer.report is None:
        return {}
    # What a process that reports no more had is as old as its last report, and older by that.
    late = streamer.report_age_seconds or 0.0
    live = {slot.slot: slot.live and streamer.up for slot in streamer.report.slots}
    return {
        (one.stream, one.symbol): is_fresh(
            one,
            one.silent_seconds + late,
            limit_seconds,
            live.get(one.slot, True) if one.slot is not None else all(live.values()),
        )
        for one in streamer.report.streams
        if not one.leaving
    }


def obstacles(snapshot: Snapshot) -> tuple[str, ...]:
    """Return why it is not ready, a sentence each; none: it streams and stores everything."""
    if not snapshot.streamers:
        return ("no streamer was launched yet",)
    return tuple(why for one in snapshot.streamers for why in _obstacles(one, snapshot))


def _obstacles(one: StreamerSnapshot, snapshot: Snapshot) -> Iterator[str]:
    if not one.up:
        yield f"{one.name}: its process is not running"
        return
    if one.report is None:
        yield f"{one.name}: has not reported yet"
        return
    if not one.streaming:
        down = [slot.slot for slot in one.report.slots if not slot.live]
        which = f", no live connection in {', '.join(down)}" if down else ""
        yield f"{one.name}: is {one.report.state}{which}"
    if not one.report.sink.opened:
        yield (
            f"{one.name}: nothing is stored for good: what the sink writes to has not answered "
            f"since the start, {one.report.sink.queued} records wait on disk"
        )
    elif one.unacknowledged_seconds > STORED_WITHIN_SECONDS:
        yield (
            f"{one.name}: nothing is stored: {one.report.sink.queued} records wait, and the sink "
            f"acknowledged none for {one.unacknowledged_seconds:.0f} s"
        )
    fresh = freshness(one, snapshot.stale_after_seconds)
    silent = sorted(f"{symbol} {stream}" for (stream, symbol), good in fresh.items() if not good)
    if silent:
        more = f" and {len(silent) - NAMED_STREAMS} more" if len(silent) > NAMED_STREAMS else ""
        yield f"{one.name}: silent: {', '.join(silent[:NAMED_STREAMS])}{more}"
