"""What is observed and what may be wished for: frozen data, the vocabulary of the judgement.

`at` is always a monotonic time in seconds, taken by the driver; `time` is Unix time, for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from streamer.messages import Report

Mode = Literal["run", "soak"]


# What is observed -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Launched:
    """A streamer process was started."""

    streamer: str
    generation: int
    pid: int
    time: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a streamer's process from outside. A dead process yields none, never zeros."""

    streamer: str
    generation: int
    at: float
    time: float
    rss_bytes: int
    vms_bytes: int
    cpu_seconds: float  # user and system, cumulative
    threads: int
    open_files: int
    uss_bytes: int | None = None  # with the slow look each minute
    pss_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """A report came from a streamer."""

    at: float
    report: Report


@dataclass(frozen=True, slots=True)
class Collected:
    """A streamer has collected its garbage and given free memory back, as it was asked to."""

    streamer: str
    generation: int
    objects: int | None  # that the collection found; None: not told
    trimmed: bool | None  # whether the C library could give anything back


@dataclass(frozen=True, slots=True)
class Exited:
    """A streamer process ended; `expected` when we asked it to."""

    streamer: str
    generation: int
    exit_code: int  # negative: the signal's number
    expected: bool
    time: float


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; what is absent is judged now."""


Event = Launched | Sample | Reported | Collected | Exited | Tick


# What may be wished for -------------------------------------------------------------------------


class Severity(StrEnum):
    """How loud a breach is said."""

    ROUTINE = "routine"  # as planned: a connection has come of age
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule's threshold was crossed: the why of every action."""

    rule: str
    streamer: str
    generation: int
    observed: float
    limit: float
    message: str  # a sentence for people: what, how much, since when
    severity: Severity = Severity.WARNING
    slot: str | None = None
    stream: str | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Warn:
    """Say it, count it, keep it in the profile."""

    breach: Breach


@dataclass(frozen=True, slots=True)
class Collect:
    """Have the process collect its garbage and trim its heap, to see whether growth comes back."""

    breach: Breach


@dataclass(frozen=True, slots=True)
class Rotate:
    """Replace the connection of a slot (all slots when it has none) without a gap."""

    breach: Breach
    reason: str  # label of binance_connection_rotations_total


@dataclass(frozen=True, slots=True)
class Restart:
    """End the process and start its next generation, within the restart budget."""

    breach: Breach
    skip_drain: bool = False  # a process over its ceiling gets no time to grow further
    kill_now: bool = False  # SIGKILL at once: far over the ceiling, or deaf
    when_quiet: bool = False  # wait for a moment without rotation, a minute at most
    hears: bool = True  # False: it has fallen silent, and is not asked anything


@dataclass(frozen=True, slots=True)
class Abort:
    """End a soak at once: the process, then the verdict, which fails by this breach."""

    breach: Breach
    skip_drain: bool = False
    kill_now: bool = False
    hears: bool = True  # as of Restart


@dataclass(frozen=True, slots=True)
class Fail:
    """Mark a soak's verdict and go on to the end of the run."""

    breach: Breach


Action = Warn | Collect | Rotate | Restart | Abort | Fail
