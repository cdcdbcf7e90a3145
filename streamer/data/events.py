"""The exchange's events, as typed as JSON can say: what all kinds have in common.

Each kind has its own type in `streamer.data.kinds`. Field names are readable there and single
letters on the wire; `id` is the number that orders a stream (`t`, `a` or `u`). Prices and
quantities stay the text that came, times are in the connection's unit until `Route.decode` has made
them microseconds. Fields that are not named are ignored: `M` of trades, which the exchange
documents as to be ignored, and what other venues add. Checks test what a type cannot say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec


class Event(Protocol):
    """What orders an event, and whose it is."""

    @property
    def id(self) -> int:
        """The number that orders its stream."""

    @property
    def symbol(self) -> str:
        """In upper case."""


FILLED = "filled"
"""The reason of a record that closes a gap: what it declared was stored later."""


class GapRecord(msgspec.Struct, frozen=True, gc=False):
    """What is missing of a stream, for good: a record beside those of the stream.

    Ids where the stream has contiguous ones, both ends included; otherwise the time in which
    nothing was received, in Unix microseconds.
    """

    id: int  # `first_id`, or `from_time`
    symbol: str
    stream: str
    reason: str  # one of repair.REASONS, or FILLED
    first_id: int | None = None
    last_id: int | None = None
    missing: int | None = None
    from_time: int | None = None
    to_time: int | None = None
    epoch: int = 0  # which numbering the ids are of; not a field of the record, but in its id
    later: int = 0  # 1: written by a back-fill; not a field of the record, but in its id


EventT = TypeVar("EventT")


class Envelope(msgspec.Struct, Generic[EventT], gc=False):
    """A frame of a combined stream; its `stream` is known before it is decoded."""

    data: EventT


def envelope_decoder(event_type: Any) -> Callable[[bytes], Envelope[Any]]:  # noqa: ANN401 - a type
    """Return what decodes the frames of a stream kind with events of this type.

    The decoder raises msgspec.MsgspecError or UnicodeDecodeError.
    """
    return msgspec.json.Decoder(Envelope[event_type]).decode
