"""The exceptions of this package.

    StreamerError                   exit code 1
    ├── SettingsError                         2  a setting is wrong: key, value, cure
    ├── HandshakeError                        5  a connection could not be opened
    │   └── UpgradeError                      5  … because of the HTTP status in the answer
    ├── network.frames.ProtocolError          1  the server broke RFC 6455
    ├── ConnectionLost                        1  the TCP or TLS stream is over
    ├── ConnectionEnded                       1  a WebSocket connection is over, and why
    ├── FrameRejected                         1  a frame cannot be decoded, or says what cannot be
    ├── SinkUnavailable                       5  the sink cannot be opened
    │   ├── SinkAway                          5  … since nothing answered, which may later
    │   └── SinkNotReady                      5  … for a stream yet: what it needs is being made
    ├── SinkLost                              1  its directory was removed while it wrote there
    └── MemberRefused                         2  the group has another one of the same name

`exit_code` is the exit code of a process that ends because of the error. While it streams, the
feed answers the errors of connections by connecting again, so that they end no process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar


class StreamerError(Exception):
    """Base of all errors that this package raises on purpose; its text is for people."""

    exit_code: ClassVar[int] = 1


class SettingsError(StreamerError):
    """A setting cannot work; the text names the key, what is wrong and what would be right."""

    exit_code = 2


class HandshakeError(StreamerError):
    """A connection could not be opened.

    `error_type` is a stable label for metrics: dns, refused, unreachable, timeout, proxy, tls,
    upgrade or lost. `retry_after_seconds` is what the server asked for, if it did.
    """

    exit_code = 5

    def __init__(
        self, error_type: str, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.retry_after_seconds = retry_after_seconds


class UpgradeError(HandshakeError):
    """The server answered the upgrade with an HTTP `status` other than 101.

    429 and 418 are the exchange's rate limits, 403 its firewall.
    """

    def __init__(
        self, message: str, *, status: int, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__("upgrade", message, retry_after_seconds=retry_after_seconds)
        self.status = status

    @property
    def is_limit(self) -> bool:
        """Whether the exchange refuses everybody at this IP for a time."""
        return self.status in (418, 429)


class ConnectionLost(StreamerError):  # noqa: N818 - an event of every day, not a fault
    """The byte stream is over: no more can be received or sent.

    `reason` is a stable label: eof, reset, timeout, tls, network or send_buffer_full.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class ConnectionEnded(StreamerError):  # noqa: N818 - as ConnectionLost
    """A WebSocket connection is over; everything that came before has been delivered.

    `reason` is a stable label: closed (as we asked), close_timeout (not answered in time),
    server_close, protocol_error, pong_timeout, subscribe_timeout, subscription_refused, or one of
    ConnectionLost. `code` is the close code that came from the server, 1006 for an end without
    one. `detail` is a sentence for people.
    """

    def __init__(self, reason: str, code: int, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.code = code
        self.detail = detail


class FrameRejected(StreamerError):  # noqa: N818 - the frame's fault, not ours
    """A frame is no event: it cannot be decoded, or holds values that cannot be.

    `error_type` is one of `streamer.data.checks.ERROR_TYPES`, a stable label for metrics.
    """

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class SinkUnavailable(StreamerError):  # noqa: N818 - mostly a matter of the surroundings
    """The sink cannot be opened: directory, permissions, another writer, client settings."""

    exit_code = 5


class SinkAway(SinkUnavailable):
    """What the sink is to write to does not answer; later it may."""


class SinkNotReady(SinkUnavailable):
    """What a stream needs in the sink is being made; `is_over()` tells when to ask again."""

    def __init__(self, message: str, is_over: Callable[[], bool]) -> None:
        super().__init__(message)
        self.is_over = is_over


class SinkLost(StreamerError):  # noqa: N818 - what others did to its directory
    """What the sink writes has lost its place: removed, renamed, or another directory is there."""


class MemberRefused(StreamerError):  # noqa: N818 - mostly a matter of settings
    """A streamer can be no member of its group: another start would have the same end."""

    exit_code = 2
