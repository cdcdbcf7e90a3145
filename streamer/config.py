"""What a streamer is told: frozen, without pydantic, so that the child process stays small.

`streamer.settings` fills these from TOML, environment and `--set`; durations are seconds and
sizes are bytes by the time they are here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen

from streamer.units import ByteCount, Parsed, Seconds
from streamer.values import (
    Listed,
    parse_client_keys,
    parse_rest_url,
    parse_symbol,
    parse_websocket_url,
)

STREAM_KINDS = ("trade", "aggTrade", "bookTicker")
"""The stream kinds that have a typed event and an Avro schema."""

_STRICT = {"extra": "forbid"}  # a misspelt key is an error, never a default in disguise
_DAY_SECONDS = 24 * 3600.0

Positive = Annotated[Seconds, Gt(0)]
Symbol = Annotated[str, Parsed(parse_symbol)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeConfig:
    """Where the exchange is and what is wanted from it."""

    __pydantic_config__ = _STRICT

    websocket_url: Annotated[str, Parsed(parse_websocket_url)] = "wss://stream.binance.com:9443"
    rest_url: Annotated[str, Parsed(parse_rest_url)] = "https://api.binance.com"
    ca_file: Path | None = None  # trusted beside the system's certificates
    verify_tls: bool = True
    proxy: str | None = None  # http://host:port, for the WebSocket and REST alike
    symbols: Annotated[tuple[Symbol, ...], Listed(), MinLen(1)] = ("BTCUSDT", "ETHUSDT", "BNBUSDT")
    # What times are asked for in; ms only to replay frames that were recorded without asking.
    time_unit: Literal["us", "ms"] = "us"
    streams: Annotated[
        tuple[Literal["trade", "aggTrade", "bookTicker"], ...], Listed(), MinLen(1)
    ] = ("trade",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionConfig:
    """How connections live, and when they are given up."""

    __pydantic_config__ = _STRICT

    # The exchange cuts at 24 h; six rotations a day keep them an everyday thing.
    max_age: Annotated[Seconds, Gt(0), Le(_DAY_SECONDS)] = 4 * 3600.0
    handshake_timeout: Positive = 10.0
    stale_after: Seconds = 30.0  # silence of one symbol's stream; 0 disables
    ping_every: Positive = 180.0
    pong_within: Positive = 10.0
    backoff_initial: Positive = 0.5
    backoff_max: Positive = 60.0
    # Of the exchange's 300 per window and IP; the rest is left for people.
    attempts_limit: Annotated[int, Ge(1)] = 250
    attempts_window: Positive = 300.0
    rotation_overlap: Seconds = 5.0  # how long a quiet stream is heard on both connections
    close_timeout: Positive = 2.0  # the server may never answer a close handshake
    gap_wait: Seconds = 1.0  # another connection or a late frame may bring missing ids
    # The largest payload known, a depth snapshot, stays below 100 kB.
    max_message_bytes: Annotated[ByteCount, Ge(1024)] = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig:
    """Where records go."""

    __pydantic_config__ = _STRICT

    kind: Literal["files", "kafka", "null"] = "files"
    directory: Path = Path("data")
    codec: Literal["null", "deflate"] = "null"  # the two that every Avro reader must know
    rollover_bytes: Annotated[ByteCount, Ge(64 << 10)] = 128 << 20
    rollover_after: Positive = 3600.0
    fsync_every: Seconds = 1.0  # what a power cut may cost; 0: after every flushed block
    rejected_bytes: ByteCount = 16 << 20  # undecodable frames kept for inspection


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConfig:
    """The cluster, its topics, and settings passed through to librdkafka."""

    __pydantic_config__ = _STRICT

    bootstrap_servers: str = "localhost:9092"
    topics: dict[str, str] = field(
        default_factory=lambda: {
            "trade": "market.crypto.trades.binance",
            "aggTrade": "market.crypto.aggtrades.binance",
            "bookTicker": "market.crypto.booktickers.binance",
        }
    )
    compression: Literal["lz4", "zstd"] = "lz4"
    # librdkafka's default of 1 GiB is more than the memory ceiling.
    queue_bytes: Annotated[ByteCount, Ge(1 << 20), Le(1 << 30)] = 32 << 20
    client: Annotated[dict[str, str | int | float | bool], Parsed(parse_client_keys)] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryConfig:
    """How the streamer reports to whoever watches it."""

    __pydantic_config__ = _STRICT

    report_every: Positive = 1.0
    endpoint: str | None = None  # ipc://PATH of a watcher's ROUTER socket; None: nobody listens


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamerConfig:
    """Everything one streamer needs to know."""

    exchange: ExchangeConfig = field(default_factory=ExchangeConfig)
    connection: ConnectionConfig = field(default_factory=ConnectionConfig)
    sink: SinkConfig = field(default_factory=SinkConfig)
    kafka: KafkaConfig = field(default_factory=KafkaConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    name: str = "streamer-1"
    generation: int = 1  # counts the launches of this streamer by one supervisor
    supervised: bool = False  # True leaves age and silence to the watcher's rules
    stop_within: float = 10.0  # seconds from the wish to stop to the end of the process
    hang_after: float = 30.0  # seconds without a turn of the loop until faulthandler ends it
