"""What the parts of a supervisor are given, made of its settings; again after each reload."""

from __future__ import annotations

from monitor.model import Mode
from monitor.rules import Rule, built_in_rules, merged
from monitor.soak_plans import SoakPlan
from supervisor.errors import UsageError
from supervisor.escalation import Graces
from supervisor.restart import RestartPolicy
from supervisor.settings import RuleConfig, Settings


def rules_of(settings: Settings, mode: Mode, plan: SoakPlan | None) -> tuple[Rule, ...]:
    """Return the built-in rules with those of the settings. Raises UsageError."""
    built_in = built_in_rules(mode, plan, settings.connection)
    return merged(built_in, [_rule(entry) for entry in settings.rules])


def graces_of(settings: Settings) -> Graces:
    """Return the grace periods."""
    supervisor = settings.supervisor
    return Graces(
        drain_seconds=supervisor.drain_grace,
        term_seconds=supervisor.term_grace,
        abort_seconds=supervisor.abort_grace,
        kill_seconds=supervisor.kill_grace,
    )


def restart_policy_of(settings: Settings) -> RestartPolicy:
    """Return the budget and the delays of restarts."""
    supervisor = settings.supervisor
    return RestartPolicy(
        limit=supervisor.restart_limit,
        window_seconds=supervisor.restart_window,
        backoff_initial_seconds=supervisor.restart_backoff_initial,
        backoff_max_seconds=supervisor.restart_backoff_max,
        healthy_after_seconds=supervisor.healthy_after,
    )


def _rule(entry: RuleConfig) -> Rule:
    if (entry.above is None) == (entry.below is None):
        raise UsageError(f"rules: {entry.name!r}: expected one of above and below")
    limit = entry.above if entry.above is not None else entry.below
    assert limit is not None  # noqa: S101 - for mypy: one of the two is there
    try:
        return Rule(
            name=entry.name,
            metric=entry.metric,
            limit=limit,
            direction="above" if entry.above is not None else "below",
            for_seconds=entry.for_,
            grace_seconds=entry.grace,
            cooldown_seconds=entry.cooldown,
            action=entry.action,
        )
    except ValueError as error:
        raise UsageError(f"rules: {error}") from None
