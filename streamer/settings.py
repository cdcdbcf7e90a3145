"""Settings: one TOML file, `VIGIL_SECTION__KEY` over it, `--set section.key=value` over that.

The sources are read by `streamer.setting_sources`, which wraps secrets before anything sees them.

Everything is validated as a whole, and every error names its key, the wrong value and what would
be right. Only the parent of a streamer comes here: children get the frozen result.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamer.config import (
    URL_NAMES,
    DepthSnapshotConfig,
    ExchangeConfig,
    GroupConfig,
    KafkaConfig,
    RepairConfig,
    SinkConfig,
    StreamerConfig,
    TelemetryConfig,
    UrlName,
)
from streamer.connection_config import ConnectionConfig
from streamer.data.catalogue import kind_of
from streamer.dialing.environment import environment_proxy
from streamer.errors import SettingsError
from streamer.listing.patterns import SymbolPatterns
from streamer.secret import SecretUrl, without_credentials
from streamer.setting_errors import expected
from streamer.setting_sources import from_assignments, from_environment, from_file
from streamer.values import SYMBOL_PLACE
from streamer.venues import contradiction

_SHOWN_CHARACTERS = 100  # of a wrong value or key
_PROBLEMS_SHOWN = 50
LIVE = frozenset({"exchange.streams", "exchange.symbols"})
"""What changes while a streamer runs; everything else of its own is for the next start."""
# Fields that are filled in where settings are loaded or a streamer is launched, never by hand.
LAUNCH_ONLY = ("telemetry.endpoint", "exchange.environment_proxies")


class StreamerSettings(BaseModel):
    """The sections that a lone streamer reads; those of its watcher are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    exchange: ExchangeConfig = Field(default_factory=ExchangeConfig)
    connection: ConnectionConfig = Field(default_factory=ConnectionConfig)
    repair: RepairConfig = Field(default_factory=RepairConfig)
    depth_snapshots: DepthSnapshotConfig = Field(default_factory=DepthSnapshotConfig)
    sink: SinkConfig = Field(default_factory=SinkConfig)
    kafka: KafkaConfig = Field(default_factory=KafkaConfig)
    group: GroupConfig = Field(default_factory=GroupConfig)
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig)

    def streamer_config(self, **launch: Any) -> StreamerConfig:  # noqa: ANN401 - the config's own
        """Return what a streamer is told; `launch` holds further fields of StreamerConfig."""
        return StreamerConfig(
            exchange=self.exchange,
            connection=self.connection,
            repair=self.repair,
            depth_snapshots=self.depth_snapshots,
            sink=self.sink,
            kafka=self.kafka,
            group=self.group,
            telemetry=self.telemetry,
            **launch,
        )


_Model = TypeVar("_Model", bound=BaseModel)


def load(
    model: type[_Model],
    config_file: Path | None = None,
    assignments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    *,
    dials: bool = True,
) -> _Model:
    """Return the validated settings.

    `assignments` are the texts after `--set`, such as `connection.max_age=2h`. With `dials` false
    the exchange is not to be reached: no matter what proxy a login shell's environment names.
    Raises SettingsError with every problem found, each on a line of its own.
    """
    environment = os.environ if environment is None else environment
    values = from_file(model, config_file) if config_file else {}
    _merge(values, from_environment(model, environment))
    _merge(values, from_assignments(model, assignments))
    unknown = [
        f"{_shown_key(section)}: no such section; there are: {', '.join(sorted(KNOWN_SECTIONS))}"
        for section in values
        if section not in KNOWN_SECTIONS
    ]
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        raise _wrong(unknown + [_explain(model, item) for item in error.errors()]) from None
    unusable: list[str] = []
    if dials:
        settings, unusable = _with_environment_proxies(settings, environment)
    problems = unknown + unusable + list(_contradictions(settings))
    if problems:
        raise _wrong(problems)
    return settings


def _with_environment_proxies(
    settings: _Model, environment: Mapping[str, str]
) -> tuple[_Model, list[str]]:
    """Return the settings with the environment's proxies, unless they have one, and problems."""
    exchange: ExchangeConfig | None = getattr(settings, "exchange", None)
    if exchange is None or exchange.proxy is not None:
        return settings, []
    proxies: dict[UrlName, SecretUrl] = {}
    problems: list[str] = []
    for name in URL_NAMES:
        try:
            if proxy := environment_proxy(getattr(exchange, name), environment):
                proxies[name] = proxy
        except ValueError as error:
            problems.append(str(error))
    exchange = dataclasses.replace(exchange, environment_proxies=proxies)
    return settings.model_copy(update={"exchange": exchange}), list(dict.fromkeys(problems))


def _wrong(problems: list[str]) -> SettingsError:
    left_out = len(problems) - _PROBLEMS_SHOWN
    told = problems[:_PROBLEMS_SHOWN] + ([f"and {left_out} more"] if left_out > 0 else [])
    return SettingsError("\n".join(told))


KNOWN_SECTIONS = {
    *StreamerSettings.model_fields,
    "monitor",
    "streamers",
    "supervisor",
    "rules",
}


def masked(settings: BaseModel) -> dict[str, Any]:
    """Return the effective settings as plain data, with every secret replaced."""
    dumped = settings.model_dump(mode="json")  # where a Secret shows its mask
    return {section: _without_credentials(values) for section, values in dumped.items()}


def changes(before: BaseModel, after: BaseModel) -> Iterator[str]:
    """Yield the keys whose values differ, such as `connection.max_age`."""
    old, new = before.model_dump(), after.model_dump()
    for section in old:
        if not isinstance(old[section], dict):
            if old[section] != new[section]:
                yield section
            continue
        keys = [
            f"{section}.{key}" for key in old[section] if old[section][key] != new[section][key]
        ]
        yield from (key for key in keys if key not in LAUNCH_ONLY)


def _without_credentials(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Mask what looks like a URL's password in a text that is no secret by its type."""
    if isinstance(value, dict):
        return {name: _without_credentials(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_credentials(item) for item in value]
    return without_credentials(value) if isinstance(value, str) else value


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        else:
            below[key] = value


def _explain(model: type[BaseModel], item: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    location = [str(step) for step in item["loc"]]
    key = _shown_key(".".join(location))
    if item["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        known = list(_known_keys(model, location[:-1]))
        near = difflib.get_close_matches(location[-1][:_SHOWN_CHARACTERS], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        return f"{key}: no such key; {hint}"
    message = expected(item)
    if len(location) == 1:
        return f"{key}: {message}"  # a whole section: whatever it holds instead of keys
    return f"{key} = {_shown(item['input'])}: {message}"


def _shown_key(key: str) -> str:
    return key[:_SHOWN_CHARACTERS].encode("unicode_escape").decode()


def _shown(value: Any) -> str:  # noqa: ANN401 - any value
    """Return a wrong value for people, without what is secret in it."""
    if isinstance(value, dict) and value:
        return "a table"
    if isinstance(value, (list, tuple)) and value:
        return "a list"
    if isinstance(value, str):
        value = without_credentials(value)
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _known_keys(model: type[BaseModel], location: Sequence[str]) -> Iterator[str]:
    if not location:
        yield from KNOWN_SECTIONS
        return
    field = model.model_fields.get(location[0])
    section = getattr(field, "annotation", None)
    names = getattr(section, "__dataclass_fields__", None) or getattr(section, "model_fields", {})
    yield from (name for name in names if f"{location[0]}.{name}" not in LAUNCH_ONLY)


def _contradictions(settings: BaseModel) -> Iterator[str]:
    """Say what no single value can show: values that do not go together."""
    exchange: ExchangeConfig | None = getattr(settings, "exchange", None)
    connection: ConnectionConfig | None = getattr(settings, "connection", None)
    if exchange is None or connection is None:
        return
    if SymbolPatterns(exchange.symbols).is_empty:
        yield "exchange.symbols: only exclusions; expected a symbol, a pattern, or all beside them"
    if problem := contradiction(exchange.websocket_url, exchange.rest_url):
        yield problem
    if connection.pong_within >= connection.ping_every:
        yield (
            f"connection.pong_within = {connection.pong_within:g}: expected less than "
            f"connection.ping_every ({connection.ping_every:g} s), "
            "otherwise two pings are under way at once"
        )
    if connection.backoff_initial > connection.backoff_max:
        yield (
            f"connection.backoff_initial = {connection.backoff_initial:g}: expected at "
            f"most connection.backoff_max ({connection.backoff_max:g} s)"
        )
    kafka: KafkaConfig = getattr(settings, "kafka", KafkaConfig())
    if (kafka.schema_registry_user is None) != (kafka.schema_registry_password is None):
        yield "kafka.schema_registry_user and kafka.schema_registry_password: both or none"
    for kind in dict.fromkeys(map(kind_of, exchange.streams)):
        if kind not in kafka.topics:
            yield f"kafka.topics: has no topic for the stream {kind}"
    group: GroupConfig = getattr(settings, "group", GroupConfig())
    if group.enabled:
        yield from _group_contradictions(settings, kafka)


def _group_contradictions(settings: BaseModel, kafka: KafkaConfig) -> Iterator[str]:
    sink: SinkConfig = getattr(settings, "sink", SinkConfig())
    if sink.kind != "kafka":
        yield f"group.enabled: needs sink.kind = kafka, whose group it is; it is {sink.kind}"
    if not kafka.positions_topic:
        yield "group.enabled: needs kafka.positions_topic: members go on where others have ended"
    named = sorted(kind for kind, topic in kafka.topics.items() if SYMBOL_PLACE in topic)
    if named:
        yield (
            f"group.enabled: expected kafka.topics without {SYMBOL_PLACE}, since symbols come and "
            f"go; it is in {', '.join(named)}"
        )
