"""What judging remembers between two decisions: per streamer, process and subject of a rule."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import repeat

from monitor.generation import Generation
from monitor.ledger import Ledger
from monitor.model import Mode
from monitor.rules import Rule
from monitor.soak_plans import DAY
from monitor.totals import EventTotal
from streamer.messages import Report

Subject = tuple[str, ...]
"""What a reading is about: () the process, (slot,), or (stream, symbol)."""

RATED_STREAMS = frozenset({"trade", "aggTrade"})
"""Streams that count for the message rate: book tickers would hide that trading data is absent."""


DROPS_KEPT = 100_000
"""Nobody may connect more often in a day, whatever a report says."""


class Ending(IntEnum):
    """How far the wish to end a process has gone; it only ever becomes harsher."""

    NONE = 0
    WHEN_QUIET = 1
    NOW = 2
    KILL = 3


@dataclass(slots=True)
class Child:
    """What judging one process remembers: all of it starts anew with the next one."""

    process: Generation
    events: deque[tuple[float, int]] = field(default_factory=deque)  # at, rated events so far
    rated_events: EventTotal = field(default_factory=lambda: EventTotal(RATED_STREAMS))
    drops_total: int = 0  # of its slots, as counted in `State.drops`
    excused_at: float = float("-inf")  # silence counts from here: we did not run until then
    ending: Ending = Ending.NONE
    breached_since: dict[tuple[str, Subject], float] = field(default_factory=dict)
    acted_at: dict[tuple[str, str, str], float] = field(default_factory=dict)
    repeats: dict[tuple[str, str, str], int] = field(default_factory=dict)
    rotation_asked_at: dict[str, float] = field(default_factory=dict)  # by slot


@dataclass(slots=True)
class State:
    """Owned by `decide`, which changes it in place: hand it in, use only what comes back.

    One for all streamers of a supervisor.
    """

    rules: tuple[Rule, ...]
    mode: Mode
    ledger: Ledger  # takes every event first
    children: dict[str, Child] = field(default_factory=dict)  # the living, by streamer
    drops: dict[str, deque[float]] = field(default_factory=dict)  # times; of all generations
    failed: set[str] = field(default_factory=set)  # rules that have marked the verdict
    aborted: bool = False  # a soak that was ended needs no further judgement
    last_event_at: float | None = None

    def child(self, streamer: str, generation: int) -> Child | None:
        """Return the living process, or None when it is of a generation that is gone."""
        child = self.children.get(streamer)
        return child if child and child.process.launched.generation == generation else None

    @property
    def rate_window_seconds(self) -> float:
        """The longest window that any rule needs of the message counts."""
        windows = [rule.for_seconds for rule in self.rules if rule.metric == "events_per_second"]
        return max(windows, default=0.0)


def remember_report(state: State, child: Child, report: Report, at: float) -> None:
    """Take a newer report into the windows of the rules."""
    rated = child.rated_events.take(child.process.stream_changes)
    if any(one.stream in RATED_STREAMS for one in report.streams):
        child.events.append((at, rated))
        window = state.rate_window_seconds
        # One entry older than the window stays: the mean needs its far end.
        while len(child.events) > 2 and child.events[1][0] <= at - window:
            child.events.popleft()
    else:
        child.events.clear()  # none are expected any more: what came before is no rate of now
    drops = state.drops.setdefault(report.streamer, deque(maxlen=DROPS_KEPT))
    drops.extend(repeat(at, min(child.process.drops_total - child.drops_total, DROPS_KEPT)))
    child.drops_total = child.process.drops_total
    while drops and drops[0] <= at - DAY:
        drops.popleft()
