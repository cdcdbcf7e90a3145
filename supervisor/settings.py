"""The settings of the whole: those of the streamer, and what watching and acting need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from annotated_types import Ge
from pydantic import Field

from monitor.web.hosts import host_and_port
from streamer.connection_config import STRICT, Positive
from streamer.settings import StreamerSettings
from streamer.settings import load as load_model
from streamer.units import Parsed, Seconds, parse_duration, parse_size
from streamer.values import Listed

AUTO: Final = "auto"
STREAMERS_MAX: Final = 64  # each takes 60 MiB and more; a machine of more cores has other limits
_RULE = {"extra": "forbid", "populate_by_name": True}  # the key `for` is a word of Python


def _listening(value: object) -> object:
    """Return an address to listen on as it stands. Raises ValueError when it is none."""
    if isinstance(value, str):
        host_and_port(value)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorConfig:
    """How often the streamer is looked at, and where the results are served."""

    __pydantic_config__ = STRICT

    sample_every: Positive = 1.0  # 13 µs a look; a breach is acted on within two of them
    profile_every: Positive = 60.0  # one sample of the profile; the predecessor's interval
    slow_sample_every: Positive = 60.0  # USS and PSS: 10 ms per GB and a lock in the target
    # `HOST:PORT` of metrics and health; port 0: any free one.
    metrics_address: Annotated[str, Parsed(_listening)] = "127.0.0.1:9091"
    # Names by which the metrics port may be asked, beside addresses and localhost; `.example.org`:
    # a domain with its subdomains, `*`: any.
    allowed_hosts: Annotated[tuple[str, ...], Listed()] = ()
    # How many streams have metrics of their own (ten series each), whole symbols at a time and the
    # first ones first; the rest is told together, as symbol `(others)`.
    metrics_streams_max: Annotated[int, Ge(0)] = 5000


def _count(value: object) -> object:
    """Return a number of streamers, or AUTO."""
    if value == AUTO:
        return AUTO
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= STREAMERS_MAX:
        return number
    raise ValueError(f"expected a number from 1 to {STREAMERS_MAX}, or {AUTO}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamersConfig:
    """How many streamers share the symbols, each a process of its own."""

    __pydantic_config__ = STRICT

    # Each symbol belongs to one of them, by its name and this number alone. `auto`: one per 1,024
    # streams, and no more than there are cores (docs/streamers.md).
    count: Annotated[int | str, Parsed(_count)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorConfig:
    """How streamers are launched, ended and launched again."""

    __pydantic_config__ = STRICT

    # Sockets; None: systemd's, else `$XDG_RUNTIME_DIR/vigil`, else a fresh one in `/tmp`.
    runtime_directory: Path | None = None
    # Evidence of runs: profiles, stack dumps, diagnoses. None: systemd's, or beside the sink's.
    state_directory: Path | None = None
    startup_timeout: Positive = 60.0  # from the launch to the first report
    # From the command to drain to SIGTERM.
    drain_grace: Positive = 10.0
    # From SIGTERM to SIGABRT.
    term_grace: Positive = 5.0
    abort_grace: Positive = 3.0  # for the stack dump
    kill_grace: Positive = 5.0  # for the kernel to take the processes away
    # Restarts within `restart_window`; one more ends the supervisor with exit code 6.
    restart_limit: Annotated[int, Ge(0)] = 5
    # In which restarts are counted.
    restart_window: Positive = 600.0
    # The delay before the first restart, doubled up to `restart_backoff_max`.
    restart_backoff_initial: Positive = 1.0
    # The longest delay before a restart.
    restart_backoff_max: Positive = 60.0
    healthy_after: Positive = 600.0  # after this long a restart begins with the first delay again
    report_every: Positive = 300.0  # the plain report in a log
    # `json`: one object per line, for programs.
    log_format: Literal["console", "json"] = "console"
    # The least severe that is logged.
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def _limit(value: object) -> object:
    """Take `450MiB` as bytes and `4h` as seconds; a rule's metric says which one is meant."""
    if isinstance(value, str):
        for parse in (parse_size, parse_duration):
            try:
                return float(parse(value))
            except ValueError:
                continue
        raise ValueError("expected a number, a size such as 450MiB or a duration such as 4h")
    return value


Limit = Annotated[float, Parsed(_limit)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleConfig:
    """One `[[rules]]` entry; one with the name of a built-in rule replaces that."""

    __pydantic_config__ = _RULE

    # As it is logged, and in the verdict.
    name: str
    # What is judged: one of the metrics of rules, with their units.
    metric: str
    # `abort` ends a soak; the others act on the streamer.
    action: Literal["warn", "rotate", "restart", "abort"]
    # A breach is a value above this; exactly one of `above` and `below` is given.
    above: Limit | None = None
    # A breach is a value below this.
    below: Limit | None = None
    # How long a breach lasts until the rule acts.
    for_: Annotated[Seconds, Field(alias="for")] = 0.0
    # After a start of the streamer the rule waits this long.
    grace: Seconds = 0.0
    cooldown: Seconds = 300.0  # one action per five minutes and cause, as a person would


class Settings(StreamerSettings):
    """Every section that there is."""

    monitor: MonitorConfig = Field(default_factory=MonitorConfig)
    streamers: StreamersConfig = Field(default_factory=StreamersConfig)
    supervisor: SupervisorConfig = Field(default_factory=SupervisorConfig)
    rules: tuple[RuleConfig, ...] = ()


def load(
    config_file: Path | None = None, assignments: Sequence[str] = (), *, dials: bool = True
) -> Settings:
    """Return the validated settings, as `streamer.settings.load`, and raise what it raises."""
    return load_model(Settings, config_file, assignments, dials=dials)
