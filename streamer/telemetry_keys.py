"""The keys of one launch, for the telemetry between a streamer and its watcher."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryKeys:
    """What one launch proves itself with to its watcher, and the watcher to it: CURVE keys, Z85.

    They reach the streamer through the pipe of its spawn: never argv, environment or a file.
    """

    public: str
    secret: Secret
    server: str  # the watcher's public key; nobody else is obeyed
