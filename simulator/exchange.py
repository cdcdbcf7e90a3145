"""The exchange as one object: clock, tape, feed and faults, driven by one event loop."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Coroutine

from simulator.connection import Connection
from simulator.faults import (
    ENDABLE,
    EVENT_KINDS,
    REST_KINDS,
    EventFault,
    Fault,
    Record,
    Schedule,
    Value,
    parse_text,
)
from simulator.feed import Feed
from simulator.frames import TEXT, frame
from simulator.payloads import server_shutdown
from simulator.replay import Replay, read
from simulator.settings import Settings
from simulator.summaries import sources
from simulator.tape import FirstIds, Rhythm, SymbolTape

log = logging.getLogger(__name__)


class Clock:
    """Unix time that only runs forward: the wall clock once, the monotonic clock from then on.

    It is `ahead_seconds` ahead of the wall clock.
    """

    def __init__(self, ahead_seconds: float = 0.0) -> None:
        self._offset = time.time_ns() - time.monotonic_ns() + int(ahead_seconds * 1e9)

    def microseconds(self) -> int:
        """Return the Unix time in µs."""
        return (time.monotonic_ns() + self._offset) // 1000


class Exchange:
    """What all servers share. Raises ValueError for a bad fault or recording."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock(settings.clock_ahead)
        self.start = int((settings.start_time or 0) * 1e6) or (
            self.clock.microseconds() - int(settings.history * 1e6)
        )
        self.tapes = _tapes(settings, settings.seed, self.start)
        self.other_venue = _tapes(settings, settings.seed + 1, self.start)
        self.replay = (
            Replay(read(settings.replay), settings.replay_speed, settings.replay_delay)
            if settings.replay
            else None
        )
        self.sources = {symbol: sources(tape) for symbol, tape in self.tapes.items()}
        self.feed = Feed(self.sources, self.replay, settings.buffer_limit)
        self.schedule = Schedule(tuple(self.tapes))
        self.refused_until = 0.0  # Unix time
        self.refusal: Record | None = None
        self.rest_faults: dict[str, tuple[Fault, float]] = {}  # by kind, with its Unix end
        self.listening_refused = asyncio.Event()  # the streams' socket is to be closed
        self.attempts: deque[float] = deque()
        self.attempts_total = 0
        self._random = random.Random(settings.seed)
        self._connection_numbers = 0
        self._kicked = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        for text in settings.fault:
            self.schedule.add(parse_text(text), self.clock.microseconds() / 1e6)

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return self.clock.microseconds() / 1e6

    def next_connection(self) -> tuple[int, float]:
        """Return the number of a new connection, from 1, and its own lag in seconds."""
        self._connection_numbers += 1
        return self._connection_numbers, self._random.uniform(0.0, self.settings.lag)

    def kick(self) -> None:
        """Let the next turn come at once: something changed."""
        self._kicked.set()

    def add_fault(self, keys: dict[str, Value]) -> Record:
        """Plan a fault; raises ValueError."""
        record = self.schedule.add(keys, self.now())
        self.kick()
        return record

    def end_fault(self, number: int) -> Record:
        """End a fault now, before its time; raises ValueError."""
        record = next((one for one in self.schedule.records if one.fault.number == number), None)
        if record is None:
            raise ValueError(f"there is no fault {number}")
        if record.fault.kind not in ENDABLE:
            endable = ", ".join(ENDABLE)
            raise ValueError(f"{record.fault.kind} cannot be ended; expected one of {endable}")
        if record.happened_at is None:
            raise ValueError(f"fault {number} has not begun yet")
        self._end(record, self.now())
        self.kick()
        return record

    async def run(self) -> None:
        """Deliver events and faults, for ever."""
        while True:
            now = self.clock.microseconds()
            for record in self.schedule.due(now / 1e6):
                self._inject(record, now)
            wake = self.feed.turn(now) / 1e6
            if (planned := self.schedule.next_time()) is not None:
                wake = min(wake, planned)
            self._kicked.clear()
            try:
                async with asyncio.timeout(max(self.settings.tick, wake - self.now())):
                    await self._kicked.wait()
            except TimeoutError:
                pass

    def background(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run a coroutine beside the feed; its failure is logged."""
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def selected(self, selector: Value) -> list[Connection]:
        """Return the connections that a fault's `connection` means."""
        live = [
            each for each in self.feed.connections.values() if not (each.closing or each.frozen)
        ]
        if selector == "oldest":
            return live[:1]
        if selector == "newest":
            return live[-1:]
        return live if selector == "all" else [each for each in live if each.number == selector]

    def _inject(self, record: Record, now: int) -> None:
        fault = record.fault
        record.happened_at = now / 1e6
        log.info("fault %d: %s %s", fault.number, fault.kind, fault.arguments)
        chosen = self.selected(fault.arguments.get("connection", "all"))
        if fault.kind in EVENT_KINDS:
            everyone = fault.arguments["connection"] == "all"
            numbers = None if everyone else frozenset(each.number for each in chosen)
            self.feed.faults.append(EventFault(record, now / 1e6, numbers))
            return
        if fault.kind in REST_KINDS or fault.kind == "refuse_connections":
            self._refuse(record, now / 1e6)
            return
        if fault.kind == "ids_anew":
            for symbol in [fault.arguments["symbol"]] if fault.arguments["symbol"] else self.tapes:
                self.tapes[str(symbol)].begin_ids_anew(int(fault.arguments["first_id"] or 0), now)
            record.ended_at = record.happened_at
            return
        record.connections = [each.number for each in chosen]
        for connection in chosen:
            self._strike(connection, fault)
        if "duration" not in fault.arguments and fault.kind != "server_shutdown":
            record.ended_at = record.happened_at
        else:
            seconds = fault.seconds("duration" if "duration" in fault.arguments else "grace")
            record.ended_at = record.happened_at + seconds

    def _refuse(self, record: Record, now: float) -> None:
        until = record.ended_at = now + record.fault.seconds("duration")
        if record.fault.kind in REST_KINDS:
            self.rest_faults[record.fault.kind] = record.fault, until
        else:
            self.refusal, self.refused_until = record, until
            if record.fault.arguments["how"] == "tcp":
                self.listening_refused.set()

    def _end(self, record: Record, now: float) -> None:
        kind = record.fault.kind
        if kind in EVENT_KINDS:
            for fault in self.feed.faults:
                if fault.record is record:
                    fault.end(now)  # the feed's next turn notes that it is over
            return
        record.ended_at = min(now, record.ended_at or now)
        if kind in REST_KINDS:
            if self.rest_faults[kind][0] is record.fault:
                self.rest_faults[kind] = record.fault, now
        elif kind == "refuse_connections":
            if self.refusal is record:
                self.refused_until = now
        else:
            loop_now = asyncio.get_running_loop().time()
            for number in record.connections:
                if connection := self.feed.connections.get(number):
                    match kind:
                        case "half_open":
                            connection.reset()
                        case "no_pong":
                            connection.answers_pings_from = loop_now
                        case "no_answer":
                            connection.answers_messages_from = loop_now

    def _strike(self, connection: Connection, fault: Fault) -> None:
        loop_now = asyncio.get_running_loop().time()
        match fault.kind:
            case "reset":
                connection.reset()
            case "close":
                code, reason = int(fault.arguments["code"] or 1000), fault.arguments["reason"]
                self.background(connection.close(code, str(reason)))
            case "half_open":
                connection.freeze()
                self.background(_reset_later(connection, fault.seconds("duration")))
            case "no_pong":
                connection.answers_pings_from = loop_now + fault.seconds("duration")
            case "no_answer":
                connection.answers_messages_from = loop_now + fault.seconds("duration")
            case "server_shutdown":
                wrapped = connection.subscriptions.combined
                text = server_shutdown(self.clock.microseconds(), connection.unit, wrapped=wrapped)
                connection.send([frame(TEXT, text.encode())])
                self.background(_close_later(connection, fault.seconds("grace")))


async def _close_later(connection: Connection, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await connection.close(1001, "Server shutdown")


async def _reset_later(connection: Connection, seconds: float) -> None:
    await asyncio.sleep(seconds)
    if not connection.closing:  # else the fault was ended before
        connection.reset()


def _tapes(settings: Settings, seed: int, start: int) -> dict[str, SymbolTape]:
    total = sum(settings.symbols.values())
    length = settings.burst_length if settings.burst_factor != 1 else 0.0
    first = FirstIds(settings.first_trade_id, settings.first_agg_trade_id, settings.first_update_id)
    return {
        symbol: SymbolTape(
            seed,
            symbol,
            Rhythm(
                settings.rate * weight / total,
                settings.burst_factor,
                settings.burst_period,
                min(length, settings.burst_period),
            ),
            start,
            book_ratio=settings.book_ratio,
            first=first,
            no_trade_every=settings.no_trade_every,
        )
        for symbol, weight in settings.symbols.items()
    }
