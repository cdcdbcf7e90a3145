from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest

from streamer.config import ExchangeConfig
from streamer.errors import SettingsError
from streamer.settings import changes
from supervisor.notify import Notifier
from supervisor.reload import RELOADABLE, Reload, Reloaded
from supervisor.schedule import Schedule
from supervisor.settings import MonitorConfig, Settings, SupervisorConfig
from supervisor.timers import Every


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
    fleet: Any = type("Fleet", (list,), {})()
    controller: Any = SimpleNamespace(
        reload_refused=False, want=lambda streams, symbols, now: wanted.append(tuple(symbols))
    )
    observer: Any = SimpleNamespace(judge_by=lambda rules: None)
    child_configs: Any = SimpleNamespace(want=lambda streams, symbols: None)
    schedule = Schedule(Every(1.0, 0.0), Every(1.0, 0.0), Every(1.0, 0.0), 30.0)
    reload = Reload(
        settings("BTCUSDT"),
        lambda: loaded.pop(0),
        lambda _: (),
        Reloaded(observer, schedule, fleet, controller, [child_configs], Notifier(None)),
    )
    assert reload(0.0).asks_streamers
    assert schedule.sample.period_seconds == Settings().monitor.sample_every
    controller.reload_refused = refused
    assert reload(1.0).asks_streamers == refused
    assert wanted == [("ETHUSDT",)] * (1 + refused)


@pytest.mark.parametrize("ready", [False, True])
def test_systemd_is_told_of_a_refused_reload_unless_it_waits_for_readiness(
    ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load() -> Settings:
        raise SettingsError("exchange.symbols = []: too short")

    told: list[str] = []
    nothing: Any = None
    notifier = Notifier(None)
    if ready:
        notifier.ready()
    monkeypatch.setattr(notifier, "_send", lambda text: told.append(text.partition("\n")[0]))
    reload = Reload(
        Settings(),
        load,
        nothing,
        Reloaded(nothing, nothing, nothing, nothing, nothing, notifier),
    )
    outcome = reload(0.0)
    assert (outcome.ok, outcome.detail) == (
        False,
        "nothing is changed: exchange.symbols = []: too short",
    )
    assert told == (["RELOADING=1", "READY=1"] if ready else [])
