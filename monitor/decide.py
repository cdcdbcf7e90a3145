"""The one place where actions are decided: `decide(state, event, now) -> (state, actions)`.

Pure: no clock, no I/O; a day is replayed in seconds. Since everything is decided here, no two
actions can undo each other: a process whose end is decided is neither rotated nor warned about
any more, its end can only be hastened, and nothing is ever asked of a generation that is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from monitor.explain import sentence
from monitor.measurements import READERS, Measurement, Occasion
from monitor.model import (
    Abort,
    Action,
    Breach,
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
    Severity,
    Tick,
    Warn,
)
from monitor.rules import ActionName, Rule
from monitor.state import Child, Ending, State, remember_report

AWAY_SECONDS = 3.0
"""Events come every second. After a longer pause it was us who slept (a stopped supervisor, a
starved machine), and reports wait unread: silence in that time is nobody's fault."""

ROTATION_REASONS = {"age": "age", "silence": "stale", "memory high": "memory", "rate": "rate"}
"""By rule; a rule of the user's own gives its name."""


def decide(state: State, event: Event, now: float) -> tuple[State, tuple[Action, ...]]:
    """Take an event at a monotonic time; return the state and what is to be done.

    Feed it every event of every streamer in the order of their occurrence, and a Tick at least
    once a second. The exit of a process leads to no action: launching, restarting and ending are
    the lifecycle's, judging is this module's.
    """
    if state.last_event_at is not None and now - state.last_event_at > AWAY_SECONDS:
        for child in state.children.values():
            # Once for each report: a supervisor that is slow all the time must not excuse silence.
            if child.process.report_at > child.excused_at:
                child.excused_at = now
    state.last_event_at = now
    return state, tuple(_actions(state, event, now))


def _actions(state: State, event: Event, now: float) -> Iterator[Action]:
    process = state.ledger.take(event, now)
    match event:
        case Launched() if process is not None:
            state.children[event.streamer] = Child(process)
        case Exited():
            if state.child(event.streamer, event.generation) is not None:
                del state.children[event.streamer]
        case Sample():
            child = state.child(event.streamer, event.generation)
            if child is not None:
                yield from _judge(state, child, "sample", now)
        case Reported(at, report):
            child = state.child(report.streamer, report.generation)
            if child is not None and process is not None:  # else it is older than what is known
                remember_report(state, child, report, at)
                yield from _judge(state, child, "report", now)
        case Launched() | Collected():
            pass
        case Tick():
            for child in tuple(state.children.values()):
                yield from _judge(state, child, "time", now)
        case _:
            assert_never(event)


def _judge(state: State, child: Child, occasion: Occasion, now: float) -> Iterator[Action]:
    if (
        occasion != "sample"
        and child.process.report
        and child.process.report.state in ("draining", "stopped")
    ):
        return  # it is on its way out, and its connections are closed on purpose
    for rule in state.rules:
        if rule.enforced_by == "watcher" and READERS[rule.metric].occasion == occasion:
            if now - child.process.launched_at < rule.grace_seconds:
                continue
            for measurement, since in _breaches(state, child, rule, now):
                yield from _act(state, child, rule, measurement, since, now)


def _breaches(
    state: State, child: Child, rule: Rule, now: float
) -> Iterator[tuple[Measurement, float]]:
    """Yield the readings that are beyond the limit for long enough, with the time since when."""
    read, slots, troubled = set(), set(), set()
    # A rate is a mean over `for` already; everything else must be beyond its limit all the while.
    held_for = 0.0 if rule.metric == "events_per_second" else rule.for_seconds
    for measurement in READERS[rule.metric].read(state, child, rule, now):
        key = (rule.name, measurement.subject)
        read.add(key)
        slots.add(measurement.slot)
        beyond = (
            measurement.value > rule.limit
            if rule.direction == "above"
            else measurement.value < rule.limit
        )
        if not beyond:
            child.breached_since.pop(key, None)
            continue
        troubled.add(measurement.slot)
        since = child.breached_since.setdefault(key, now)
        if now - since >= held_for:
            yield measurement, since
    for key in [key for key in child.breached_since if key[0] == rule.name and key[1]]:
        if key not in read:  # the slot went down or rotates: the next breach begins anew
            del child.breached_since[key]
    for slot in slots - troubled:
        child.repeats.pop((rule.name, "rotate", slot or ""), None)  # well again


def _act(
    state: State, child: Child, rule: Rule, measurement: Measurement, since: float, now: float
) -> Iterator[Action]:
    if state.aborted and child.ending == Ending.NONE:
        return
    breach = Breach(
        rule=rule.name,
        streamer=child.process.launched.streamer,
        generation=child.process.launched.generation,
        observed=measurement.value,
        limit=rule.limit,
        message=sentence(rule, measurement, child, now - since),
        severity=_severity(rule),
        slot=measurement.slot,
        stream=measurement.stream,
        symbol=measurement.symbol,
    )
    if rule.action in ("restart", "abort"):
        yield from _end(state, child, rule, breach, now)
        return
    if child.ending >= Ending.NOW:
        return
    if rule.action == "fail":
        if rule.name not in state.failed:
            state.failed.add(rule.name)
            yield Fail(breach)
        return
    if rule.action == "rotate":
        yield from _rotate(child, rule, breach, now)
    stays = child.ending == Ending.NONE
    if rule.action == "collect" and stays and _cooled(child, rule, "collect", "", now):
        yield Collect(breach)
    if rule.action == "warn" or rule.also_warn:
        subject = "/".join(measurement.subject)
        if _cooled(child, rule, "warn", subject, now):
            yield Warn(breach)


def _severity(rule: Rule) -> Severity:
    if rule.action not in ("warn", "collect", "rotate"):
        return Severity.CRITICAL
    planned = rule.action == "rotate" and rule.metric == "connection_age_seconds"
    return Severity.ROUTINE if planned else Severity.WARNING


def _rotate(child: Child, rule: Rule, breach: Breach, now: float) -> Iterator[Action]:
    if child.ending != Ending.NONE or child.process.report is None:
        return
    slots = [slot for slot in child.process.report.slots if breach.slot in (None, slot.slot)]
    if not slots or any(slot.rotating for slot in slots):
        return
    subject = breach.slot or ""
    # Whoever asked last for a rotation of these slots, it must have had its time to help.
    asked = [child.rotation_asked_at.get(slot.slot, float("-inf")) for slot in slots]
    if now - max(asked) < rule.cooldown_seconds:
        return
    if not _cooled(child, rule, "rotate", subject, now):
        return
    child.rotation_asked_at.update({slot.slot: now for slot in slots})
    yield Rotate(breach, ROTATION_REASONS.get(rule.name, rule.name))


def _end(state: State, child: Child, rule: Rule, breach: Breach, now: float) -> Iterator[Action]:
    kill = rule.kill_above is not None and breach.observed > rule.kill_above
    hears = rule.metric != "report_age_seconds"
    restart = rule.action == "restart"
    wanted = Ending.KILL if kill else Ending.NOW
    if restart and rule.when_quiet and not kill:
        wanted = Ending.WHEN_QUIET
    if wanted <= child.ending:
        return
    child.ending = wanted
    if rule.also_warn and _cooled(child, rule, "warn", "", now):
        yield Warn(breach)
    if restart:
        yield Restart(
            breach,
            skip_drain=rule.skip_drain,
            kill_now=kill,
            when_quiet=wanted == Ending.WHEN_QUIET,
            hears=hears,
        )
    else:
        state.aborted = True
        yield Abort(breach, skip_drain=rule.skip_drain, kill_now=kill, hears=hears)


def _cooled(child: Child, rule: Rule, action: ActionName, subject: str, now: float) -> bool:
    """Return whether the rule may act again, and note that it does."""
    key = (rule.name, action, subject)
    repeats = child.repeats.get(key, 0)
    cooldown = rule.cooldown_seconds
    if rule.cooldown_max_seconds is not None and repeats > 1:
        # 2¹⁶ × any cooldown is beyond every maximum; a bare power would overflow in the end.
        cooldown = min(cooldown * 2 ** min(repeats - 1, 16), rule.cooldown_max_seconds)
    acted_at = child.acted_at.get(key)
    if acted_at is not None and now - acted_at < cooldown:
        return False
    child.acted_at[key] = now
    child.repeats[key] = repeats + 1
    return True
