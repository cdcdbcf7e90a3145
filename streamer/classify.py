"""What a frame is that is no plain event of a subscribed stream. The slow path."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

import msgspec

from streamer.data.checks import UNDECODABLE, rejection
from streamer.data.events import EVENT_TYPES, KINDS_BY_EVENT_TYPE
from streamer.data.streams import kind_of
from streamer.errors import FrameRejected
from streamer.routes import Route, Routes

UNSUPPORTED_KINDS = frozenset({"avgPrice", *(f"{window}Ticker" for window in ("1h", "4h", "1d"))})
"""Documented event types without a schema of ours; also counted: `partialDepth`, which has no
type, `list` for the arrays of all-market streams, and `other`."""


@dataclass(frozen=True, slots=True)
class ServerShutdown:
    """The exchange is about to close this connection."""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A well-formed event of a kind that has no schema yet."""

    kind: str


def classify(payload: bytes, routes: Routes) -> Route | ServerShutdown | Unsupported:
    """Return what a frame is that is no control answer and that `routes.find` did not know.

    A Route means an event all the same, written in another way. Raises FrameRejected.
    """
    try:
        message = msgspec.json.decode(payload)
    except UNDECODABLE as error:
        raise rejection(error) from error
    if isinstance(message, list):  # a raw all-market stream
        return Unsupported("list")
    if not isinstance(message, dict):
        raise FrameRejected("unknown_shape", f"expected an object, not {_short(message)}")
    if "stream" in message and "data" in message:
        return _of_stream(message["stream"], message["data"], routes)
    if "stream" in message:
        raise FrameRejected("missing_field", "an envelope without `data`")
    if message.get("e") == "serverShutdown":
        return ServerShutdown()
    kind = _kind(message)
    if kind in KINDS_BY_EVENT_TYPE:
        raise FrameRejected("not_combined", f"an event {kind} without its stream's name")
    if kind == "other" and "e" not in message:
        raise FrameRejected("unknown_shape", f"no event: {_short(message)}")
    return Unsupported(kind)


def _of_stream(name: object, data: object, routes: Routes) -> Route | ServerShutdown | Unsupported:
    if isinstance(name, str) and (route := routes.by_name.get(name)):
        return route
    if isinstance(data, list):
        return Unsupported("list")
    if not isinstance(name, str) or not isinstance(data, dict):
        raise FrameRejected("wrong_type", f"stream {_short(name)} with data {_short(data)}")
    if data.get("e") == "serverShutdown":
        return ServerShutdown()
    kind = _kind(data)
    if kind in KINDS_BY_EVENT_TYPE or kind_of(name.partition("@")[2]) in EVENT_TYPES:
        raise FrameRejected("unknown_stream", f"nobody asked for {name[:80]!r}")
    return Unsupported(kind)


def _kind(data: dict[str, Any]) -> str:
    event_type = data.get("e")
    if event_type is None and "lastUpdateId" in data:
        return "partialDepth"
    if event_type is None and {"u", "b", "B", "a", "A"} <= data.keys():
        return "bookTicker"
    if isinstance(event_type, str) and (
        event_type in UNSUPPORTED_KINDS or event_type in KINDS_BY_EVENT_TYPE
    ):
        return event_type
    return "other"  # few labels, whatever is sent


def _short(value: object) -> str:
    """Return a value's beginning; never all of it, which may be as deep as can be decoded."""
    text = reprlib.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
