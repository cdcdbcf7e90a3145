"""From a frame to the stream that it belongs to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Literal

import msgspec

from streamer.data.catalogue import BY_STREAM
from streamer.data.checks import UNDECODABLE, TimeWindow, rejection
from streamer.data.events import Event, envelope_decoder
from streamer.errors import FrameRejected
from streamer.order.coverage import Coverage
from streamer.order.epochs import EpochWatch
from streamer.order.held_back import HeldBack
from streamer.order.positions import Position
from streamer.order.sequences import Arrival, Waiting, sequence_of

TimeUnit = Literal["us", "ms"]

JUMP_LIMIT = 1_000_000_000
"""Ids between an event and the next one at most: months of the busiest symbol's trades."""
JUMP_US = 30 * 24 * 3600 * 1_000_000
"""The time that JUMP_LIMIT is for, in microseconds."""
GAP, SNAPSHOT = "gap", "depthSnapshot"
RECORD_KINDS = frozenset({GAP, SNAPSHOT})
"""Kinds of records that are of no stream: no start goes on after the last one of them."""
EARLIER_IDS_US = 60 * 1_000_000
"""How long after its ids began anew an event of the earlier ones may come late, in microseconds:
above a stall of a connection that nothing has ended yet."""
FAR_IDS = 100_000
"""Ids that are further from each other than those of an outage of a minute."""
_NO_CEILING = 1 << 63
_STREAM = b'{"stream":'  # how the exchange begins every frame of a combined stream


class Route:
    """One subscribed stream of one symbol: its decoder, its order and its counts.

    `stream` is what comes after `@` on the wire and what users name (`depth@100ms`); its `kind`
    decides schema, topic and directory (`depth`), see `streamer.data.stream_kind`.
    `time_unit` is what the connection was asked for (`timeUnit=MICROSECOND` or nothing), never
    guessed; events come out in microseconds. `repaired` is the sequence whose gaps are to be asked
    for before they are declared; None where that is not wanted, or the past cannot be asked for.
    """

    __slots__ = (
        "_check",
        "_decode",
        "_id_ceiling",
        "_in_milliseconds",
        "_jump_limit",
        "_strict_until_us",
        "_window",
        "anew",
        "book_awaited",
        "book_lost",
        "coverage",
        "epoch",
        "epochs_total",
        "held",
        "kind",
        "latest",
        "leaving",
        "left",
        "name",
        "received_us",
        "repaired",
        "repaired_gaps_total",
        "repaired_total",
        "resumed_us",
        "sequence",
        "stream",
        "stream_kind",
        "symbol",
    )

    def __init__(
        self,
        stream: str,
        symbol: str,
        *,
        time_unit: TimeUnit = "us",
        window: TimeWindow,
        gap_wait_seconds: float = 1.0,
        waiting: Waiting | None = None,
    ) -> None:
        self.stream = stream
        self.stream_kind = stream_kind = BY_STREAM[stream]
        self.kind = stream_kind.name
        self.symbol = symbol
        self.name = f"{symbol.lower()}@{stream}"
        self.sequence, self.repaired = sequence_of(
            stream_kind, stream, wait_seconds=gap_wait_seconds, waiting=waiting
        )
        self.epoch = 0  # which numbering its ids are of: 0, or when it began, Unix seconds
        self.epochs_total = 0  # that have begun here
        self.anew: EpochWatch[Arrival] = EpochWatch()
        self.latest: Event | None = None  # the last one that was forwarded
        # Whether changes of its book are missing that no snapshot makes up for; None: nobody keeps
        # account of that (`streamer.repair.depth_snapshots`).
        self.book_lost: bool | None = None
        self.book_awaited = False  # there was no snapshot of use yet since it began
        self.coverage = Coverage()  # of time, where ids tell of no gaps
        # What came before it is known after which record to go on, see `Ingest.open`: connection,
        # payload, Unix microseconds. None: it is known.
        self.held: HeldBack[tuple[Any, bytes, int]] | None = None
        self.leaving = False  # no longer wanted, though frames of it may still come
        self.left: Position | None = None  # where it had ended, until that it did is on record
        self.repaired_total = 0  # ids that REST brought
        self.repaired_gaps_total = 0
        self.received_us: int | None = None  # Unix time of the last arrival, copies included
        self._decode = envelope_decoder(stream_kind.event)
        self._check = stream_kind.check_of(stream)
        self._window = window
        # Times as ids need no check of jumps: that of times is closer.
        self._id_ceiling = _NO_CEILING if stream_kind.ids_are_times else -1
        self._jump_limit, self._strict_until_us = JUMP_LIMIT, 0
        self.resumed_us: int | None = None  # when an earlier run received the last one
        self._in_milliseconds = time_unit == "ms"

    @property
    def heard_us(self) -> int | None:
        """When its last event was received, if need be by an earlier run: Unix microseconds."""
        return self.received_us or self.resumed_us

    def resume(self, position: Position) -> None:
        """Go on after the last record in the sink. To be called before anything is decoded."""
        self.sequence.start_after(position.last_id)
        self.epoch = position.epoch
        self.resumed_us = position.received_us

    def begin_anew(self, epoch: int, first_id: int, last_id: int, received_us: int) -> None:
        """Go on in an epoch with ids from `first_id` on; the earlier ones had reached `last_id`.

        What another connection brings late of the earlier ids is far above the new ones: it is
        refused for a while, or it would look like the latest, and what follows like copies.
        """
        self.epoch = epoch
        self.epochs_total += 1
        if not self.stream_kind.ids_are_times:
            self._id_ceiling = -1  # is checked from the next event on
            half = (last_id - first_id) // 2
            self._jump_limit = half if FAR_IDS <= half < JUMP_LIMIT else JUMP_LIMIT
            self._strict_until_us = received_us + EARLIER_IDS_US

    def decode(self, payload: bytes, received_us: int) -> Event:
        """Return the event of a frame of this stream, checked, times in microseconds.

        `received_us` is the Unix time of its arrival. Raises FrameRejected.
        """
        try:
            event: Event = self._decode(payload).data
        except UNDECODABLE as error:
            raise rejection(error) from error
        if self._in_milliseconds:
            event = self.stream_kind.in_microseconds(event)
        if event.symbol != self.symbol:
            event = self._with_symbol(event)
        self._check(event, self._window.earliest_us, received_us + self._window.ahead_us)
        if event.id > self._id_ceiling:
            self._check_jump(event.id, received_us)
        self.received_us = received_us
        return event

    def peek_id(self, payload: bytes) -> int | None:
        """Return the last id of a frame of this stream, unchecked; None where it has none."""
        try:
            return self.stream_kind.last_id(self._decode(payload).data)
        except UNDECODABLE:
            return None

    def check(self, event: Event, received_us: int) -> None:
        """Raise FrameRejected unless the event's values can be."""
        self._check(event, self._window.earliest_us, received_us + self._window.ahead_us)

    def _with_symbol(self, event: Any) -> Event:  # noqa: ANN401 - any kind's event
        """Return the event with the symbol of its stream, where payloads of its kind have none."""
        if self.stream_kind.names_symbol or event.symbol:
            raise FrameRejected("wrong_symbol", f"s {event.symbol[:40]!r} on {self.name}")
        named: Event = msgspec.structs.replace(event, symbol=self.symbol)
        return named

    def _check_jump(self, event_id: int, received_us: int) -> None:
        """Refuse an id so far ahead that all later ones would look like copies."""
        last_id = self.sequence.last_id
        if received_us >= self._strict_until_us:
            self._jump_limit = JUMP_LIMIT
        limit = self._jump_limit
        if self.resumed_us is not None:  # the more the longer nobody listened
            limit += max(received_us - self.resumed_us, 0) // JUMP_US * JUMP_LIMIT
        if last_id is not None and event_id - last_id > limit:
            raise FrameRejected("bad_id", f"{event_id} comes after {last_id} on {self.name}")
        self._id_ceiling = (event_id if last_id is None else last_id) + limit


class RecordRoute(Route):
    """Where the records of a kind go that are of no stream: a target for a sink."""

    __slots__ = ()

    def __init__(self, kind: str, symbol: str) -> None:
        self.epoch = 0  # of its own records: those of its streams have their own
        self.stream = self.kind = kind
        self.symbol = symbol
        self.name = f"{symbol.lower()}@{kind}"


class Routes:
    """All subscribed streams, found by the first bytes of a frame."""

    def __init__(
        self,
        streams: Iterable[str],
        symbols: Iterable[str],
        *,
        time_unit: TimeUnit = "us",
        window: TimeWindow | None = None,
        gap_wait_seconds: float = 1.0,
        waiting: Waiting | None = None,
        with_snapshots: bool = False,
    ) -> None:
        """With snapshots, there is a route for those of each symbol with a stream of changes."""
        streams, symbols = tuple(streams), tuple(symbols)
        self.kinds = frozenset(_kinds_of(streams, with_snapshots=with_snapshots))
        """Of the records of these streams, whether there is a symbol by now or not."""
        self.gaps: dict[str, Route] = {symbol: RecordRoute(GAP, symbol) for symbol in symbols}
        self.snapshots: dict[str, Route] = {}
        self._with_snapshots = with_snapshots
        self.by_name: dict[str, Route] = {}
        self._by_prefix: dict[bytes, Route] = {}
        self._holding: dict[Route, None] = {}  # in which events may wait, and nobody repairs
        self.repairing: dict[Route, None] = {}
        """In which events may wait above gaps that are repaired: who finds none removes it."""
        self.ended: set[str] = set()  # names of which frames may still come that nobody takes
        self.window = window or TimeWindow()  # of all routes
        self._make = partial(
            Route,
            time_unit=time_unit,
            window=self.window,
            gap_wait_seconds=gap_wait_seconds,
            waiting=waiting,
        )
        for stream in streams:
            for symbol in symbols:
                self.add(self.make(stream, symbol))

    def make(self, stream: str, symbol: str) -> Route:
        """Return a route like the others, which is not among them yet."""
        return self._make(stream, symbol)

    def add(self, route: Route) -> None:
        """Let frames find a route: at sight, unless what comes is held."""
        self.by_name[route.name] = route
        self.ended.discard(route.name)
        if route.held is None:
            self.show(route)
        self.add_beside(route, lambda _: None)

    def show(self, route: Route) -> None:
        """Let frames find a route at sight."""
        for prefix in _prefixes(route):
            self._by_prefix[prefix] = route

    def add_beside(self, route: Route, open_route: Callable[[Route], None]) -> None:
        """Let there be the routes for what is recorded beside a stream: gaps, snapshots.

        Each new one is given to `open_route` first; what that raises leaves it out. They stay when
        the stream leaves: a few bytes for each symbol.
        """
        wanted = [(GAP, self.gaps)]
        if self._with_snapshots and route.stream_kind.ordering == "ranges":
            wanted.append((SNAPSHOT, self.snapshots))
        for kind, of_symbols in wanted:
            if route.symbol not in of_symbols:
                beside = RecordRoute(kind, route.symbol)
                open_route(beside)
                of_symbols[route.symbol] = beside

    def remove(self, route: Route) -> None:
        """Let frames find a route no longer."""
        del self.by_name[route.name]
        self._holding.pop(route, None)
        self.repairing.pop(route, None)
        for prefix in _prefixes(route):
            self._by_prefix.pop(prefix, None)

    def hold(self, route: Route) -> None:
        """Note that events may wait in a route from now on."""
        (self._holding if route.repaired is None else self.repairing)[route] = None

    def holding(self) -> list[Route]:
        """Return the routes in which events wait: few of thousands.

        One is among them from `hold` until nothing waits in it any more.
        """
        return [*self.unrepaired(), *(route for route in self.repairing if route.sequence.pending)]

    def unrepaired(self) -> list[Route]:
        """Return those of them whose gaps are declared: asked for many times a second."""
        for route in [route for route in self._holding if not route.sequence.pending]:
            del self._holding[route]
        return list(self._holding)

    def __iter__(self) -> Iterator[Route]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)

    def find(self, payload: bytes) -> Route | None:
        """Return the route of a frame, or None where `classify` has to look closer."""
        return self._by_prefix.get(payload[: payload.find(b'"', 11)])


def _kinds_of(streams: Iterable[str], *, with_snapshots: bool) -> Iterator[str]:
    yield GAP
    for stream in streams:
        yield BY_STREAM[stream].name
        if with_snapshots and BY_STREAM[stream].ordering == "ranges":
            yield SNAPSHOT


def _prefixes(route: Route) -> set[bytes]:
    """Return how frames of a stream begin: names that are no ASCII come plain or escaped."""
    names = (msgspec.json.encode(route.name), json.dumps(route.name).encode())
    return {_STREAM + name[:-1] for name in names}
