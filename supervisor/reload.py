"""SIGHUP: read the settings again, take over what can change while streamers run, name the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from monitor.rules import Rule
from streamer.errors import SettingsError
from streamer.settings import LIVE, changes
from supervisor.child_config import ChildConfigFactory
from supervisor.derived import graces_of, restart_policy_of
from supervisor.errors import UsageError
from supervisor.fleet import Fleet
from supervisor.fleet_controller import FleetController
from supervisor.notify import Notifier
from supervisor.observer import Observer
from supervisor.schedule import Schedule
from supervisor.settings import Settings

log = logging.getLogger(__name__)

RELOADABLE: Final = frozenset(
    {
        "rules",
        *LIVE,
        "monitor.sample_every",
        "monitor.profile_every",
        "supervisor.startup_timeout",
        "supervisor.drain_grace",
        "supervisor.term_grace",
        "supervisor.abort_grace",
        "supervisor.kill_grace",
        "supervisor.restart_limit",
        "supervisor.restart_window",
        "supervisor.restart_backoff_initial",
        "supervisor.restart_backoff_max",
        "supervisor.healthy_after",
        "supervisor.report_every",
        "supervisor.log_level",
    }
)
"""What changes at once; everything else is for the next start."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What reading the settings again has led to, in words; streamers may have to be asked."""

    ok: bool
    detail: str
    asks_streamers: bool = False


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Whose settings change while they run."""

    observer: Observer
    schedule: Schedule
    fleet: Fleet
    controller: FleetController
    child_configs: Sequence[ChildConfigFactory]
    notifier: Notifier


class Reload:
    """Applies the settings of now to what runs."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        rules_of: Callable[[Settings], tuple[Rule, ...]],
        parts: Reloaded,
    ) -> None:
        """`load` reads the settings again; `rules_of` makes the rules of this run of them."""
        self._settings = settings
        self._load = load
        self._rules_of = rules_of
        self._parts = parts

    @property
    def running(self) -> Settings:
        """The settings that are in effect."""
        return self._settings

    def __call__(self, now: float) -> Outcome:
        """Read and apply; wrong settings change nothing. systemd is told while it goes on."""
        with self._parts.notifier.reloading():
            return self._reload(now)

    def _reload(self, now: float) -> Outcome:
        parts = self._parts
        try:
            after = self._load()
            rules = self._rules_of(after)
        except (SettingsError, UsageError) as error:
            problems = "; ".join(str(error).splitlines())  # a line each, and a log's line is one
            log.error("SIGHUP: nothing is changed: %s", problems)  # noqa: TRY400 - a person's typo
            return Outcome(False, f"nothing is changed: {error}")
        changed = sorted(changes(self._settings, after))
        applied = [key for key in changed if key in RELOADABLE]
        waiting = [key for key in changed if key not in RELOADABLE]
        self._apply(after, rules, now)
        asks_streamers = bool(LIVE & set(changed)) or parts.controller.reload_refused
        if asks_streamers:
            exchange = after.exchange
            for config in parts.child_configs:
                config.want(exchange.streams, exchange.symbols)
            parts.controller.want(exchange.streams, exchange.symbols, now)
        log.info("SIGHUP: changed: %s", ", ".join(applied) or "nothing")
        if waiting:
            log.warning("SIGHUP: needs a new start: %s", ", ".join(waiting))
        # What waits stays different, so that the next SIGHUP names it again.
        self._settings = _with(self._settings, after, applied)
        detail = f"changed: {', '.join(applied) or 'nothing'}"
        if waiting:
            detail += f"\nneeds a new start: {', '.join(waiting)}"
        return Outcome(True, detail, asks_streamers=asks_streamers)

    def _apply(self, after: Settings, rules: tuple[Rule, ...], now: float) -> None:
        schedule, fleet = self._parts.schedule, self._parts.fleet
        self._parts.observer.judge_by(rules)
        schedule.sample.change(after.monitor.sample_every, now)
        schedule.checkpoint.change(after.monitor.profile_every, now)
        schedule.report.change(after.supervisor.report_every, now)
        schedule.startup_timeout_seconds = after.supervisor.startup_timeout
        fleet.policy = restart_policy_of(after)
        for member in fleet:
            member.lifecycle.graces = graces_of(after)
        logging.getLogger().setLevel(after.supervisor.log_level.upper())


def _with(before: Settings, after: Settings, keys: list[str]) -> Settings:
    """Return `before` with the values that `after` has for the keys."""
    update: dict[str, Any] = {}
    for key in keys:
        section, _, name = key.partition(".")
        if not name:
            update[section] = getattr(after, section)
            continue
        old = update.get(section, getattr(before, section))
        update[section] = replace(old, **{name: getattr(getattr(after, section), name)})
    return before.model_copy(update=update)
