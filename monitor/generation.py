"""The record of one process of a streamer, from its launch to its exit."""

from __future__ import annotations

from collections import deque
from collections.abc import MutableSequence
from dataclasses import dataclass, field
from operator import sub

from monitor.growth import Growth, growth
from monitor.memory_parts import (
    TOLD_WITHIN_SECONDS,
    MemoryRecord,
    accounts_for_all,
    explained_bytes,
)
from monitor.model import Collected, Exited, Launched, Sample
from monitor.series import Bin, Binner, Collection, LeakTrack
from monitor.stream_changes import NO_CHANGES, StreamChanges, changes
from monitor.totals import EventTotal
from streamer.messages import Histogram, Notice, Report, StreamCounts

RATE_SECONDS = 10.0  # the rates of the live view are means over this time
CPU_WINDOW_SECONDS = 60.0  # of the rule about CPU


@dataclass(slots=True)
class Generation:
    """What was seen of one process. All times are monotonic, as those of the events are."""

    launched: Launched
    launched_at: float
    binner: Binner
    leak: LeakTrack
    bins: MutableSequence[Bin]
    max_age_seconds: float
    sample: Sample | None = None
    first_rss_bytes: int | None = None
    peak_rss_bytes: int = 0
    report: Report | None = None
    report_at: float = 0.0
    stored_at: float = 0.0  # when the sink acknowledged something last, or nothing waited
    reports_total: int = 0
    longest_report_gap_seconds: float = 0.0
    oldest_connection_seconds: float = 0.0
    rotations_due: int = 0
    rotations_lost: int = 0  # connections at their age that were lost, or given up with their slot
    rotations_total: int = 0
    drops: dict[str, int] = field(default_factory=dict)  # by slot
    all_events: EventTotal = field(default_factory=EventTotal)
    cpu_seconds_before: float = 0.0  # cumulative, of the sample before the latest
    fresh_notices: tuple[Notice, ...] = ()  # those that the latest report brought
    fresh_collection: Collection | None = None  # whose effect the latest sample showed
    stream_changes: StreamChanges = NO_CHANGES  # those that the latest report brought
    collected: Collected | None = None  # the latest
    memory: MemoryRecord = field(default_factory=MemoryRecord)  # what holds it, as was told
    exited: Exited | None = None
    exited_at: float | None = None
    recent: deque[tuple[float, Report]] = field(default_factory=deque)
    recent_events: deque[tuple[float, int]] = field(default_factory=deque)  # of all streams so far
    recent_cpu: deque[tuple[float, float]] = field(default_factory=deque)
    _grown: Growth | None = None  # over the bins so far, once it was asked for
    # The connection over age and the drops until then, by slot.
    _due: dict[str, tuple[int | None, int]] = field(default_factory=dict)
    _notices: int = 0  # number of the last one seen
    # The longest that are over, by stream and symbol.
    _silences: dict[tuple[str, str], float] = field(default_factory=dict)

    def take_sample(self, sample: Sample) -> None:
        """Keep a look from outside."""
        self.cpu_seconds_before = self.sample.cpu_seconds if self.sample else 0.0
        self.sample = sample
        self.fresh_collection = None
        if self.first_rss_bytes is None:
            self.first_rss_bytes = sample.rss_bytes
        self.peak_rss_bytes = max(self.peak_rss_bytes, sample.rss_bytes)
        self.recent_cpu.append((sample.at, sample.cpu_seconds))
        while self.recent_cpu[0][0] < sample.at - CPU_WINDOW_SECONDS:
            self.recent_cpu.popleft()
        completed = self.binner.add(sample.at, sample.rss_bytes, self._explained(sample))
        if completed is None:
            return
        before = self.leak.collections[-1] if self.leak.collections else None
        self.bins.append(completed)
        self.leak.add(completed)
        self._grown = None
        after = self.leak.collections[-1] if self.leak.collections else None
        self.fresh_collection = after if after != before else None

    def take_collection(self, collected: Collected) -> None:
        """Keep that the process was collected and trimmed; the effect shows later."""
        self.collected = collected
        if self.binner.open is not None:
            self.leak.collected(self.binner.open.index)

    def take_report(self, report: Report, at: float) -> bool:
        """Keep a report; return False when it is older than what is known."""
        before = self.report
        if before is not None:
            if report.sequence <= before.sequence:
                return False
            # By the streamer's own clock: a pause of ours delays reports, and a long one loses some
            # that were made, which their numbers tell.
            made = report.sequence - before.sequence
            gap = (report.uptime_seconds - before.uptime_seconds) / made
            if report.state not in ("draining", "stopped"):  # a flush has its own deadline
                self.longest_report_gap_seconds = max(self.longest_report_gap_seconds, gap)
        sink, known = report.sink, before.sink if before else None
        # The first report counts as well: what waits since before was the process before it.
        if known is None or not sink.queued or sink.acknowledged_total > known.acknowledged_total:
            self.stored_at = at
        if before is None:
            self.leak.accounts_for_all = accounts_for_all(report.memory)
        self.report, self.report_at = report, at
        self.reports_total += 1
        _keep(self.recent, at, report)
        self.stream_changes = changes(before.streams if before else (), report.streams)
        self.binner.messages_total = self.all_events.take(self.stream_changes)
        _keep(self.recent_events, at, self.binner.messages_total)
        self.rotations_total = max(self.rotations_total, sum(report.rotations.values()))
        self.binner.rotations_total = sum(report.rotations.values())
        self.memory.take(report.memory, report.uptime_seconds)
        self._take_slots(report)
        if before is not None:
            # A silence that goes on is known by its beginning: only one that is over is noted.
            over = [known for known, _ in self.stream_changes.changed if known is not None]
            for one in (*over, *self.stream_changes.removed):
                self._note_silence(one, before)
        fresh = tuple(notice for notice in report.notices if notice.number > self._notices)
        if fresh:
            self._notices = fresh[-1].number
        self.fresh_notices = fresh
        return True

    def take_exit(self, exited: Exited, now: float) -> None:
        """Keep the end; a process that fell silent before it did so until now."""
        self.exited, self.exited_at = exited, now
        if self.report is not None and not self.report.final and not exited.expected:
            silent = now - self.report_at
            self.longest_report_gap_seconds = max(self.longest_report_gap_seconds, silent)

    def _explained(self, sample: Sample) -> int | None:
        """Return how much of a sample the process accounts for; None: it has not told of late."""
        if self.report is None or sample.at - self.report_at > TOLD_WITHIN_SECONDS:
            return None
        return explained_bytes(self.report.memory, sample.rss_bytes)

    def _take_slots(self, report: Report) -> None:
        for slot in report.slots:
            self.drops[slot.slot] = max(self.drops.get(slot.slot, 0), slot.drops_total)
            age = slot.age_seconds
            if age is not None:
                self.oldest_connection_seconds = max(self.oldest_connection_seconds, age)
        self._take_ends(report)
        for slot in report.slots:
            if slot.slot not in self._due and (slot.age_seconds or 0.0) >= self.max_age_seconds:
                self._due[slot.slot] = slot.connection_id, slot.drops_total
                self.rotations_due += 1

    def _take_ends(self, report: Report) -> None:
        """Forget connections over age that are gone; note whether they were lost."""
        slots = {slot.slot: slot for slot in report.slots}
        for name, (connection, drops) in list(self._due.items()):
            slot = slots.get(name)
            if slot is not None and slot.connection_id == connection:
                continue
            del self._due[name]
            self.rotations_lost += slot is None or slot.drops_total > drops

    def _note_silence(self, one: StreamCounts, report: Report) -> None:
        if not one.leaving:
            key = (one.stream, one.symbol)
            seconds = report.silent_seconds(one)
            if seconds > self._silences.get(key, 0.0):
                self._silences[key] = seconds

    @property
    def silences(self) -> dict[str, float]:
        """The longest silence of each stream in seconds, by names such as `trade:BTCUSDT`."""
        found = dict(self._silences)
        for one in self.report.streams if self.report is not None else ():
            if not one.leaving and self.report is not None:
                key = (one.stream, one.symbol)
                found[key] = max(found.get(key, 0.0), self.report.silent_seconds(one))
        return {f"{stream}:{symbol}": seconds for (stream, symbol), seconds in found.items()}

    @property
    def drops_total(self) -> int:
        """Ends of live connections outside the plan, those of closed slots included."""
        return sum(self.drops.values())

    @property
    def rotations_pending(self) -> int:
        """How many connections that reached their age still serve."""
        return len(self._due)

    @property
    def grown(self) -> Growth | None:
        """Growth of memory over the bins so far, None while there are too few."""
        if self._grown is None:
            self._grown = growth(self.bins, self.binner.bin_seconds)
        return self._grown

    @property
    def up(self) -> bool:
        """Whether the process has not ended."""
        return self.exited is None

    def cpu_cores(self, window_seconds: float = RATE_SECONDS) -> float | None:
        """Return the cores used over the last seconds; None: seen only once yet."""
        if len(self.recent_cpu) < 2:
            return None
        last_at, last = self.recent_cpu[-1]
        # One entry older than the window counts as well: the mean needs its far end.
        first_at, first = self.recent_cpu[0]
        for at, total in self.recent_cpu:
            if at > last_at - window_seconds and first_at != last_at:
                break
            first_at, first = at, total
        return (last - first) / (last_at - first_at) if last_at > first_at else None

    def recent_latencies(self) -> tuple[Histogram, Histogram] | None:
        """Return reception and acknowledgement over the last seconds; None: no two reports yet."""
        if len(self.recent) < 2:
            return None
        first, last = self.recent[0][1], self.recent[-1][1]
        return (
            _since(first.receive_latency, last.receive_latency),
            _since(first.sink.acknowledge_seconds, last.sink.acknowledge_seconds),
        )

    def events_per_second(self) -> float:
        """Return the events per second of all streams over the last seconds."""
        if not self.recent_events:
            return 0.0
        (first_at, first), (last_at, last) = self.recent_events[0], self.recent_events[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0


def _since(first: Histogram, last: Histogram) -> Histogram:
    counts = tuple(map(sub, last.counts, first.counts))
    return Histogram(counts, last.sum_seconds - first.sum_seconds)


def _keep(series: deque, at: float, value: object) -> None:  # type: ignore[type-arg]
    series.append((at, value))
    while len(series) > 2 and series[1][0] <= at - RATE_SECONDS:
        series.popleft()
