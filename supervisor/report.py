"""What people read: one line of state, the plain report of a run, the final block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monitor.criteria import Criterion
from monitor.online import Change
from monitor.report.text import amount
from monitor.snapshot import Snapshot, StreamerSnapshot
from monitor.verdict import Verdict
from streamer.messages import GroupShards
from supervisor.errors import ExitCode

MEBIBYTE = 1 << 20
CLOCK_OFFSET_SECONDS = 1.0  # from which on it is worth a line, as it is worth an alert
_RULE = "─" * 76
BY_OUTCOME = {
    "pass": ExitCode.PASS,
    "fail": ExitCode.VERDICT_FAIL,
    "inconclusive": ExitCode.VERDICT_INCONCLUSIVE,
}


def exit_code_of(verdict: Verdict) -> ExitCode:
    """Return the exit code of a verdict."""
    return BY_OUTCOME[verdict.outcome]


def clock(seconds: float) -> str:
    """Return a duration as H:MM:SS."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def mebibytes(count: float | None, *, signed: bool = False) -> str:
    """Return a size in MiB; a dash when it is not known."""
    if count is None:
        return "–"
    return f"{count / MEBIBYTE:{'+' if signed else ''}.1f} MiB"


def connection_state(streamer: StreamerSnapshot) -> str:
    """Return what the connections of a streamer do, in words."""
    if not streamer.up or streamer.report is None:
        return "starting" if streamer.up else "down"
    slots = streamer.report.slots
    live = sum(slot.live for slot in slots)
    rotating = ", rotating" if any(slot.rotating for slot in slots) else ""
    return f"{streamer.report.state}, {live} of {len(slots)} connections live{rotating}"


def shards_text(shards: GroupShards) -> str:
    """Return which shards of its group a member records."""
    numbers = f": {', '.join(map(str, shards.recorded))}" if shards.recorded else ""
    return f"{shards.group}, {len(shards.recorded)} of {shards.count} shards{numbers}"


def events_total(snapshot: Snapshot) -> int:
    """Return the unique events of all streams."""
    return sum(one.events_total for streamer in snapshot.streamers for one in streamer.streams)


def status_line(snapshot: Snapshot) -> str:
    """Return the state in one line, as `systemctl status` shows it."""
    live = sum(streamer.streaming for streamer in snapshot.streamers)
    rss = max((one.sample.rss_bytes for one in snapshot.streamers if one.sample), default=None)
    return (
        f"{live} of {len(snapshot.streamers)} streaming, "
        f"{snapshot.events_per_second:,.1f} msg/s, RSS {mebibytes(rss)}, "
        f"up {clock(snapshot.elapsed_seconds)}"
    )


def plain_report(snapshot: Snapshot) -> str:
    """Return the report that goes into a log every few minutes."""
    of = f" of {clock(snapshot.duration_seconds)}" if snapshot.duration_seconds else ""
    lines = [
        f"elapsed      {clock(snapshot.elapsed_seconds)}{of}",
        f"messages     {events_total(snapshot):,} in total, {snapshot.events_per_second:,.1f}/s",
    ]
    for streamer in snapshot.streamers:
        sample = streamer.sample
        lines += [
            f"{streamer.name} (generation {streamer.generation}, pid {streamer.pid})",
            f"  RSS        {mebibytes(sample.rss_bytes if sample else None)}"
            f" (ceiling {mebibytes(snapshot.memory_ceiling_bytes)})",
            f"  VMS        {mebibytes(sample.vms_bytes if sample else None)}",
            f"  growth     {mebibytes(streamer.growth_bytes, signed=True)}",
            f"  connection {connection_state(streamer)}",
        ]
        if streamer.report:
            lines.append(f"  encoder    {streamer.report.encoder}")
            if (shards := streamer.report.shards) is not None:
                lines.append(f"  group      {shards_text(shards)}")
        offset = streamer.report.clock_offset_seconds if streamer.report else None
        if offset is not None and abs(offset) > CLOCK_OFFSET_SECONDS:
            side = "behind" if offset > 0 else "ahead of"
            lines.append(f"  clock      {abs(offset):,.1f} s {side} the exchange's")
        if streamer.streams:
            absent = sum(one.unavailable is not None for one in streamer.streams)
            worst = max(streamer.streams, key=lambda one: one.silent_seconds)
            lines.append(
                f"  streams    {len(streamer.streams):,}, longest silence "
                f"{worst.silent_seconds:.1f} s ({worst.stream} {worst.symbol})"
                + (f", {absent:,} not served by the exchange" if absent else "")
            )
    return "\n".join(lines)


def stream_table(rows: Sequence[Mapping[str, Any]], shown: int | None) -> str:
    """Return streams of `/status` as a table, the worst first; at most `shown`."""
    worst = sorted(rows, key=lambda row: (row["state"] != "stale", -row["silent_seconds"]))
    lines = [f"{'stream':<12} {'symbol':<12} {'events':>14} {'rate':>12} {'silent':>12}"]
    lines += [
        f"{row['stream']:<12} {row['symbol']:<12} {row['events_total']:>14,} "
        f"{row['per_second']:>10,.1f}/s {row['silent_seconds']:>10,.1f} s{_state(row)}"
        for row in worst[:shown]
    ]
    if shown is not None and len(rows) > shown:
        states = Counter(row["state"] for row in rows)
        lines.append(
            f"… {len(rows) - shown:,} more, which were silent for less time (--all); of "
            f"{len(rows):,}: {', '.join(f'{n:,} {state}' for state, n in sorted(states.items()))}"
        )
    return "\n".join(lines)


def _state(row: Mapping[str, Any]) -> str:
    return f"  {row['unavailable']}" if row.get("unavailable") else ""


def verdict_block(verdict: Verdict, path: Path) -> str:
    """Return the final block: each criterion with what was observed, its limit and outcome."""
    lines = [_RULE, f"{'criterion':<24} {'observed':>16} {'limit':>16}  outcome", _RULE]
    for criterion in verdict.criteria:
        lines.append(
            f"{criterion.name:<24} {amount(criterion.observed, criterion.unit):>16} "
            f"{amount(criterion.limit, criterion.unit):>16}  {_outcome(criterion)}"
        )
        told_only = criterion.limit is None  # its reason is all there is to it
        if criterion.reason and (criterion.outcome != "pass" or told_only):
            lines.append(f"    {criterion.reason}")
    lines += [_RULE, f"verdict: {verdict.outcome}", f"profile: {path}", _RULE]
    return "\n".join(lines)


def change_line(change: Change) -> str:
    """Return a change of what could be said during a run: when, how it stood, what and why."""
    score = "–" if change.leak_score is None else f"{change.leak_score:.2f}"
    at = clock(change.elapsed_seconds)
    return f"{at:>9}  {change.outcome:<12}  leak score {score:>4}  {change.what}"


def _outcome(criterion: Criterion) -> str:
    return criterion.outcome if criterion.required else f"{criterion.outcome} (informational)"
