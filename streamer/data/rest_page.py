"""A request to the exchange's REST interface, and how a page of its answer is read. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from streamer.data.events import Event

ANSWER_BYTES_MAX = 4 << 20  # 1000 trades take 200 kB


@dataclass(frozen=True, slots=True)
class RestRequest:
    """What is asked: an endpoint below `binance_spot.REST_PATH`, its parameters and its weight."""

    endpoint: str
    parameters: tuple[tuple[str, str], ...]
    weight: int
    answer_bytes_max: int = ANSWER_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Unusable:
    """An element of a page that no record can be made of, though it has an id."""

    id: int
    content: bytes
    error: str


_raw = msgspec.json.Decoder(list[msgspec.Raw])
_T = TypeVar("_T")
_NumberedT = TypeVar("_NumberedT")
_EventT = TypeVar("_EventT", bound=Event)


def decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """Decode JSON. Raises ValueError."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not the documented JSON: {error}") from error


def elements(
    page: msgspec.json.Decoder[list[_T]],
    element: msgspec.json.Decoder[_T],
    numbered: msgspec.json.Decoder[_NumberedT],
    id_of: Callable[[_NumberedT], int],
    body: bytes,
    unusable: list[Unusable] | None,
) -> list[_T]:
    """Decode a page: at once, or one by one where something is wrong with an element.

    `numbered` decodes what an element needs for its id to be known, which `id_of` returns.
    """
    try:
        return decode(page, body)
    except ValueError:
        if unusable is None:
            raise
    found = []
    for raw in decode(_raw, body):
        content = bytes(raw)
        try:
            found.append(decode(element, content))
        except ValueError as error:
            unusable.append(Unusable(id_of(decode(numbered, content)), content, str(error)))
    return found


def ascending(events: list[_EventT]) -> list[_EventT]:
    """Return the events. Raises ValueError unless each id is above the one before."""
    for before, after in itertools.pairwise(events):
        if before.id >= after.id:
            raise ValueError(f"ids are not ascending: {after.id} after {before.id}")
    return events
