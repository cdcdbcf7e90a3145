"""Gathers what is observed and done: the profile of a soak, or the last day of a service.

In a soak everything is kept for the document (events in bounded number). In `run` the same
recorder keeps a rolling window, so that memory stays the same over months.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, MutableSequence, Sequence
from typing import Any, Literal, assert_never

from monitor.counters import Counters, Key
from monitor.criteria import Criterion
from monitor.document import Run, as_document
from monitor.events import Entry, EventLog
from monitor.generation import Generation
from monitor.ledger import Ledger
from monitor.model import (
    Abort,
    Action,
    Collect,
    Collected,
    Event,
    Exited,
    Fail,
    Launched,
    Reported,
    Restart,
    Rotate,
    Sample,
    Tick,
    Warn,
)
from monitor.reference import Reference
from monitor.resume import Resumed
from monitor.rows import Interval, events_of, row
from monitor.segments import joined
from monitor.snapshot import Snapshot, StreamerSnapshot, StreamSnapshot
from monitor.soak_plans import PROFILES, SoakPlan
from monitor.stream_snapshots import StreamSnapshots
from monitor.verdict import judge
from streamer.connection_config import CONNECTION_DEFAULTS
from streamer.messages import Report

Ended = Literal["completed", "stopped", "aborted", "streamer_ended", "error"]
"""How a run ended: at its time, by a person, by a rule, by its streamer, by a fault of ours."""

ROLLING_ROWS = 1440  # a day of minutes
RECENT_EVENTS = 50
CRITERIA_EVERY_SECONDS = 60.0  # judging a day's document takes some 20 ms


class Recorder:
    """Writes down what the ledger shows after each event; owned by one thread.

    `settings_summary` goes into the document as it is. Of it are used: `symbols` and `streams`
    (lists of names), `stale_after_seconds`.
    """

    def __init__(
        self,
        ledger: Ledger,
        profile: SoakPlan | None,
        settings_summary: Mapping[str, Any],
        environment: Mapping[str, Any],
        started_time: float,
        started_at: float,
        reference: Reference | None = None,
        earlier: Resumed | None = None,
    ) -> None:
        """`earlier` is the part of a soak that was done before an interruption."""
        self._earlier = earlier
        self._rolling = profile is None
        self._limits = profile or PROFILES["24h"]
        self._stale_after = float(
            settings_summary.get("stale_after_seconds", CONNECTION_DEFAULTS.stale_after)
        )
        self._proxies: Mapping[str, str | None] = settings_summary.get("proxies", {})
        self._ledger = ledger
        self._started_at = started_at
        self._counters = Counters()
        self._events = EventLog(first_kept=0) if self._rolling else EventLog()
        self._interval = Interval()
        self._row_at = 0.0  # elapsed seconds of the latest row
        self._own: Sample | None = None
        self._own_cpu: deque[tuple[float, float]] = deque(maxlen=60)
        self._criteria: tuple[Criterion, ...] = ()
        self._criteria_at: float | None = None
        rows: MutableSequence[dict[str, Any]] = deque(maxlen=ROLLING_ROWS) if self._rolling else []
        self._run = Run(
            profile=profile,
            settings=dict(settings_summary),
            environment=dict(environment),
            started_time=started_time,
            rows=rows,
            streamers=ledger.generations,
            started_at=started_at,
            reference=reference,
        )

    def observe(self, event: Event, now: float, time: float | None = None) -> None:
        """Take an event that the ledger has taken just before."""
        match event:
            case Launched():
                self._launched(event, now)
            case Sample():
                self._sampled(event, now)
            case Reported():
                self._reported(event.report, now)
            case Exited():
                self._exited(event, now)
            case Collected() | Tick():
                pass
            case _:
                assert_never(event)
        if self._run.ended is None:
            self._close_interval(now, self._wall(now) if time is None else time)

    def own(self, sample: Sample) -> None:
        """Take a sample of the supervisor itself."""
        self._interval.add_own(sample)
        self._own = sample
        self._own_cpu.append((sample.at, sample.cpu_seconds))

    def acted(self, action: Action, now: float, time: float) -> None:
        """Keep an action, at the time it was begun."""
        breach = action.breach
        kind = _action_name(action)
        first = self._run.actions.setdefault((breach.rule, kind), (self._elapsed(now), breach))
        self._run.action_counts[breach.rule, kind] += 1
        detail: dict[str, Any] = {
            "action": kind,
            "rule": breach.rule,
            "observed": breach.observed,
            "limit": breach.limit,
            "message": breach.message,
            "first_elapsed_seconds": round(first[0], 3),
        }
        for name in ("slot", "stream", "symbol"):
            if getattr(breach, name) is not None:
                detail[name] = getattr(breach, name)
        self._add("action", detail, now, time, breach.streamer, breach.generation)

    def note(
        self, kind: str, detail: Mapping[str, Any], time: float, streamer: str | None = None
    ) -> None:
        """Keep something that the supervisor saw of itself, such as that it is overloaded."""
        elapsed = time - self._run.started_time
        self._events.add(Entry(elapsed, time, kind, dict(detail), streamer))

    def ended(self, reason: Ended, now: float, time: float) -> None:
        """Close the record: the run is over."""
        if self._run.ended is None:
            self._run.ended = reason
            self._run.ended_elapsed = self._elapsed(now)
            self._write_row(now, time)

    def document(self, now: float, time: float) -> dict[str, Any]:
        """Return the profile document so far; `verdict.concluded` adds the verdict."""
        document = as_document(self._run, self._events, self._counters, self._elapsed(now), time)
        return document if self._earlier is None else joined(self._earlier.document, document)

    def snapshot(self, now: float, time: float) -> Snapshot:
        """Return the latest state."""
        profile = self._run.profile
        if profile is not None and (
            self._criteria_at is None or now - self._criteria_at >= CRITERIA_EVERY_SECONDS
        ):
            self._criteria_at = now
            # The recorded scores: a replay of the whole run each minute would be too much.
            self._criteria = judge(self.document(now, time), detector=None).criteria
        streamers = tuple(
            self._streamer(name, generations[-1], now)
            for name, generations in self._ledger.generations.items()
        )
        return Snapshot(
            time=time,
            elapsed_seconds=self._shift + self._elapsed(now),
            duration_seconds=profile.duration_seconds if profile else None,
            profile=profile.name if profile else None,
            memory_ceiling_bytes=self._limits.memory_ceiling_bytes,
            streamers=streamers,
            totals=self._counters.all(),
            events_per_second=sum(
                generations[-1].events_per_second()
                for generations in self._ledger.generations.values()
                if generations[-1].up
            ),
            recent_events=self._events.latest(RECENT_EVENTS),
            event_counts=dict(self._events.counts),
            criteria=self._criteria,
            actions=dict(self._run.action_counts),
            named=self._counters.named(),
            supervisor=self._own,
            supervisor_cpu_cores=self._own_cores(),
            started=self._run.started_time,
            stale_after_seconds=self._stale_after,
            proxies=self._proxies,
            criteria_elapsed_seconds=(
                None if self._criteria_at is None else self._elapsed(self._criteria_at)
            ),
        )

    # Events ------------------------------------------------------------------------------------

    def _launched(self, event: Launched, now: float) -> None:
        detail = {"pid": event.pid}
        self._add("launched", detail, now, event.time, event.streamer, event.generation)

    def _sampled(self, sample: Sample, now: float) -> None:
        generation = self._ledger.find(sample.streamer, sample.generation)
        if generation is None:
            return
        self._interval.add(sample, generation.cpu_seconds_before)
        collection = generation.fresh_collection
        if collection is not None and generation.collected is not None:
            detail = {
                "before_bytes": collection.before_bytes,
                "after_bytes": collection.after_bytes,
                "objects": generation.collected.objects,
                "trimmed": generation.collected.trimmed,
            }
            self._add("collected", detail, now, sample.time, sample.streamer, sample.generation)

    def _reported(self, report: Report, now: float) -> None:
        generation = self._ledger.find(report.streamer, report.generation)
        # An older report is not kept, and its counts are known.
        if generation is None or generation.report is not report:
            return
        if not self._counters.observe(report):
            return
        for notice in generation.fresh_notices:
            self._add(
                notice.kind, notice.detail, now, notice.time, report.streamer, report.generation
            )
        self._interval.add_age(generation)
        self._run.wanted.take(report, self._elapsed(now))

    def _exited(self, event: Exited, now: float) -> None:
        detail = {"exit_code": event.exit_code, "expected": event.expected}
        self._add("exited", detail, now, event.time, event.streamer, event.generation)

    def _add(
        self,
        kind: str,
        detail: Mapping[str, Any],
        now: float,
        time: float,
        streamer: str,
        generation: int,
    ) -> None:
        self._events.add(Entry(self._elapsed(now), time, kind, detail, streamer, generation))

    # Rows --------------------------------------------------------------------------------------

    def _close_interval(self, now: float, time: float) -> None:
        seconds = self._limits.sample_interval_seconds
        if self._elapsed(now) // seconds > self._row_at // seconds:
            self._write_row(now, time)

    def _write_row(self, now: float, time: float) -> None:
        elapsed, counts = self._elapsed(now), self._counters.all()
        if self._interval.rss_last:  # nothing seen is no row, never a row of zeros
            living = [one[-1] for one in self._ledger.generations.values() if one[-1].up]
            self._run.rows.append(
                row(self._interval, living, counts, elapsed, elapsed - self._row_at, time)
            )
            wanted = self._run.wanted.now
            self._run.records.take(
                round(elapsed, 3),  # as in the row
                {name: count for name, count in events_of(counts).items() if name in wanted},
            )
        self._row_at = elapsed
        self._interval = self._interval.next(counts)

    # Views -------------------------------------------------------------------------------------

    def _streamer(self, name: str, generation: Generation, now: float) -> StreamerSnapshot:
        report, sample = generation.report, generation.sample
        totals = self._counters.of(name)
        received, acknowledged = generation.recent_latencies() or (None, None)
        grown: float | None = generation.grown.bytes if generation.grown else None
        if grown is None and sample is not None and generation.first_rss_bytes is not None:
            grown = sample.rss_bytes - generation.first_rss_bytes
        return StreamerSnapshot(
            name=name,
            generation=generation.launched.generation,
            pid=generation.launched.pid,
            up=generation.up,
            launched_time=generation.launched.time,
            exit_code=generation.exited.exit_code if generation.exited else None,
            sample=sample,
            growth_bytes=grown,
            leak=generation.leak.latest,
            cpu_cores=generation.cpu_cores(),
            report=report,
            report_age_seconds=now - generation.report_at if report else None,
            streams=_table(generation, totals),
            totals=totals,
            unacknowledged_seconds=(
                now - generation.stored_at
                if generation.up and report is not None and report.sink.queued
                else 0.0
            ),
            launched_elapsed_seconds=self._shift + self._elapsed(generation.launched_at),
            bins=tuple(generation.bins),
            bin_seconds=generation.binner.bin_seconds,
            recent_receive_latency=received,
            recent_acknowledge_latency=acknowledged,
        )

    def _own_cores(self) -> float | None:
        if len(self._own_cpu) < 2 or self._own_cpu[-1][0] <= self._own_cpu[0][0]:
            return None
        (first_at, first), (last_at, last) = self._own_cpu[0], self._own_cpu[-1]
        return (last - first) / (last_at - first_at)

    @property
    def _shift(self) -> float:
        """Seconds that were run before this part of the run."""
        return self._earlier.elapsed_seconds if self._earlier else 0.0

    def _elapsed(self, now: float) -> float:
        return now - self._started_at

    def _wall(self, now: float) -> float:
        return self._run.started_time + self._elapsed(now)


def _table(generation: Generation, totals: Mapping[Key, int]) -> Sequence[StreamSnapshot]:
    if generation.report is None:
        return ()
    (first_at, first), (last_at, last) = generation.recent[0], generation.recent[-1]
    return StreamSnapshots(last, first, last_at - first_at, totals)


def _action_name(action: Action) -> str:
    match action:
        case Warn():
            return "warn"
        case Collect():
            return "collect"
        case Rotate():
            return "rotate"
        case Restart():
            return "restart"
        case Abort():
            return "abort"
        case Fail():
            return "fail"
        case _:
            assert_never(action)
