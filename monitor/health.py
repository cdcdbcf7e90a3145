"""Is it streaming and storing? What `/readyz` says, and how fresh each stream is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from monitor.rules import HEARTBEAT_SECONDS
from monitor.snapshot import Snapshot, StreamerSnapshot
from streamer.messages import StreamCounts

STORED_WITHIN_SECONDS: Final = 30.0
"""Records wait this long for an acknowledgement before a sink counts as one that stores nothing.

Files acknowledge every second; Kafka within milliseconds, or 20 s over a change of leaders.
"""

DOUBT_FACTOR: Final = 2.0
"""A silence about which REST tells nothing is held for a fault once it is this much longer."""

UNAVAILABLE: Final = {
    "unknown_symbol": "the exchange does not know the symbol of",
    "refused": "the exchange refuses the subscription of",
}

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
    """Return by stream and symbol whether each one is fresh, by the latest report.

    One that leaves is not among them, nor one that the exchange does not serve: there is nothing to
    be had of it, which `unavailable` tells.
    """
    if streamer.report is None:
        return {}
    # What a process that reports no more had is as old as its last report, and older by that.
    late = streamer.report_age_seconds or 0.0
    live = {slot.slot: slot.live and streamer.up for slot in streamer.report.slots}
    return {
        (one.stream, one.symbol): is_fresh(
            one,
            streamer.report.silent_seconds(one) + late,
            limit_seconds,
            live.get(one.slot, True) if one.slot is not None else all(live.values()),
        )
        for one in streamer.report.streams
        if not one.leaving and not one.unavailable
    }


def unavailable(streamer: StreamerSnapshot) -> Mapping[tuple[str, str], str]:
    """Return why the exchange does not serve a wanted stream, by stream and symbol."""
    if streamer.report is None:
        return {}
    return {
        (one.stream, one.symbol): one.unavailable
        for one in streamer.report.streams
        if one.unavailable and not one.leaving
    }


def warnings(snapshot: Snapshot) -> tuple[str, ...]:
    """Return what is wrong though the rest is well, a sentence each: people have to see to it."""
    found = []
    if snapshot.load is not None and snapshot.load.is_overloaded:
        found.append(f"the supervisor is overloaded: {snapshot.load}")
    for one in snapshot.streamers:
        by_reason: dict[str, list[str]] = {}
        for (stream, symbol), reason in unavailable(one).items():
            by_reason.setdefault(reason, []).append(f"{symbol} {stream}")
        found += [
            f"{one.name}: {UNAVAILABLE.get(reason, reason)}: {_named(names)}"
            for reason, names in sorted(by_reason.items())
        ]
    return tuple(found)


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
    age_seconds = one.report_age_seconds or 0.0
    if age_seconds > HEARTBEAT_SECONDS:
        yield f"{one.name}: has not reported for {age_seconds:.0f} s"
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
    silent = [f"{symbol} {stream}" for (stream, symbol), good in fresh.items() if not good]
    if silent:
        yield f"{one.name}: silent: {_named(silent)}"
    if not fresh and unavailable(one):
        yield f"{one.name}: the exchange serves none of its streams"


def _named(names: list[str]) -> str:
    """Return names for a sentence: the first ones, and how many more there are."""
    more = f" and {len(names) - NAMED_STREAMS} more" if len(names) > NAMED_STREAMS else ""
    return f"{', '.join(sorted(names)[:NAMED_STREAMS])}{more}"
