from __future__ import annotations

import pytest

from monitor.measurements import READERS
from monitor.rules import METRICS, Rule, built_in_rules, merged
from monitor.soak_plans import PROFILES
from streamer.connection_config import ConnectionConfig


def test_every_documented_metric_can_be_read() -> None:
    assert set(METRICS) == set(READERS)


def test_a_users_rule_takes_the_place_of_the_one_it_names() -> None:
    built_in = built_in_rules("run")
    mine = Rule(name="memory high", metric="rss_bytes", limit=1.0)
    rules = merged(built_in, [mine])
    assert [rule.name for rule in rules] == [rule.name for rule in built_in]
    assert mine in rules


def test_a_rule_with_a_new_name_is_added() -> None:
    mine = Rule(name="threads", metric="threads", limit=50)
    assert merged(built_in_rules("run"), [mine])[-1] == mine


def test_silence_can_be_switched_off() -> None:
    assert "silence" not in {
        rule.name for rule in built_in_rules("run", None, ConnectionConfig(stale_after=0))
    }


def test_the_hour_has_no_rule_about_drops() -> None:
    names = {rule.name for rule in built_in_rules("soak", PROFILES["1h"])}
    assert "drops" not in names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "rss"}, "metric 'rss' is unknown; known are rss_bytes"),
        ({"metric": "events_per_second"}, "needs a window"),
        ({"for_seconds": -1.0}, "must not be negative"),
    ],
)
def test_nonsense_is_refused(changes: dict[str, object], message: str) -> None:
    values: dict[str, object] = {"name": "mine", "metric": "threads", "limit": 1.0}
    with pytest.raises(ValueError, match=message):
        Rule(**(values | changes))  # type: ignore[arg-type]
