from __future__ import annotations

from dataclasses import fields

from streamer.config import ExchangeConfig
from streamer.settings import changes
from supervisor.reload import RELOADABLE
from supervisor.settings import MonitorConfig, Settings, SupervisorConfig


def test_changes_are_named_by_their_keys() -> None:
    before = Settings()
    after = Settings.model_validate(
        {
            "connection": {"max_age": "2h"},
            "supervisor": {"report_every": "1m"},
            "rules": [
                {"name": "r", "metric": "threads", "action": "warn", "above": 50, "for": "1m"}
            ],
        }
    )
    assert sorted(changes(before, after)) == [
        "connection.max_age",
        "rules",
        "supervisor.report_every",
    ]
    assert list(changes(before, before)) == []


def test_every_reloadable_key_exists() -> None:
    known = {f"supervisor.{one.name}" for one in fields(SupervisorConfig)}
    known |= {f"monitor.{one.name}" for one in fields(MonitorConfig)} | {"rules"}
    known |= {f"exchange.{one.name}" for one in fields(ExchangeConfig)}
    assert known >= RELOADABLE
