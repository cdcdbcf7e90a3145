from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest

from streamer.config import ExchangeConfig
from streamer.errors import SettingsError
from streamer.settings import changes
from supervisor.reload import RELOADABLE, Reload
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


@pytest.mark.parametrize("refused", [False, True])
def test_streamers_are_asked_when_streams_change_and_after_a_refusal(refused: bool) -> None:
    def settings(symbol: str) -> Settings:
        return Settings.model_validate({"exchange": {"symbols": [symbol]}})

    wanted: list[tuple[str, ...]] = []
    loaded = [settings("ETHUSDT"), settings("ETHUSDT")]
    timer = SimpleNamespace(change=lambda every, now: None)
    service: Any = SimpleNamespace(
        ready=False,
        state=SimpleNamespace(rules=()),
        sample=timer,
        checkpoint=timer,
        report=timer,
        parts=SimpleNamespace(
            fleet=type("Fleet", (list,), {})(),
            child_configs=SimpleNamespace(want=lambda streams, symbols: None),
            control=SimpleNamespace(
                reload_refused=False,
                want=lambda streams, symbols, now: wanted.append(tuple(symbols)),
            ),
        ),
    )
    policy: Any = None
    reload = Reload(
        settings("BTCUSDT"),
        lambda: loaded.pop(0),
        rules_of=lambda _: (),
        graces_of=lambda _: policy,
        restart_policy_of=lambda _: policy,
    )
    assert reload(service, 0.0).asks_streamers
    service.parts.control.reload_refused = refused
    assert reload(service, 1.0).asks_streamers == refused
    assert wanted == [("ETHUSDT",)] * (1 + refused)


@pytest.mark.parametrize("ready", [False, True])
def test_systemd_is_told_of_a_refused_reload_unless_it_waits_for_readiness(ready: bool) -> None:
    def load() -> Settings:
        raise SettingsError("exchange.symbols = []: too short")

    told: list[str] = []
    nothing: Any = None
    reload = Reload(Settings(), load, nothing, nothing, nothing)
    notifier = SimpleNamespace(
        reloading=lambda: told.append("RELOADING=1"), ready=lambda: told.append("READY=1")
    )
    service: Any = SimpleNamespace(ready=ready, parts=SimpleNamespace(notifier=notifier))
    outcome = reload(service, 0.0)
    assert (outcome.ok, outcome.detail) == (
        False,
        "nothing is changed: exchange.symbols = []: too short",
    )
    assert told == (["RELOADING=1", "READY=1"] if ready else [])
