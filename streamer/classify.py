"""What a frame is that is no plain event of a subscribed stream. The slow path."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

import msgspec

from streamer.data.catalogue import BY_NAME, KINDS, kind_of
from streamer.data.checks import UNDECODABLE, rejection
from streamer.errors import FrameRejected
from streamer.routes import Route, Routes

UNSUPPORTED_KINDS = frozenset(f"{window}Ticker" for window in ("1h", "4h", "1d"))
"""Documented event types without a schema of ours; also counted: `list` for the arrays of
all-market streams, and `other`."""
_EVENT_TYPES = frozenset(kind.event_type for kind in KINDS)
_UNTYPED = tuple(kind for kind in KINDS if kind.untyped_keys)


@dataclass(frozen=True, slots=True)
class ServerShutdown:
    """The exchange is about to close this connection."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An event of a stream that has ended here, which was under way."""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A well-formed event of a kind that has no schema yet."""

    kind: str


def classify(payload: bytes, routes: Routes) -> Route | ServerShutdown | Ended | Unsupported:
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
    if kind in _EVENT_TYPES:
        raise FrameRejected("not_combined", f"an event {kind} without its stream's name")
    if kind == "other" and "e" not in message:
        raise FrameRejected("unknown_shape", f"no event: {_short(message)}")
    return Unsupported(kind)


def _of_stream(
    name: object, data: object, routes: Routes
) -> Route | ServerShutdown | Ended | Unsupported:
    if isinstance(name, str) and (route := routes.by_name.get(name)):
        return route
    if isinstance(name, str) and name in routes.ended:
        return Ended()
    if isinstance(data, list):
        return Unsupported("list")
    if not isinstance(name, str) or not isinstance(data, dict):
        raise FrameRejected("wrong_type", f"stream {_short(name)} with data {_short(data)}")
    if data.get("e") == "serverShutdown":
        return ServerShutdown()
    kind = _kind(data)
    if kind in _EVENT_TYPES or kind_of(name.partition("@")[2]) in BY_NAME:
        raise FrameRejected("unknown_stream", f"nobody asked for {name[:80]!r}")
    return Unsupported(kind)


def _kind(data: dict[str, Any]) -> str:
    event_type = data.get("e")
    if event_type is None:
        for kind in _UNTYPED:
            if kind.untyped_keys <= data.keys():
                return kind.event_type
    if isinstance(event_type, str) and (
        event_type in UNSUPPORTED_KINDS or event_type in _EVENT_TYPES
    ):
        return event_type
    return "other"  # few labels, whatever is sent


def _short(value: object) -> str:
    """Return a value's beginning; never all of it, which may be as deep as can be decoded."""
    text = reprlib.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
