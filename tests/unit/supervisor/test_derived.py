from __future__ import annotations

from typing import Any

import pytest

from monitor.rules import built_in_rules
from monitor.soak_plans import PROFILES
from supervisor.derived import graces_of, restart_policy_of, rules_of
from supervisor.errors import UsageError
from supervisor.escalation import Graces
from supervisor.restart import RestartPolicy
from supervisor.settings import Settings

RULE = {"name": "many threads", "metric": "threads", "above": 20, "action": "warn"}


def settings(**supervisor: str | int) -> Settings:
    return Settings.model_validate({"supervisor": supervisor})


def with_rule(**changes: Any) -> Settings:
    entry = {**RULE, **changes}
    return Settings.model_validate({"rules": [{k: v for k, v in entry.items() if v is not None}]})


def test_graces_come_from_the_settings_of_their_names() -> None:
    found = graces_of(settings(drain_grace=11, term_grace=12, abort_grace=13, kill_grace=14))
    assert found == Graces(drain_seconds=11, term_seconds=12, abort_seconds=13, kill_seconds=14)


def test_the_restart_policy_comes_from_the_settings_of_its_names() -> None:
    found = restart_policy_of(
        settings(
            restart_limit=7,
            restart_window=71,
            restart_backoff_initial=2,
            restart_backoff_max=3,
            healthy_after=72,
        )
    )
    assert found == RestartPolicy(
        limit=7,
        window_seconds=71,
        backoff_initial_seconds=2,
        backoff_max_seconds=3,
        healthy_after_seconds=72,
    )


def test_without_rules_of_its_own_a_run_has_the_built_in_ones_of_its_mode() -> None:
    connection = Settings().connection
    assert rules_of(Settings(), "run", None) == built_in_rules("run", None, connection)
    smoke = PROFILES["smoke"]
    assert rules_of(Settings(), "soak", smoke) == built_in_rules("soak", smoke, connection)


@pytest.mark.parametrize(
    ("bound", "direction", "limit"),
    [({"above": 20.0}, "above", 20.0), ({"above": None, "below": 2.0}, "below", 2.0)],
)
def test_a_rule_of_the_settings_is_added(
    bound: dict[str, float | None], direction: str, limit: float
) -> None:
    timed = with_rule(**bound, **{"for": "1m", "grace": "2m", "cooldown": "3m"})
    rules = rules_of(timed, "run", None)
    assert rules[:-1] == rules_of(Settings(), "run", None)
    own = rules[-1]
    assert (own.name, own.metric, own.action) == ("many threads", "threads", "warn")
    assert (own.direction, own.limit) == (direction, limit)
    assert (own.for_seconds, own.grace_seconds, own.cooldown_seconds) == (60, 120, 180)


@pytest.mark.parametrize("bounds", [{"above": None}, {"below": 1.0}])
def test_a_rule_has_one_bound(bounds: dict[str, float | None]) -> None:
    with pytest.raises(UsageError, match="'many threads': expected one of above and below"):
        rules_of(with_rule(**bounds), "run", None)


def test_a_rule_that_cannot_be_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"^rules: .*no_such_metric"):
        rules_of(with_rule(metric="no_such_metric"), "run", None)
