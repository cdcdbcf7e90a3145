"""SIGHUP to a lone streamer: the settings read again, for what can change while it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable

from streamer.config import ExchangeConfig
from streamer.errors import SettingsError
from streamer.settings import LIVE, StreamerSettings, changes

log = logging.getLogger(__name__)


class Reload:
    """Reads the settings of now with `load`, which raises SettingsError."""

    def __init__(self, settings: StreamerSettings, load: Callable[[], StreamerSettings]) -> None:
        self._started_with = settings
        self._load = load

    def __call__(self) -> ExchangeConfig | None:
        """Return what the settings want by now, or None when they are wrong."""
        try:
            after = self._load()
        except SettingsError as error:
            problems = "; ".join(str(error).splitlines())  # a line each, and a log's line is one
            log.error("SIGHUP: nothing is changed: %s", problems)  # noqa: TRY400 - a person's typo
            return None
        waiting = sorted(set(changes(self._started_with, after)) - LIVE)
        if waiting:
            log.warning("SIGHUP: needs a new start: %s", ", ".join(waiting))
        return after.exchange
