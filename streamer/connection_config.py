"""How connections live: what the streamer does and the supervisor judges by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Ge, Gt, Le

from streamer.units import ByteCount, Seconds

STRICT = {"extra": "forbid"}  # a misspelt key is an error, never a default in disguise
Positive = Annotated[Seconds, Gt(0)]
_DAY_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionConfig:
    """How connections live, and when they are given up."""

    __pydantic_config__ = STRICT

    # The exchange cuts at 24 h; six rotations a day keep them an everyday thing.
    max_age: Annotated[Seconds, Gt(0), Le(_DAY_SECONDS)] = 4 * 3600.0
    # For TCP, TLS and the upgrade together, and again for the answer to SUBSCRIBE.
    handshake_timeout: Positive = 10.0
    stale_after: Seconds = 30.0  # silence of one symbol's stream; 0 disables
    # Of our own; the exchange's pings are answered at once.
    ping_every: Positive = 180.0
    # After which a connection that does not answer is rotated.
    pong_within: Positive = 10.0
    # The first delay before a new attempt, with full jitter; doubled up to `backoff_max`.
    backoff_initial: Positive = 0.5
    # The longest delay between two attempts.
    backoff_max: Positive = 60.0
    # Of the exchange's 300 per window and IP; the rest is left for people.
    attempts_limit: Annotated[int, Ge(1)] = 250
    # In which at most `attempts_limit` connections are attempted.
    attempts_window: Positive = 300.0
    rotation_overlap: Seconds = 5.0  # how long a quiet stream is heard on both connections
    close_timeout: Positive = 2.0  # the server may never answer a close handshake
    gap_wait: Seconds = 1.0  # another connection or a late frame may bring missing ids
    # The shortest time between two reads while little comes; 0: as it comes. At 100 messages a
    # second `50ms` takes 0.6 of the CPU, and adds 25 ms of latency on average, 50 at most.
    read_interval: Annotated[Seconds, Ge(0), Le(1.0)] = 0.0
    # The largest payload known, a depth snapshot, stays below 100 kB.
    max_message_bytes: Annotated[ByteCount, Ge(1024)] = 1 << 20


CONNECTION_DEFAULTS: Final = ConnectionConfig()
"""What the judgement goes by where a profile does not say what was set."""
