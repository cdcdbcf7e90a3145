"""The latest state in frozen form, for those who show it: live view, metrics, `/status`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monitor.counters import Key
from monitor.criteria import Criterion
from monitor.disk import DiskSpace
from monitor.events import Entry
from monitor.leak import Assessment
from monitor.load import Load
from monitor.model import Sample
from monitor.series import Bin
from monitor.stream_snapshots import StreamSnapshot
from streamer.connection_config import CONNECTION_DEFAULTS
from streamer.messages import Histogram, Report

__all__ = ["Snapshot", "StreamSnapshot", "StreamerSnapshot"]


@dataclass(frozen=True, slots=True)
class StreamerSnapshot:
    """One streamer; its latest generation, living or not."""

    name: str
    generation: int
    pid: int
    up: bool
    launched_time: float
    exit_code: int | None
    sample: Sample | None  # the latest look; its `time` says how old it is
    growth_bytes: float | None  # of the floor; before there is one, since the first sample
    leak: Assessment | None
    cpu_cores: float | None
    report: Report | None  # slots, sink and state as last told
    report_age_seconds: float | None
    streams: Sequence[StreamSnapshot]
    totals: Mapping[Key, int]  # by the keys of monitor.counters, over all generations
    unacknowledged_seconds: float = 0.0  # since the sink stored something; 0: nothing waits
    launched_elapsed_seconds: float = 0.0  # since the start of the run
    bins: tuple[Bin, ...] = ()  # memory of the living generation, complete ones
    bin_seconds: float = 60.0
    # Of the last 10 s; None: there were no two reports yet.
    recent_receive_latency: Histogram | None = None
    recent_acknowledge_latency: Histogram | None = None

    @property
    def streaming(self) -> bool:
        """Whether it is up and every slot has a live, subscribed connection.

        One without streams says by its state whether there may be none.
        """
        report = self.report
        return (
            self.up
            and report is not None
            and report.state == "streaming"
            and (bool(report.slots) or not report.streams)
            and all(slot.live for slot in report.slots)
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment."""

    time: float
    elapsed_seconds: float
    duration_seconds: float | None  # None in `run`
    profile: str | None
    memory_ceiling_bytes: int
    streamers: tuple[StreamerSnapshot, ...]
    totals: Mapping[Key, int]  # over all streamers
    events_per_second: float
    recent_events: tuple[Entry, ...]
    event_counts: Mapping[str, int]
    criteria: tuple[Criterion, ...]  # as they stand, once a minute; () in `run`
    actions: Mapping[tuple[str, str], int]  # (rule, action) -> how often
    named: frozenset[Key]  # stream and symbol of what is streamed now; `totals` hold more
    supervisor: Sample | None
    supervisor_cpu_cores: float | None
    started: float = 0.0  # Unix time of the supervisor's start
    stale_after_seconds: float = (
        CONNECTION_DEFAULTS.stale_after
    )  # connection.stale_after; 0: no silence is too long
    criteria_elapsed_seconds: float | None = None  # when `criteria` were judged
    restarts_remaining: Mapping[str, int] = field(default_factory=dict)  # by streamer
    telemetry_refused: Mapping[str, int] = field(default_factory=dict)  # messages, by why
    load: Load | None = None  # of the supervisor's loop
    disk: DiskSpace | None = None  # of sink.directory; None: not known
    # Through which the exchange's URLs are reached, by name, passwords masked; None: straight.
    proxies: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def connected(self) -> bool:
        """Whether every streamer has its live connections."""
        return bool(self.streamers) and all(one.streaming for one in self.streamers)
