"""Settings: one TOML file, `VIGIL_SECTION__KEY` over it, `--set section.key=value` over that.

Everything is validated as a whole, and every error names its key, the wrong value and what would
be right. Only the parent of a streamer comes here: children get the frozen result.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamer.config import (
    ConnectionConfig,
    ExchangeConfig,
    KafkaConfig,
    RepairConfig,
    SinkConfig,
    StreamerConfig,
    TelemetryConfig,
)
from streamer.data.streams import kind_of
from streamer.errors import SettingsError

ENVIRONMENT_PREFIX = "VIGIL_"
_SECRET_KEY = re.compile(r"pass(word|phrase)|secret|token|key[._]pem|jaas", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=//)[^/@]+(?=@)")  # user:password@ of a proxy's URL
MASK = "********"
LIVE = frozenset({"exchange.streams", "exchange.symbols"})
"""What changes while a streamer runs; everything else of its own is for the next start."""
# Fields that say how a streamer is launched: nobody sets them by hand.
LAUNCH_ONLY = ("telemetry.endpoint",)


class StreamerSettings(BaseModel):
    """The sections that a lone streamer reads; those of its watcher are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    exchange: ExchangeConfig = Field(default_factory=ExchangeConfig)
    connection: ConnectionConfig = Field(default_factory=ConnectionConfig)
    repair: RepairConfig = Field(default_factory=RepairConfig)
    sink: SinkConfig = Field(default_factory=SinkConfig)
    kafka: KafkaConfig = Field(default_factory=KafkaConfig)
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig)

    def streamer_config(self, **launch: Any) -> StreamerConfig:  # noqa: ANN401 - the config's own
        """Return what a streamer is told; `launch` holds further fields of StreamerConfig."""
        return StreamerConfig(
            exchange=self.exchange,
            connection=self.connection,
            repair=self.repair,
            sink=self.sink,
            kafka=self.kafka,
            telemetry=self.telemetry,
            **launch,
        )


_Model = TypeVar("_Model", bound=BaseModel)


def load(
    model: type[_Model],
    config_file: Path | None = None,
    assignments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> _Model:
    """Return the validated settings.

    `assignments` are the texts after `--set`, such as `connection.max_age=2h`.
    Raises SettingsError with every problem found, each on a line of its own.
    """
    values = _read_file(config_file) if config_file else {}
    _merge(values, _from_environment(os.environ if environment is None else environment))
    _merge(values, _from_assignments(assignments))
    unknown = [
        f"{section}: no such section; there are: {', '.join(sorted(KNOWN_SECTIONS))}"
        for section in values
        if section not in KNOWN_SECTIONS
    ]
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(
            "\n".join(unknown + [_explain(model, item) for item in error.errors()])
        ) from None
    problems = unknown + list(_contradictions(settings))
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


KNOWN_SECTIONS = {*StreamerSettings.model_fields, "monitor", "supervisor", "rules"}


def masked(settings: BaseModel) -> dict[str, Any]:
    """Return the effective settings as plain data, with every secret replaced."""
    dumped = settings.model_dump(mode="json")
    hidden = _mask(dumped)
    assert isinstance(hidden, dict)  # noqa: S101 - for mypy: a dict stays one
    return hidden


def changes(before: BaseModel, after: BaseModel) -> Iterator[str]:
    """Yield the keys whose values differ, such as `connection.max_age`."""
    old, new = before.model_dump(), after.model_dump()
    for section in old:
        if not isinstance(old[section], dict):
            if old[section] != new[section]:
                yield section
            continue
        yield from (
            f"{section}.{key}" for key in old[section] if old[section][key] != new[section][key]
        )


def _mask(value: Any, key: str = "") -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {name: _mask(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_mask(item, key) for item in value]
    if isinstance(value, str):
        return MASK if _SECRET_KEY.search(key) and value else _USER_INFO.sub(MASK, value)
    return value


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is no valid TOML: {error}") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Take `VIGIL_EXCHANGE__SYMBOLS` and its kin; a name without a section is not ours."""
    values: dict[str, Any] = {}
    for name, text in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            path = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            _put(values, path, _toml_or_text(text))
    return values


def _from_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        path = key.strip().split(".", 2)  # kafka.client.sasl.password: the rest is one key
        if not separator or len(path) < 2 or not all(path):
            raise SettingsError(
                f"--set {key}: section.key=value is wanted, such as connection.max_age=2h"
            )
        if _SECRET_KEY.search(key):
            raise SettingsError(
                f"--set {key.strip()}: a secret on a command line can be read by everybody on the "
                "machine; put it into the configuration file or the environment "
                f"({ENVIRONMENT_PREFIX}{'__'.join(path).replace('.', '_').upper()})"
            )
        _put(values, path, _toml_or_text(text))
    return values


def _toml_or_text(text: str) -> Any:  # noqa: ANN401 - any TOML value
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:  # noqa: ANN401
    for step in path[:-1]:
        inner = values.setdefault(step, {})
        if not isinstance(inner, dict):
            return  # the scalar in its place is what validation will complain about
        values = inner
    values[path[-1]] = value


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        else:
            below[key] = value


def _explain(model: type[BaseModel], item: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    location = [str(step) for step in item["loc"]]
    key = ".".join(location)
    if item["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        known = list(_known_keys(model, location[:-1]))
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        return f"{key}: no such key; {hint}"
    value = MASK if _SECRET_KEY.search(key) else repr(item["input"])
    message = item["msg"].removeprefix("Value error, ")
    return f"{key} = {value}: {message[0].lower()}{message[1:]}"


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
    if connection.pong_within >= connection.ping_every:
        yield (
            f"connection.pong_within = {connection.pong_within:g}: less than connection.ping_every "
            f"({connection.ping_every:g} s) is wanted, otherwise two pings are under way at once"
        )
    if connection.backoff_initial > connection.backoff_max:
        yield (
            f"connection.backoff_initial = {connection.backoff_initial:g}: at most "
            f"connection.backoff_max ({connection.backoff_max:g} s) is wanted"
        )
    kafka: KafkaConfig = getattr(settings, "kafka", KafkaConfig())
    if (kafka.schema_registry_user is None) != (kafka.schema_registry_password is None):
        yield "kafka.schema_registry_user and kafka.schema_registry_password: both or none"
    for kind in dict.fromkeys(map(kind_of, exchange.streams)):
        if kind not in kafka.topics:
            yield f"kafka.topics: has no topic for the stream {kind}"
