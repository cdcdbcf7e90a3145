"""What each next process of a streamer is told; the streams that are wanted change meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from streamer.config import StreamerConfig
from streamer.telemetry_keys import TelemetryKeys
from supervisor.settings import Settings


class ChildConfigFactory:
    """Makes the arguments of a streamer's next process from its generation."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        endpoint: str,
        admit: Callable[[str, int], TelemetryKeys],
        recent_log: Path | None = None,
    ) -> None:
        """`admit` makes the keys of a streamer's generation for the telemetry at `endpoint`.

        Every process of the streamer keeps its last log lines in `recent_log`.
        """
        self._admit = admit
        self._settings = settings
        self._recent_log = recent_log
        self._name = name
        self._endpoint = endpoint
        self._streams = settings.exchange.streams
        self._symbols = settings.exchange.symbols

    def want(self, streams: Iterable[str], symbols: Iterable[str]) -> None:
        """Tell the next process to stream these."""
        self._streams, self._symbols = tuple(streams), tuple(symbols)

    def __call__(self, generation: int) -> tuple[StreamerConfig]:
        """Return the arguments of a process."""
        supervisor = self._settings.supervisor
        config: StreamerConfig = self._settings.streamer_config(
            name=self._name,
            generation=generation,
            telemetry_keys=self._admit(self._name, generation),
            supervised=True,
            recent_log=self._recent_log,
            stop_within=supervisor.drain_grace,
            log_format=supervisor.log_format,
            log_level=supervisor.log_level,
        )
        return (
            replace(
                config,
                exchange=replace(config.exchange, streams=self._streams, symbols=self._symbols),
                telemetry=replace(config.telemetry, endpoint=self._endpoint),
            ),
        )
