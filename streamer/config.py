"""What a streamer is told: frozen, without pydantic, so that the child process stays small.

`streamer.settings` fills these from TOML, environment and `--set`; durations are seconds and
sizes are bytes by the time they are here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Gt, Le, MinLen

from streamer.client_keys import ClientValue
from streamer.connection_config import STRICT, ConnectionConfig, Positive
from streamer.data.binance_spot import (
    DEPTH_LEVELS_MAX,
    REST_URL,
    REST_WEIGHT_PER_MINUTE,
    WEBSOCKET_URL,
)
from streamer.data.catalogue import KINDS
from streamer.dialing.proxy import checked_proxy
from streamer.secret import Secret, SecretUrl
from streamer.shards.assignment import shard_of
from streamer.telemetry_keys import TelemetryKeys
from streamer.units import ByteCount, Parsed, Seconds
from streamer.values import (
    Listed,
    parse_registry_url,
    parse_rest_url,
    parse_stream,
    parse_symbol_entry,
    parse_topic,
    parse_topics,
    parse_websocket_url,
)

RECORD_TOPICS = {
    "gap": "market.crypto.gaps.binance",
    **{kind.name: kind.topic for kind in KINDS if not kind.streams},
}
"""Where records go that are of no stream, when `kafka.topics` names others and none for them."""

_DAY_SECONDS = 24 * 3600.0
_INT16_MAX, _INT32_MAX = (1 << 15) - 1, (1 << 31) - 1  # what Kafka's protocol can say

UrlName: TypeAlias = Literal["websocket_url", "rest_url"]
URL_NAMES: tuple[UrlName, ...] = ("websocket_url", "rest_url")
"""The two addresses of the exchange."""
Symbol = Annotated[str, Parsed(parse_symbol_entry)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeConfig:
    """Where the exchange is and what is wanted from it."""

    __pydantic_config__ = STRICT

    # Scheme, host and port, without a path.
    websocket_url: Annotated[str, Parsed(parse_websocket_url)] = WEBSOCKET_URL
    # Likewise; it must be of the same venue as the WebSocket.
    rest_url: Annotated[str, Parsed(parse_rest_url)] = REST_URL
    ca_file: Path | None = None  # trusted beside the system's certificates
    # False is for development only, and warned of.
    verify_tls: bool = True
    # `http://HOST:PORT` or `http://USER:PASSWORD@HOST:PORT`, percent-encoded, likewise `socks5` and
    # `socks5h` (docs/proxies.md), for the WebSocket and REST alike. None: as the environment has it
    # (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`); empty: no proxy, whatever the environment has.
    proxy: Annotated[SecretUrl, Parsed(checked_proxy)] | None = None
    # What is recorded, with every stream of `streams`: names, patterns such as `*USDT` (`*` any
    # characters, `?` one), `all`, and exclusions such as `!*DOWNUSDT`. Patterns choose among the
    # symbols that trade by `exchangeInfo`; those listed later join, those delisted leave.
    symbols: Annotated[tuple[Symbol, ...], Listed(), MinLen(1)] = ("BTCUSDT", "ETHUSDT", "BNBUSDT")
    # How often `exchangeInfo` is asked, where `symbols` has patterns: listings and delistings are a
    # few in a week, and an answer takes megabytes.
    symbols_every: Positive = 3600.0
    # What times are asked for in; ms only to replay frames that were recorded without asking.
    time_unit: Literal["us", "ms"] = "us"
    # Such as `trade`, `depth@100ms` or `kline_1m`: docs/data.md lists them.
    streams: Annotated[
        tuple[Annotated[str, Parsed(parse_stream)], ...], Listed(ignore_case=False), MinLen(1)
    ] = ("trade",)

    # What the environment has, by the name of the URL that is reached so.
    environment_proxies: dict[UrlName, SecretUrl] = field(default_factory=dict)

    def proxy_of(self, url: UrlName) -> SecretUrl | None:
        """Return the proxy through which one of the two is reached; None: straight."""
        if self.proxy is not None:
            return self.proxy or None
        return self.environment_proxies.get(url)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairConfig:
    """How gaps are repaired over REST, and when they are given up."""

    __pydantic_config__ = STRICT

    enabled: bool = True  # False: a gap is declared after connection.gap_wait, asked of nobody
    # Without an answer that helps. Later data of the symbol waits meanwhile: a ban begins at
    # minutes, and an hour late is better than a hole, but not a day late.
    give_up_after: Positive = 3600.0
    max_age: Positive = _DAY_SECONDS  # older trades are not fetched, they are declared missing
    # Of the exchange's request weight per minute and IP; the rest is for its other users.
    weight_per_minute: Annotated[int, Ge(1)] = REST_WEIGHT_PER_MINUTE
    # How much of `weight_per_minute` may be used when a repair asks, what others use at this IP
    # counted: the exchange tells it with each answer, so repairs yield to them. The rest is
    # for what they ask meanwhile: seven pages. With half, a back-fill took twice as long.
    weight_share: Annotated[float, Gt(0), Le(1)] = 0.97
    # Of one request as a whole.
    request_timeout: Positive = 10.0
    # Events above a gap in memory, per stream and symbol: 10 MiB; the rest waits on disk.
    held_in_memory: Annotated[int, Ge(100)] = 20_000
    clock_every: Positive = 600.0  # how often the exchange is asked for the time


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthSnapshotConfig:
    """Snapshots of order books beside the streams of their changes; they need repair.enabled."""

    __pydantic_config__ = STRICT

    # At the start of each `depth` stream and after every gap in one. False: none are stored.
    enabled: bool = True
    # And again after so long, so that a book can be rebuilt from an hour's records; 0: never.
    interval: Seconds = 3600.0
    # Of each side. More reach further from the price, and cost more of the exchange's weight
    # (5 up to 100, 25 up to 500, 50 up to 1000, else 250): below the last level nothing is known.
    levels: Annotated[int, Ge(5), Le(DEPTH_LEVELS_MAX)] = 1000
    # Of `repair.weight_per_minute`, within repair.weight_share: 24 books of 1000 levels a minute.
    weight_share: Annotated[float, Gt(0), Le(1)] = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig:
    """Where records go."""

    __pydantic_config__ = STRICT

    # `null` discards everything: for measurements.
    kind: Literal["files", "kafka", "null"] = "files"
    # Records, positions, the lock, and what waits for Kafka.
    directory: Path = Path("data")
    codec: Literal["null", "deflate"] = "null"  # the two that every Avro reader must know
    # A file of this size is complete, and the next one begins.
    rollover_bytes: Annotated[ByteCount, Ge(64 << 10)] = 128 << 20
    # A file of this age is complete, whatever its size; so is one of yesterday at midnight, UTC.
    rollover_after: Positive = 3600.0
    fsync_every: Seconds = 1.0  # what a power cut may cost; 0: after every flushed block
    rejected_bytes: ByteCount = 16 << 20  # undecodable frames kept for inspection


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConfig:
    """The cluster, its topics, and settings passed through to librdkafka."""

    __pydantic_config__ = STRICT

    # `host:port`, several with commas.
    bootstrap_servers: str = "localhost:9092"
    # By stream kind; {symbol} in a name makes a topic for each symbol.
    topics: Annotated[dict[str, str], Parsed(parse_topics)] = field(
        default_factory=lambda: {
            **{kind.name: kind.topic for kind in KINDS},
            **RECORD_TOPICS,
        }
    )
    # The two that cost the least for what they save.
    compression: Literal["lz4", "zstd"] = "lz4"
    # Without librdkafka's own 200 bytes for each record: some 24 MiB of memory when it is full,
    # of which there are 75,000 then, more than a second at the highest rate that was measured.
    queue_bytes: Annotated[ByteCount, Ge(1 << 20), Le(1 << 30)] = 8 << 20
    # On disk while Kafka is away: a day at 300 records/s, as far back as trades are repaired.
    overflow_bytes: Annotated[ByteCount, Ge(16 << 20)] = 4 << 30
    # What cannot be decoded or encoded; empty: kept in files under sink.directory alone.
    dead_letter_topic: Annotated[str, Parsed(parse_topic)] = "market.crypto.deadletters.binance"
    # Where each stream's records end, for the next start; compacted. Empty: a start begins with
    # what comes live.
    positions_topic: Annotated[str, Parsed(parse_topic)] = "market.crypto.positions.binance"
    # How many partitions each topic has; None: as many as when this streamer first wrote there.
    partitions: Annotated[int, Ge(1), Le(_INT32_MAX)] | None = None
    # True: missing topics are created with the three settings here.
    create_topics: bool = False
    # Of topics that are created, as is retention.
    replication_factor: Annotated[int, Ge(1), Le(_INT16_MAX)] = 3
    # Of topics that are created.
    retention: Positive = 7 * _DAY_SECONDS
    # For brokers and registry to answer at the start: half of supervisor.startup_timeout.
    start_within: Positive = 30.0
    # True: where streams end is noted under sink.directory, and with such notes a start begins when
    # no broker answers for some seconds: records wait in the overflow. False: it ends (code 5).
    start_without_brokers: bool = True
    # A look costs us 25 µs. A member of a group looks each second at least, since its connections
    # to brokers are found by it.
    statistics_every: Positive = 5.0
    # Passed through to librdkafka, such as `security.protocol`; what may be a secret (all but what
    # is known to hold none) comes from the file or the environment only.
    client: dict[str, ClientValue] = field(default_factory=dict, repr=False)
    allow_unsafe_client: bool = False  # acks, idempotence and the like under kafka.client
    # None: records carry Avro's single-object encoding, no registry is asked.
    schema_registry_url: Annotated[str | None, Parsed(parse_registry_url)] = None
    # False: the latest schema of each subject must be ours.
    schema_registry_register: bool = True
    schema_registry_ca_file: Path | None = None  # trusted beside the system's certificates
    # HTTP basic authentication, with `schema_registry_password`.
    schema_registry_user: str | None = None
    # A secret: from the file or the environment only.
    schema_registry_password: Secret | None = None
    schema_registry_timeout: Positive = 5.0  # of one request; they take milliseconds
    serializer_cache_size: Annotated[int, Ge(1)] = 10  # subjects, of which three are usual


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """Several streamers, on any number of machines, that share the symbols (docs/cluster.md)."""

    __pydantic_config__ = STRICT

    # True: the symbols are shared by the members of a Kafka consumer group; needs the sink `kafka`.
    enabled: bool = False
    # The consumer group's id; members of one have the same `exchange` settings.
    id: Annotated[str, MinLen(1)] = "vigil"
    # This machine's name in the group, with `.` and the streamer's name after it
    # (`group.instance.id`); None: the host name. No two may have the same.
    member: Annotated[str, MinLen(1)] | None = None
    # Whose partitions are the shards, and which carries the members' notices; compacted.
    topic: Annotated[str, Parsed(parse_topic), MinLen(1)] = "market.crypto.shards.binance"
    # How many partitions `topic` has: at least as many as there will be members, better some times
    # as many, so that the shares are alike.
    shards: Annotated[int, Ge(1), Le(1000)] = 12
    # After which a member that is not heard of has lost its shards; brokers allow 6 s and more.
    session_timeout: Annotated[Seconds, Ge(1), Le(300)] = 6.0
    # How long a shard that moves is recorded by the member before, and held by the one after.
    handover_within: Positive = 10.0

    @property
    def deliver_within(self) -> float:
        """Seconds after which a record that Kafka has not taken may be somebody else's by now.

        Less than the session: a member that is frozen was heard of a little
        before that, and the coordinator's clock goes on.
        """
        return self.session_timeout * 3 / 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryConfig:
    """How the streamer reports to whoever watches it."""

    __pydantic_config__ = STRICT

    # Of the counts; the rule *heartbeat* acts when none came for 10 s.
    report_every: Positive = 1.0
    endpoint: str | None = None  # ipc://PATH of a watcher's ROUTER socket; None: nobody listens


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardConfig:
    """Which part of the symbols is this streamer's: shard `index` of `count` on this machine."""

    index: int = 0
    count: int = 1

    def holds(self, symbol: str) -> bool:
        """Return whether a symbol, in upper case, belongs to the shard."""
        return self.count == 1 or shard_of(symbol, self.count) == self.index


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamerConfig:
    """Everything one streamer needs to know."""

    shard: ShardConfig = field(default_factory=ShardConfig)
    exchange: ExchangeConfig = field(default_factory=ExchangeConfig)
    connection: ConnectionConfig = field(default_factory=ConnectionConfig)
    repair: RepairConfig = field(default_factory=RepairConfig)
    depth_snapshots: DepthSnapshotConfig = field(default_factory=DepthSnapshotConfig)
    sink: SinkConfig = field(default_factory=SinkConfig)
    kafka: KafkaConfig = field(default_factory=KafkaConfig)
    group: GroupConfig = field(default_factory=GroupConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    name: str = "streamer-1"
    generation: int = 1  # counts the launches of this streamer by one supervisor
    telemetry_keys: TelemetryKeys | None = None  # None: the telemetry is neither signed nor secret
    supervised: bool = False  # True leaves age and silence to the watcher's rules
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    recent_log: Path | None = None  # where the last lines of the log are kept as well
    stop_within: float = 10.0  # seconds from the wish to stop to the end of the process
    term_within: float = 10.0  # the same from SIGTERM on, while there is a supervisor that ends it
    hang_after: float = 30.0  # seconds without a turn of the loop until faulthandler ends it
