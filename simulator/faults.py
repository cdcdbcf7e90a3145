"""Faults: what can go wrong on demand, when it does, and what it did. Pure: `now` is passed in.

A fault is asked for as text (`at=30s kind=stall symbol=BTCUSDT duration=10s`) or as the same keys
in JSON. `KINDS` lists the kinds with their keys and defaults. `at` counts from the request, or
from the start of the simulator for those on its command line.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field

from simulator.malformed import VARIANTS
from simulator.summaries import EVERY_STREAM
from simulator.units import seconds

Value = str | int | float | None

_WHERE: dict[str, Value] = {"connection": "all"}  # all, oldest, newest, or a number
_WHAT: dict[str, Value] = {**_WHERE, "stream": None, "symbol": None}  # None: every one
KINDS: dict[str, dict[str, Value]] = {
    "reset": _WHERE,
    "close": {**_WHERE, "code": 1001, "reason": ""},
    "half_open": {**_WHERE, "duration": 3600.0},
    "stall": {**_WHAT, "duration": 60.0},
    "silent_connection": {"connection": "oldest", "duration": 3600.0},
    "server_shutdown": {**_WHERE, "grace": 5.0},
    "refuse_connections": {"duration": 10.0, "how": "tcp"},
    "withhold": {**_WHAT, "count": 1},
    "duplicate": {**_WHAT, "count": 1},
    "reorder": {**_WHAT, "count": 2},
    "burst": {**_WHAT, "count": 100},
    "malformed": {**_WHAT, "variant": "all", "count": 1},
    "fragment": {**_WHAT, "count": 1},
    "no_pong": {**_WHERE, "duration": 60.0},
    "no_answer": {**_WHERE, "duration": 60.0},
    "rest_error": {"status": 503, "duration": 10.0, "retry_after": 1},
    "rest_html": {"http_status": 200, "duration": 10.0},
    "rest_lag": {"lag": 5.0, "duration": 10.0},
    "rest_short": {"count": 10, "duration": 10.0},
    "rest_empty": {"duration": 10.0},
    "rest_slow": {"delay": 2.0, "duration": 10.0},
    "rest_other_venue": {"duration": 10.0},
    "rest_halt": {"symbol": None, "duration": 10.0},
    "ids_anew": {"symbol": None, "first_id": 1000},
}
"""Keys and defaults by kind; each kind takes `at` too."""

MEANINGS = {
    "reset": "TCP reset",
    "close": "close frame; the connection ends with the client's answer, or 5 s later",
    "half_open": "neither reads nor sends; reset at the end of `duration`",
    "stall": "the exchange stops sending; what is lost is listed as withheld",
    "silent_connection": "a stall of one connection, which still answers pings and messages",
    "server_shutdown": "announced, closed with 1001 after `grace`",
    "refuse_connections": "how=tcp (refused), 503, or hang (accepted, never answered)",
    "withhold": "the next `count` events of one stream are not sent",
    "duplicate": "the next `count` events of one stream are sent twice",
    "reorder": "the next `count` events of one stream are held back and sent in reverse",
    "burst": "the next `count` events of all streams are held back and sent at once",
    "malformed": "bad frames of `variant` before an event, which follows intact",
    "fragment": "the next `count` events of one stream are sent in fragments: valid, but rare",
    "no_pong": "pings of the client stay unanswered",
    "no_answer": "control messages stay unanswered",
    "rest_error": "every REST request gets `status`, with Retry-After",
    "rest_html": "every REST request gets a page for people, with `http_status`",
    "rest_lag": "REST knows only what is older than `lag`",
    "rest_short": "a REST page ends after `count` items",
    "rest_empty": "a REST page has no items",
    "rest_slow": "a REST answer comes `delay` later",
    "ids_anew": "trades, aggregates and quotes have ids from `first_id` on: a testnet was wiped",
    "rest_halt": "exchangeInfo tells that `symbol` does not trade",
    "rest_other_venue": "REST tells another market's trades and candles, under the same ids",
}
EVENT_KINDS = ("stall", "silent_connection", "withhold", "duplicate", "reorder", "burst",
               "malformed", "fragment")  # fmt: skip
_LOSING = ("stall", "silent_connection", "withhold")
REST_KINDS = (
    "rest_error", "rest_html", "rest_lag", "rest_short", "rest_empty", "rest_slow",
    "rest_other_venue", "rest_halt",
)  # fmt: skip
ENDABLE = (
    "stall", "silent_connection", "refuse_connections", "half_open", "no_pong", "no_answer",
    *REST_KINDS,
)  # fmt: skip
"""Kinds that can be ended before their time: they last, and what they do stops with them."""
_REFUSALS = ("tcp", "503", "hang")
_RANGES = {
    "code": (1000, 4999),
    "status": (400, 599),
    "http_status": (200, 599),
    "count": (1, 1_000_000),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as asked for; `arguments` holds every key of its kind."""

    number: int
    kind: str
    at: float
    arguments: dict[str, Value]

    def seconds(self, key: str) -> float:
        """Return an argument that is a duration."""
        return float(self.arguments[key] or 0)

    def count(self) -> int:
        """Return how many events are meant."""
        return int(self.arguments["count"] or 0)


def overview() -> str:
    """Return kinds, keys, defaults and meanings for people."""
    lines = ["Kinds of fault, with their keys and defaults; `at` (0) counts from the request, or",
             "from the start; `connection` is all, oldest, newest, or a number:"]  # fmt: skip
    for kind, defaults in KINDS.items():
        keys = " ".join(
            f"{key}={'' if value is None else value}" for key, value in defaults.items()
        )
        lines += [f"  {kind} {keys}", f"      {MEANINGS[kind]}"]
    return "\n".join([*lines, "Variants of malformed: all (those that spoil one message), ",
                      "  " + " ".join(VARIANTS)])  # fmt: skip


def parse_text(text: str) -> dict[str, Value]:
    """Return the keys of `kind=reset at=30s`; raises ValueError."""
    pairs = [part.partition("=") for part in text.split()]
    if bad := [key for key, equals, _ in pairs if not equals]:
        raise ValueError(f"{bad[0]!r} in fault {text!r}: expected key=value, as in kind=reset")
    return {key: value for key, _, value in pairs}


def validated(number: int, keys: dict[str, Value], symbols: tuple[str, ...]) -> Fault:
    """Return the fault that the keys ask for; raises ValueError, saying what would be right."""
    arguments = dict(keys)
    kind = arguments.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind {kind!r} is unknown; there are {', '.join(KINDS)}")
    at = _number("at", arguments.pop("at", 0.0), 0.0)
    defaults = KINDS[kind]
    if unknown := set(arguments) - set(defaults):
        right = ", ".join(("at", *defaults))
        raise ValueError(f"{kind} has no {sorted(unknown)[0]!r}; there are {right}")
    values = {key: _number(key, arguments.get(key, value), value)
              for key, value in defaults.items()}  # fmt: skip
    if (connection := values.get("connection", "all")) not in ("all", "oldest", "newest"):
        values["connection"] = _number("connection", connection, 0)
    choices = {
        "stream": EVERY_STREAM, "symbol": symbols, "how": _REFUSALS, "variant": ("all", *VARIANTS),
    }  # fmt: skip
    for key, allowed in choices.items():
        if values.get(key) is not None and str(values[key]) not in allowed:
            raise ValueError(f"{key}={values[key]}: expected {', '.join(allowed)}")
    for key, (low, high) in _RANGES.items():
        if key in values and not low <= int(values[key] or 0) <= high:
            raise ValueError(f"{key}={values[key]}: expected {low} to {high}")
    return Fault(number, kind, float(at or 0), values)


def _number(key: str, value: Value, default: Value) -> Value:
    """Return a value in the type of its default: seconds, a count, or as it is."""
    try:
        if isinstance(default, float):
            value = seconds(str(value))
        elif isinstance(default, int):
            value = int(str(value))
    except ValueError:
        raise ValueError(
            f"{key}={value!r} is no {type(default).__name__}, as in {default}"
        ) from None
    if isinstance(value, (int, float)) and value < 0:
        raise ValueError(f"{key}={value!r} is below 0")
    return value


@dataclass(slots=True)
class Record:
    """What a fault did, for GET /faults."""

    fault: Fault
    happened_at: float | None = None  # Unix time; None while it is still to come
    ended_at: float | None = None
    connections: list[int] = field(default_factory=list)
    affected: dict[str, list[int]] = field(default_factory=dict)  # stream: first, last id, events
    note: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the record as the control API shows it."""
        affected = {
            name: {"first_id": first, "last_id": last, "events": events}
            for name, (first, last, events) in self.affected.items()
        }
        return {
            "number": self.fault.number, "kind": self.fault.kind, "at": self.fault.at,
            "arguments": self.fault.arguments, "happened_at": self.happened_at,
            "ended_at": self.ended_at, "connections": self.connections,
            "withheld": affected if self.fault.kind in _LOSING else {},
            "affected": affected, "note": self.note,
        }  # fmt: skip


class EventFault:
    """A fault at work on events of some streams, until its time or its count is used up."""

    def __init__(self, record: Record, now: float, connections: frozenset[int] | None) -> None:
        self.record = record
        self.kind = record.fault.kind
        arguments = record.fault.arguments
        self._stream, self._symbol = arguments.get("stream"), arguments.get("symbol")
        self._until = now + record.fault.seconds("duration") if "duration" in arguments else None
        self._left = record.fault.count() if "count" in arguments else None
        self._connections = connections  # None: all, future ones too
        self._held: dict[int, list[bytes]] = {}
        self._one_stream = self.kind not in ("stall", "silent_connection", "burst")
        self._name: str | None = None  # the one stream whose consecutive events are counted

    @property
    def used_up(self) -> bool:
        """Whether its count is spent."""
        return self._left == 0

    def end(self, now: float) -> None:
        """Let its time be over."""
        self._until = now

    def ended(self, now: float) -> bool:
        """Return whether nothing more will happen by it."""
        return self.used_up or (self._until is not None and now >= self._until)

    def takes(self, name: str, stream: str, symbol: str, event_id: int) -> bool:
        """Return whether it works on this event, and count it. Asked once per event."""
        if self._stream not in (None, stream) or self._symbol not in (None, symbol):
            return False
        if self._one_stream and self._name not in (None, name):
            return False
        self._name = name
        if self._left is not None:
            self._left -= 1
        ids = self.record.affected.setdefault(name, [event_id, event_id, 0])
        ids[1] = event_id
        ids[2] += 1
        return True

    def concerns(self, *connections: int) -> bool:
        """Return whether any of these connections suffers from it."""
        return self._connections is None or not self._connections.isdisjoint(connections)

    def deliver(self, connection: int, frames: list[bytes], special: list[bytes]) -> list[bytes]:
        """Return what a connection gets in place of an event's frames.

        `special` are the bad frames of malformed, or the fragments of fragment.
        """
        if connection not in self.record.connections:
            self.record.connections.append(connection)
        match self.kind:
            case "duplicate":
                return frames * 2
            case "malformed":
                return special + frames
            case "fragment":
                return special
            case "reorder" | "burst":
                self._held.setdefault(connection, []).extend(frames)
                return [] if self._left else self.release(connection)
        return []

    def release(self, connection: int) -> list[bytes]:
        """Return what is still held back for a connection, once."""
        held = self._held.pop(connection, [])
        return held[::-1] if self.kind == "reorder" else held


class Schedule:
    """Faults to come, by time, and the records of all."""

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self._symbols = symbols
        self._numbers = itertools.count(1)
        self._pending: list[tuple[float, int, Record]] = []
        self.records: list[Record] = []

    def add(self, keys: dict[str, Value], now: float) -> Record:
        """Plan a fault `at` seconds after now; raises ValueError."""
        fault = validated(next(self._numbers), keys, self._symbols)
        record = Record(fault)
        self.records.append(record)
        heapq.heappush(self._pending, (now + fault.at, fault.number, record))
        return record

    def due(self, now: float) -> list[Record]:
        """Remove and return the faults whose time has come."""
        due = []
        while self._pending and self._pending[0][0] <= now:
            due.append(heapq.heappop(self._pending)[2])
        return due

    def next_time(self) -> float | None:
        """Return when the next fault is due."""
        return self._pending[0][0] if self._pending else None
