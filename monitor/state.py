"""What is remembered between two decisions: per streamer, per process, per subject of a rule."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from monitor.leak import LeakDetector
from monitor.model import Launched, Mode, Sample
from monitor.rules import Rule
from monitor.series import Binner, Curve, DetectorFactory, LeakTrack
from monitor.soak_plans import DAY
from monitor.totals import EventTotal
from streamer.messages import Report

Subject = tuple[str, ...]
"""What a reading is about: () the process, (slot,), or (stream, symbol)."""

RATED_STREAMS = frozenset({"trade", "aggTrade"})
"""Streams that count for the message rate: book tickers would hide that trading data is absent."""

CPU_WINDOW_SECONDS = 60.0


@dataclass(slots=True)
class Ending:
    """How far the wish to end a process has gone; it only ever becomes harsher."""

    NONE = 0
    WHEN_QUIET = 1
    NOW = 2
    KILL = 3


@dataclass(slots=True)
class Child:
    """One generation of a streamer: everything here starts anew with the next one."""

    launched: Launched
    launched_at: float
    bins: Binner
    leak: LeakTrack
    report: Report | None = None
    report_at: float = 0.0
    sample: Sample | None = None
    cpu: deque[tuple[float, float]] = field(default_factory=deque)  # at, cumulative CPU seconds
    events: deque[tuple[float, int]] = field(default_factory=deque)  # at, rated events so far
    drops: dict[str, int] = field(default_factory=dict)  # by slot
    all_events: EventTotal = field(default_factory=EventTotal)
    rated_events: EventTotal = field(default_factory=lambda: EventTotal(RATED_STREAMS))
    ending: int = Ending.NONE
    breached_since: dict[tuple[str, Subject], float] = field(default_factory=dict)
    acted_at: dict[tuple[str, str, str], float] = field(default_factory=dict)
    repeats: dict[tuple[str, str, str], int] = field(default_factory=dict)
    rotation_asked_at: dict[str, float] = field(default_factory=dict)  # by slot


@dataclass(slots=True)
class State:
    """Owned by `decide`, which changes it in place: hand it in, use only what comes back.

    One for all streamers of a supervisor. `horizon_seconds` and `bin_seconds` are those of the
    soak's profile; without a planned end a day and a minute.
    """

    rules: tuple[Rule, ...]
    mode: Mode
    horizon_seconds: float = DAY
    bin_seconds: float = 60.0
    detector: DetectorFactory = LeakDetector
    reference: Curve | None = None  # memory of a known-good run
    children: dict[str, Child] = field(default_factory=dict)  # the living, by streamer
    drops: dict[str, deque[float]] = field(default_factory=dict)  # times; of all generations
    failed: set[str] = field(default_factory=set)  # rules that have marked the verdict
    aborted: bool = False  # a soak that was ended needs no further judgement
    last_event_at: float | None = None
    awake_since: float = 0.0  # when we last came back after not running ourselves

    def launch(self, launched: Launched, now: float) -> None:
        """Begin anew with a process."""
        self.children[launched.streamer] = Child(
            launched,
            now,
            Binner(self.bin_seconds),
            LeakTrack(self.bin_seconds, self.horizon_seconds, self.detector, self.reference),
        )

    def child(self, streamer: str, generation: int) -> Child | None:
        """Return the living process, or None when it is of a generation that is gone."""
        child = self.children.get(streamer)
        return child if child is not None and child.launched.generation == generation else None

    @property
    def rate_window_seconds(self) -> float:
        """The longest window that any rule needs of the message counts."""
        windows = [rule.for_seconds for rule in self.rules if rule.metric == "events_per_second"]
        return max(windows, default=0.0)


def remember_sample(child: Child, sample: Sample) -> None:
    """Take a sample into the windows of its process."""
    child.sample = sample
    child.cpu.append((sample.at, sample.cpu_seconds))
    while child.cpu[0][0] < sample.at - CPU_WINDOW_SECONDS:
        child.cpu.popleft()
    completed = child.bins.add(sample.at, sample.rss_bytes)
    if completed is not None:
        child.leak.add(completed)


def remember_collection(child: Child) -> None:
    """Note that the process was collected and trimmed just now."""
    if child.bins.open is not None:
        child.leak.collected(child.bins.open.index)


def remember_report(state: State, child: Child, report: Report, at: float) -> bool:
    """Take a report into the windows; return False when it is older than what is known."""
    if child.report is not None and report.sequence <= child.report.sequence:
        return False
    child.report, child.report_at = report, at
    child.bins.messages_total = child.all_events.take(report)
    rated = child.rated_events.take(report)
    child.bins.rotations_total = sum(report.rotations.values())
    if any(one.stream in RATED_STREAMS for one in report.streams):
        child.events.append((at, rated))
        window = state.rate_window_seconds
        # One entry older than the window stays: the mean needs its far end.
        while len(child.events) > 2 and child.events[1][0] <= at - window:
            child.events.popleft()
    else:
        child.events.clear()  # none are wanted any more: what came before is no rate of now
    drops = state.drops.setdefault(report.streamer, deque())
    for slot in report.slots:  # each by itself: a slot that was closed tells no more
        known = child.drops.get(slot.slot, 0)
        drops.extend([at] * max(slot.drops_total - known, 0))
        child.drops[slot.slot] = max(slot.drops_total, known)
    while drops and drops[0] <= at - DAY:
        drops.popleft()
    return True
