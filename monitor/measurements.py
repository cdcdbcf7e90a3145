"""The measures that rules name: each a function from what is remembered to readings.

A measure that has nothing to say yet yields nothing; it never yields a zero in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from monitor.generation import CPU_WINDOW_SECONDS
from monitor.rules import Rule
from monitor.state import Child, State, Subject
from streamer.messages import Report, SlotState, StreamCounts


@dataclass(frozen=True, slots=True)
class Measurement:
    """A value at a time, and what it is about."""

    value: float
    subject: Subject = ()
    slot: str | None = None
    stream: str | None = None
    symbol: str | None = None


Read = Callable[[State, Child, Rule, float], Iterator[Measurement]]
Occasion = Literal["sample", "report", "time"]


@dataclass(frozen=True, slots=True)
class Metric:
    """When a measure can have changed, and how it is read."""

    occasion: Occasion
    read: Read


def _of_sample(field: str) -> Read:
    def read(_state: State, child: Child, _rule: Rule, _now: float) -> Iterator[Measurement]:
        value = getattr(child.process.sample, field, None)
        if value is not None:
            yield Measurement(value)

    return read


def _cpu(_state: State, child: Child, _rule: Rule, _now: float) -> Iterator[Measurement]:
    cores = child.process.cpu_cores(CPU_WINDOW_SECONDS)
    if cores is not None:
        yield Measurement(cores)


def _of_leak(field: str) -> Read:
    def read(_state: State, child: Child, _rule: Rule, _now: float) -> Iterator[Measurement]:
        value = getattr(child.process.leak.latest, field, None)
        if value is not None:
            yield Measurement(value)

    return read


def _ages(_state: State, child: Child, _rule: Rule, now: float) -> Iterator[Measurement]:
    for slot in _slots(child):
        if slot.age_seconds is not None and not slot.rotating:
            yield Measurement(
                slot.age_seconds + now - child.process.report_at, (slot.slot,), slot.slot
            )


def _silences(_state: State, child: Child, rule: Rule, _now: float) -> Iterator[Measurement]:
    """Yield the silences beyond the limit that the connection could be to blame for.

    A slot that is down or rotating is being helped already, a connection younger than the limit
    has had no chance yet, and of a stream that leaves, or that the exchange does not serve,
    nothing is expected. Where REST is asked, only a silence about which it has news counts: that
    it is busy or away blames no connection. For a slot without such a silence one of its other
    streams is yielded, which shows that the slot is well.
    """
    report = child.process.report
    if report is None:
        return
    slots = {slot.slot: slot for slot in report.slots}
    only = next(iter(slots)) if len(slots) == 1 else None
    excused = {
        name
        for name, slot in slots.items()
        if not slot.live or slot.rotating or (slot.age_seconds or 0.0) < rule.limit
    }
    since = report.uptime_seconds - rule.limit
    well: dict[str | None, StreamCounts] = {}
    troubled: set[str | None] = set()
    above = rule.direction == "above"
    for one in report.streams:
        name = one.slot or only
        if (one.silent_since < since) is not above:  # within the limit, as nearly all are
            if name in well or name in excused or not _counts(one):
                continue
            well[name] = one
        elif name not in excused and _counts(one):
            troubled.add(name)
            yield _silence(report, one, name)
    for name, one in well.items():
        if name not in troubled:
            yield _silence(report, one, name)


def _counts(one: StreamCounts) -> bool:
    return not (one.leaving or one.unavailable or one.silence in ("quiet", "unconfirmed"))


def _silence(report: Report, one: StreamCounts, slot: str | None) -> Measurement:
    return Measurement(
        report.silent_seconds(one), (one.stream, one.symbol), slot, one.stream, one.symbol
    )


def _rate(state: State, child: Child, rule: Rule, now: float) -> Iterator[Measurement]:
    """Yield the mean rate of all streamers, read at the one that brings the least."""
    rates = [_rate_of(other, rule, now) for other in state.children.values() if other.events]
    own = _rate_of(child, rule, now) if child.events else None
    known = [rate for rate in rates if rate is not None]
    if own is not None and len(known) == len(rates) and own == min(known):
        yield Measurement(sum(known))


def _rate_of(child: Child, rule: Rule, now: float) -> float | None:
    start = now - rule.for_seconds
    # Without a report from before the window there is no whole window to judge.
    before = None
    for at, total in child.events:
        if at > start:
            break
        before = (at, total)
    if before is None:
        return None
    last_at, last = child.events[-1]
    # A slow reporter is judged over the time its counts are about, at least the window.
    return (last - before[1]) / max(last_at - before[0], rule.for_seconds)


def _report_age(_state: State, child: Child, _rule: Rule, now: float) -> Iterator[Measurement]:
    """Yield the time without a report, not counting time in which we did not run ourselves."""
    if child.process.report is not None and not child.process.report.final:
        yield Measurement(now - max(child.process.report_at, child.excused_at))


def _drops(state: State, child: Child, _rule: Rule, _now: float) -> Iterator[Measurement]:
    yield Measurement(len(state.drops.get(child.process.launched.streamer, ())))


def _pong_ages(_state: State, child: Child, _rule: Rule, _now: float) -> Iterator[Measurement]:
    for slot in _slots(child):
        if slot.last_pong_time is not None and child.process.report is not None:
            yield Measurement(
                child.process.report.time - slot.last_pong_time, (slot.slot,), slot.slot
            )


def _queued(_state: State, child: Child, _rule: Rule, _now: float) -> Iterator[Measurement]:
    if child.process.report is not None:
        yield Measurement(child.process.report.sink.queued)


def _slots(child: Child) -> tuple[SlotState, ...]:
    return child.process.report.slots if child.process.report is not None else ()


READERS = {
    "rss_bytes": Metric("sample", _of_sample("rss_bytes")),
    "uss_bytes": Metric("sample", _of_sample("uss_bytes")),
    "vms_bytes": Metric("sample", _of_sample("vms_bytes")),
    "cpu_cores": Metric("sample", _cpu),
    "threads": Metric("sample", _of_sample("threads")),
    "open_files": Metric("sample", _of_sample("open_files")),
    "leak_score": Metric("sample", _of_leak("score")),
    "leak_suspicion": Metric("sample", _of_leak("latest_score")),
    "connection_age_seconds": Metric("report", _ages),
    "silent_seconds": Metric("report", _silences),
    "events_per_second": Metric("report", _rate),
    "report_age_seconds": Metric("time", _report_age),
    "drops_per_day": Metric("report", _drops),
    "pong_age_seconds": Metric("report", _pong_ages),
    "sink_queued": Metric("report", _queued),
}
"""By the names of `rules.METRICS`."""
