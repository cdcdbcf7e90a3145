"""What a kind of stream is: everything that the streamer has to know of it, in one record.

A *stream* is what is subscribed: `trade`, `depth@100ms`, `kline_1m`. Its *kind* decides schema,
topic and directory: `depth` and `depth@100ms` are one kind, and so are the klines of all
intervals. Each kind is a module of `streamer.data.kinds`, which ends in its `KIND`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from streamer.data.events import Event
from streamer.data.record_head import Encode, RecordHead
from streamer.data.rest_page import RestRequest, Unusable

Ordering = Literal["contiguous", "aggregates", "ranges", "increasing", "candles"]
"""What the ids of a kind promise, which decides its sequence and what an audit can tell: each
follows the one before (`contiguous`), and so do the trades that it sums up (`aggregates`); each
event covers a range of ids that follows the one before (`ranges`); ids grow by any step
(`increasing`); open times of candles, each with several events (`candles`)."""

Check = Callable[[Any, int, int], None]
"""Takes an event, the earliest and the latest Unix time in microseconds that can be, and raises
FrameRejected."""


@dataclass(frozen=True, slots=True)
class RecordFields:
    """The fields of the kind's schema that tell what is missing, and those for people.

    All records have symbol, received_time and source. `ordering` names what the order takes: whole
    numbers, or a boolean as 0 and 1. `number` is the one among them that tells records apart.
    """

    ordering: tuple[str, ...]
    number: str
    shown: tuple[str, ...]  # for people, on a line of a terminal
    part: str | None = None  # the field that tells the streams of a kind apart
    part_prefix: str = ""  # of its value, in the name of the stream
    time: str | None = None  # the field that rises with the number, where REST fills holes


@dataclass(frozen=True, slots=True)
class Past:
    """How the past of a kind is asked for over REST, by id or by time.

    `request(stream, symbol, first_id, limit)` returns the request for the events from an id on.
    `read(stream, symbol, body, factor, unusable)` returns the events of an answer; times are
    multiplied by `factor` to be microseconds. It raises ValueError for anything but the documented
    JSON; an element of which the id alone can be read goes to `unusable` instead, if that is given.
    `is_same(streamed, told)` returns whether both say the same, which came under the same id.
    """

    request: Callable[[str, str, int, int], RestRequest]
    read: Callable[[str, str, bytes, int, list[Unusable] | None], list[Any]]
    is_same: Callable[[Any, Any], bool]


def _no_times(event: Any) -> Any:  # noqa: ANN401 - any kind's event
    return event


def _id(event: Event) -> int:
    return event.id


def _differs(first: object, copy: object) -> bool:
    return first != copy


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamKind:
    """One kind of stream.

    `check_of(stream)` returns the check of a stream's events, `encoder(head)` their encoder.
    `differs(first, copy)` returns whether an event that came again under the same id is no copy.
    """

    name: str  # of its schema, its directory and its key in `kafka.topics`
    streams: tuple[str, ...]  # what can be subscribed; none where it is asked for over REST
    event: type[Any]  # a msgspec.Struct that satisfies Event; its name is that of the schema
    event_type: str  # `e` on the wire, or what classification calls it
    topic: str  # unless the settings say otherwise
    ordering: Ordering
    fields: RecordFields
    check_of: Callable[[str], Check]
    encoder: Callable[[RecordHead], Encode]
    in_microseconds: Callable[[Any], Any] = _no_times  # from an event of a connection in ms
    last_id: Callable[[Any], int] = _id  # the highest id that an event covers
    differs: Callable[[Any, Any], bool] = _differs
    past: Past | None = None  # None: it cannot be asked for
    # Which field of events tells whether ids began anew: the time of matching is the same on every
    # connection, the time of the event is that of the server that made it.
    clock: Literal["trade_time", "event_time"] | None = None
    ids_are_times: bool = False
    untyped_keys: frozenset[str] = frozenset()  # of payloads without `e`, by which they are known
    names_symbol: bool = True  # whether payloads do; else the frame's stream alone does

    @property
    def is_contiguous(self) -> bool:
        """Whether its events have ids without holes."""
        return self.ordering in ("contiguous", "aggregates")
