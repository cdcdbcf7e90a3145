"""What each next process of a streamer is told; the streams that are wanted change meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from streamer.config import KafkaConfig, ShardConfig, StreamerConfig
from streamer.shards.directories import directory_of, name_of
from streamer.telemetry_keys import TelemetryKeys
from supervisor.settings import Settings

TERM_SHARE: Final = 0.8
"""Of the time from SIGTERM to SIGABRT that handing over and flushing may take: what is left then is
put on disk, and clients are closed."""
_CLIENT_ID: Final = "client.id"  # of librdkafka: in what brokers log, and for their quotas


class ChildConfigFactory:
    """Makes the arguments of a streamer's next process from its generation."""

    def __init__(
        self,
        settings: Settings,
        shard: ShardConfig,
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
        self._shard = shard
        self._name = name_of(shard.index)
        self._directory = directory_of(settings.sink.directory, shard.index, shard.count)
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
            shard=self._shard,
            generation=generation,
            telemetry_keys=self._admit(self._name, generation),
            supervised=True,
            recent_log=self._recent_log,
            stop_within=supervisor.drain_grace,
            term_within=TERM_SHARE * supervisor.term_grace,
            log_format=supervisor.log_format,
            log_level=supervisor.log_level,
        )
        return (
            replace(
                config,
                exchange=replace(config.exchange, streams=self._streams, symbols=self._symbols),
                sink=replace(config.sink, directory=self._directory),
                kafka=self._kafka(config.kafka),
                telemetry=replace(config.telemetry, endpoint=self._endpoint),
            ),
        )

    def _kafka(self, kafka: KafkaConfig) -> KafkaConfig:
        """Return the settings of the cluster, with a client's name that tells streamers apart."""
        if self._shard.count == 1:
            return kafka
        name = f"{kafka.client.get(_CLIENT_ID, 'vigil')}-{self._name}"
        return replace(kafka, client={**kafka.client, _CLIENT_ID: name})
