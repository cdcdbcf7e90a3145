"""What N streams cost their supervisor: reports, /metrics, /status, the profile of a day.

Without exchange and streamer: reports are made here, as a streamer would tell them, and go through
the wire's encoding, the judgement and the record, a second of the run after the other. CPU time of
this process only, so a part is measured in seconds and a busy machine disturbs little.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from benchmarks.table import Row, Table
from monitor import checkpoint
from monitor.decide import decide
from monitor.exposition import Exposition
from monitor.ledger import Ledger
from monitor.model import Event, Launched, Reported, Sample, Tick
from monitor.recorder import Recorder
from monitor.report_assembly import ReportAssembler
from monitor.rules import built_in_rules
from monitor.soak_plans import PROFILES
from monitor.state import State
from monitor.status import as_status
from streamer.connection_config import ConnectionConfig
from streamer.messages import (
    Report,
    SinkCounts,
    SlotState,
    StreamCounts,
    StreamsPart,
    pack,
    unpack,
)
from streamer.network.slots import STREAMS_PER_SLOT
from streamer.report_parts import ReportParts
from supervisor.report import status_line

COUNTS = (3, 30, 300, 1500, 4500)
RATES = (1000, 20_000)  # messages per second of all streams together
NAME = "streamer-1"
T = TypeVar("T")
KINDS = ("trade", "bookTicker", "depth@100ms")

_WARM_UP_SECONDS = 3
_BEGAN = 1_700_000_000.0
_MINUTES_OF_A_DAY = 1440
_MINUTES_OF_THE_PROFILE = 30  # the rest of the day is as large per minute
_MEGABYTE = 1_000_000


class Feed:
    """A streamer of N streams whose messages are spread as a market's are: few have most."""

    def __init__(self, streams: int, rate: int) -> None:
        self.symbols = [f"SYM{number:04d}USDT" for number in range(-(-streams // len(KINDS)))]
        self._names = [(kind, symbol) for symbol in self.symbols for kind in KINDS][:streams]
        self._weights = [1 / (1 + number // len(KINDS)) for number in range(streams)]
        self._rate = rate
        self._random = random.Random(streams)
        self._events = [0] * streams
        self._counts = [self._of(number, 0.0) for number in range(streams)]
        self._second = 0

    def report(self) -> Report:
        """Return the report of the next second."""
        self._second += 1
        now = float(self._second)
        for number in self._random.choices(range(len(self._names)), self._weights, k=self._rate):
            self._events[number] += 1
        for number, counts in enumerate(self._counts):
            if counts.events_total != self._events[number]:
                self._counts[number] = self._of(number, now)
        slots = -(-len(self._names) // STREAMS_PER_SLOT)
        return Report(
            streamer=NAME,
            generation=1,
            sequence=self._second,
            pid=4242,
            time=_BEGAN + now,
            uptime_seconds=now,
            state="streaming",
            streams=tuple(self._counts),
            slots=tuple(
                SlotState(f"slot-{number + 1}", True, 1, now, 0, None) for number in range(slots)
            ),
            sink=SinkCounts("kafka", sum(self._events), sum(self._events)),
        )

    def _of(self, number: int, now: float) -> StreamCounts:
        kind, symbol = self._names[number]
        events = self._events[number]
        return StreamCounts(
            kind,
            symbol,
            events,
            0,
            0,
            0,
            10**9 + events,
            now,
            _BEGAN + now,
            slot=f"slot-{number // STREAMS_PER_SLOT + 1}",
        )


class Watcher:
    """The judgement and the record of a day's soak."""

    def __init__(self, feed: Feed) -> None:
        plan, connection = PROFILES["24h"], ConnectionConfig()
        ledger = Ledger(plan, connection.max_age)
        self._state = State(built_in_rules("soak", plan, connection), "soak", ledger)
        settings = {
            "symbols": feed.symbols,
            "streams": list(KINDS),
            "connection_max_age_seconds": connection.max_age,
            "stale_after_seconds": connection.stale_after,
        }
        self.recorder = Recorder(ledger, plan, settings, {}, _BEGAN, 0.0)
        self._assembler = ReportAssembler()
        self.take(Launched(NAME, 1, 4242, _BEGAN), 0.0)

    def take(self, event: Event, now: float) -> None:
        """Judge an event and keep it."""
        self._state, actions = decide(self._state, event, now)
        self.recorder.observe(event, now, _BEGAN + now)
        for action in actions:
            self.recorder.acted(action, now, _BEGAN + now)

    def look(self, now: float) -> None:
        """Take a sample and a tick."""
        self.take(Sample(NAME, 1, now, _BEGAN + now, 80 << 20, 500 << 20, now / 100, 5, 20), now)
        self.take(Tick(), now)

    def hear(self, messages: list[list[bytes]], now: float) -> None:
        """Take the messages of a report, as they come over the wire."""
        for frames in messages:
            message = unpack(frames)
            if isinstance(message, StreamsPart):
                self._assembler.take(message)
            elif isinstance(message, Report):
                self.take(Reported(now, self._assembler.whole(message)), now)


def cost(streams: int, rate: int, seconds: int) -> tuple[list[float], list[int], Watcher, float]:
    """Return the CPU seconds and the bytes of each report, the watcher after them, and when."""
    feed = Feed(streams, rate)
    watcher, parts = Watcher(feed), ReportParts()
    spent, sizes, now = [], [], 0.0
    for second in range(1, _WARM_UP_SECONDS + seconds + 1):
        now = float(second)
        report = feed.report()
        messages = []
        for part in parts.of(report):
            messages.append(pack(part))
            parts.told(part)
        messages.append(pack(replace(report, streams=())))
        begun = time.process_time()
        watcher.hear(messages, now)
        watcher.look(now)
        status_line(watcher.recorder.snapshot(now, _BEGAN + now))
        if second > _WARM_UP_SECONDS:
            spent.append(time.process_time() - begun)
            sizes.append(sum(len(frame) for frames in messages for frame in frames))
    return spent, sizes, watcher, now


def measure(directory: Path, seconds: int) -> Table:
    """Return the costs at each number of streams."""
    rows: list[Row] = []
    for streams in COUNTS:
        for rate in RATES:
            spent, sizes, watcher, now = cost(streams, rate, seconds)
            name = f"{streams:,} streams, {rate:,} msg/s"
            shares = [100 * one for one in spent]
            budget = "< 2" if rate == RATES[0] else ""
            rows.append(Row.of(f"{name}: supervisor", "% of a core", shares, budget))
            rows.append(Row.of(f"{name}: report", "kB per second", [one / 1e3 for one in sizes]))
        snapshot = watcher.recorder.snapshot(now, _BEGAN + now)
        exposition = Exposition(lambda snapshot=snapshot: snapshot)
        took, (page, _) = _timed(exposition.text)
        rows.append(Row.of(f"{streams:,} streams: /metrics", "s", [took], "< 0.3"))
        rows.append(Row.of(f"{streams:,} streams: /metrics", "kB", [len(page) / 1e3]))
        took, page = _timed(lambda snapshot=snapshot: json.dumps(as_status(snapshot)))
        rows.append(Row.of(f"{streams:,} streams: /status", "s", [took]))
        rows.append(Row.of(f"{streams:,} streams: /status", "kB", [len(page) / 1e3]))
        rows += _profile(directory / f"{streams}.json", watcher, streams, now)
    return Table("What streams cost the supervisor", rows)


def _profile(path: Path, watcher: Watcher, streams: int, now: float) -> list[Row]:
    """Return the size of a day's profile, and what it costs to write it once."""
    for minute in range(1, _MINUTES_OF_THE_PROFILE + 1):
        watcher.look(now + 60.0 * minute)
    now += 60.0 * _MINUTES_OF_THE_PROFILE
    took, document = _timed(lambda: watcher.recorder.document(now, _BEGAN + now))
    written, _ = _timed(lambda: checkpoint.write(path, document))
    rows = document["memory_samples"]
    more = (_MINUTES_OF_A_DAY - len(rows)) * (len(json.dumps(rows[-1])) + 60)  # bins: 60 a minute
    return [
        Row.of(
            f"{streams:,} streams: profile of a day",
            "MB",
            [(path.stat().st_size + more) / _MEGABYTE],
            "< 5",
        ),
        Row.of(f"{streams:,} streams: checkpoint", "s", [took + written]),
    ]


def _timed(act: Callable[[], T]) -> tuple[float, T]:
    begun = time.process_time()
    result = act()
    return time.process_time() - begun, result
