"""Rules: which measure, beyond which limit, for how long, leads to which action.

The built-in rules hold for every run; `[[rules]]` in the settings adds to them or
replaces one by its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from monitor.model import Mode
from monitor.soak_plans import DAY, HOUR, PROFILES, SoakPlan
from streamer.connection_config import CONNECTION_DEFAULTS, ConnectionConfig

ActionName = Literal["warn", "collect", "rotate", "restart", "abort", "fail"]
"""`fail` is kept for the profile's own criteria, and `collect` for the suspicion of a leak, which
waits for its result; a rule in the settings may ask for the others."""

METRICS = {
    "rss_bytes": "bytes: resident memory of the streamer's process",
    "uss_bytes": "bytes: memory that only this process uses, measured each minute",
    "vms_bytes": "bytes: address space of the process",
    "cpu_cores": "cores: CPU time of the process over the last minute, 1 is one core",
    "threads": "count: threads of the process",
    "open_files": "count: open file descriptors of the process",
    "leak_score": "0 to 1: judgement of lasting growth; none before the detector has enough",
    "leak_suspicion": "0 to 1: the leak score by the newest evidence alone, before it has lasted",
    "connection_age_seconds": "seconds: age of a slot's connection",
    "silent_seconds": "seconds: since the last event of a stream of a symbol, its slot being live",
    "events_per_second": "per second: mean of unique trade and aggTrade events over the rule's "
    "`for`, all streamers together",
    "report_age_seconds": "seconds: since the last report, once there was one",
    "drops_per_day": "count: ends of live connections outside the plan, in the last 24 hours",
    "pong_age_seconds": "seconds: since the last pong to the streamer's own ping, per slot",
    "sink_queued": "count: records accepted by the sink and not yet acknowledged",
}
"""What a rule can name, each with its unit. `for` counts consecutive readings beyond the limit,
except for `events_per_second`, where it is the length of the sliding window."""

HEARTBEAT_SECONDS = 10.0  # a report comes every second; ten missing ones are no jitter
KILL_FACTOR = 1.2  # above this multiple of the ceiling nothing gentle has time to work
SILENCE_COOLDOWN_FACTOR = 4  # silence that a rotation did not heal is rarely the connection's


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A threshold and what its breach leads to. Raises ValueError when it makes no sense."""

    name: str
    metric: str  # one of METRICS
    limit: float  # in the metric's unit; a reading equal to it is no breach
    direction: Literal["above", "below"] = "above"
    for_seconds: float = 0.0  # how long beyond the limit; 0: one reading is enough
    grace_seconds: float = 0.0  # from the launch of the process, during which nothing is judged
    cooldown_seconds: float = 300.0  # least time between two actions of this rule on one subject
    action: ActionName = "warn"
    cooldown_max_seconds: float | None = None  # of rotate: doubles up to this while it repeats
    also_warn: bool = False  # say it as well
    skip_drain: bool = False  # of restart and abort: the process gets no time to flush
    when_quiet: bool = False  # of restart: at a moment without rotation
    kill_above: float | None = None  # of restart and abort: SIGKILL at once beyond this reading
    enforced_by: Literal["watcher", "streamer"] = "watcher"  # streamer: told here, done there

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(
                f"rule {self.name!r}: metric {self.metric!r} is unknown; "
                f"known are {', '.join(METRICS)}"
            )
        if self.metric == "events_per_second" and self.for_seconds <= 0:
            raise ValueError(f"rule {self.name!r}: a rate needs a window: `for` must be above 0")
        times = (self.for_seconds, self.grace_seconds, self.cooldown_seconds)
        if min(times) < 0:
            raise ValueError(f"rule {self.name!r}: for, grace and cooldown must not be negative")


def memory_ceiling(rules: Iterable[Rule], otherwise: int) -> int:
    """Return the bytes of RSS above which a streamer is ended: the lowest limit of any rule."""
    limits = [
        round(rule.limit)
        for rule in rules
        if rule.metric == "rss_bytes"
        and rule.direction == "above"
        and rule.action in ("restart", "abort")
    ]
    return min(limits, default=otherwise)


def merged(built_in: Iterable[Rule], user: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the built-in rules with the user's added, or in the place of one of the same name.

    A rule that ends the process as the built-in one did ends it in the same manner: a process over
    another ceiling gets no more time to grow than before.
    """
    rules = {rule.name: rule for rule in built_in}
    for rule in user:
        before = rules.get(rule.name)
        rules[rule.name] = rule if before is None else _in_the_manner_of(before, rule)
    return tuple(rules.values())


def _in_the_manner_of(before: Rule, rule: Rule) -> Rule:
    endings = ("restart", "abort")
    if rule.metric != before.metric or {rule.action, before.action} - set(endings):
        return rule
    return replace(
        rule,
        skip_drain=before.skip_drain,
        when_quiet=before.when_quiet,
        kill_above=None if before.kill_above is None else KILL_FACTOR * rule.limit,
    )


def built_in_rules(
    mode: Mode,
    profile: SoakPlan | None = None,
    connection: ConnectionConfig = CONNECTION_DEFAULTS,
) -> tuple[Rule, ...]:
    """Return the rules of a mode; `profile` gives the limits (in `run`: those of `24h`).

    A `stale_after` of 0 leaves out the rule about silence, as the setting promises.
    """
    limits = profile or PROFILES["24h"]
    rules = _on_memory(mode, limits) + _on_connections(connection)
    return (
        *rules,
        _on_rate(mode, limits),
        Rule(
            name="heartbeat",
            metric="report_age_seconds",
            limit=HEARTBEAT_SECONDS,
            action="abort" if mode == "soak" else "restart",
            skip_drain=True,  # it hears nothing; the stack dump after ABRT tells where it hangs
        ),
        Rule(
            name="own ping",
            metric="pong_age_seconds",
            limit=connection.ping_every + connection.pong_within,
            action="rotate",
            enforced_by="streamer",
        ),
        *_on_drops(mode, limits),
    )


def _on_memory(mode: Mode, limits: SoakPlan) -> tuple[Rule, ...]:
    soak = mode == "soak"
    leak_action: ActionName = "restart"
    if soak:
        leak_action = "fail" if limits.leak_required else "warn"
    return (
        Rule(
            name="memory ceiling",
            metric="rss_bytes",
            limit=limits.memory_ceiling_bytes,
            action="abort" if soak else "restart",
            skip_drain=True,
            kill_above=KILL_FACTOR * limits.memory_ceiling_bytes,
        ),
        Rule(
            name="memory high",
            metric="rss_bytes",
            limit=limits.memory_high_bytes,
            for_seconds=limits.memory_high_for_seconds,
            cooldown_seconds=HOUR,  # the same news every hour is enough
            action="warn" if soak else "rotate",
            also_warn=not soak,
        ),
        Rule(
            name="leak suspected",
            metric="leak_score",
            limit=limits.leak_score_pass,
            cooldown_seconds=HOUR,
            action="warn",
        ),
        Rule(
            name="collect",
            metric="leak_suspicion",  # while it has to last, a collection can still acquit
            limit=limits.leak_score_pass,
            # It holds the feed up for some ten milliseconds. Asked more seldom, short windows would
            # hold no result, and what fragments for a day would be convicted.
            cooldown_seconds=HOUR,
            action="collect",
        ),
        Rule(
            name="leak",
            metric="leak_score",
            limit=limits.leak_score_fail,
            cooldown_seconds=HOUR,
            action=leak_action,
            also_warn=not soak,
            when_quiet=True,
        ),
    )


def _on_connections(connection: ConnectionConfig) -> tuple[Rule, ...]:
    age = Rule(
        name="age",
        metric="connection_age_seconds",
        limit=connection.max_age,
        # Long enough for a handshake, short enough for several attempts before the age is overrun.
        cooldown_seconds=min(60.0, connection.max_age / 4),
        action="rotate",
    )
    if connection.stale_after <= 0:
        return (age,)
    silence = Rule(
        name="silence",
        metric="silent_seconds",
        limit=connection.stale_after,
        cooldown_seconds=SILENCE_COOLDOWN_FACTOR * connection.stale_after,
        cooldown_max_seconds=HOUR,
        action="rotate",
    )
    return (age, silence)


def _on_rate(mode: Mode, limits: SoakPlan) -> Rule:
    return Rule(
        name="rate",
        metric="events_per_second",
        limit=limits.rate_limit_per_second,
        direction="below",
        for_seconds=limits.rate_window_seconds,
        cooldown_seconds=HOUR if mode == "run" else DAY,
        action="rotate" if mode == "run" else "fail",
        also_warn=mode == "run",
    )


def _on_drops(mode: Mode, limits: SoakPlan) -> tuple[Rule, ...]:
    if limits.drops_limit is None:
        return ()
    return (
        Rule(
            name="drops",
            metric="drops_per_day",
            limit=limits.drops_limit - 1,  # ten a day are too many: more than nine
            cooldown_seconds=HOUR if mode == "run" else DAY,
            action="warn" if mode == "run" else "fail",
        ),
    )
