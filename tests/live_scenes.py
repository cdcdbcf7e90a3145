"""What the live page may have to show: snapshots of a supervisor in good and in bad times."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace as replaced
from typing import Any

from monitor.counters import Key
from monitor.disk import DiskSpace
from monitor.leak import Assessment
from monitor.series import Bin
from monitor.snapshot import Snapshot, StreamSnapshot
from monitor.soak_plans import PROFILES, SoakPlan
from streamer.messages import (
    LATENCY_BUCKETS_SECONDS,
    Histogram,
    MemoryPart,
    Notice,
    SinkCounts,
)
from tests.unit.monitor.observations import EPOCH, MIB, report, sample, slot, stream
from tests.unit.monitor.runs import Run

HOUR = 3600
SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
KINDS = ("trade", "bookTicker")
SILENT = ("ETHUSDT", "trade")
LAST_SECONDS = 12  # told each second, for rates and latencies; before, one report in ten

Changes = dict[str, Any]  # of a report or of a sample


def healthy(hours: float = 6.0) -> Snapshot:
    """Return a soak that goes well: rotations, a gap that was repaired."""
    return _snapshot(PROFILES["24h"], hours, _report)


def silent_symbol(hours: float = 2.0) -> Snapshot:
    """Return a service with a stream that brings nothing, though REST has news of it."""

    def changes(second: int) -> Changes:
        return _report(second, silent_seconds=second - (hours * HOUR - 95))

    return _snapshot(None, hours, changes)


def kafka_away(hours: float = 3.0) -> Snapshot:
    """Return a service whose brokers have not answered for minutes."""

    def changes(second: int) -> Changes:
        away = second - (hours * HOUR - 240)
        told = _report(second)
        if away > 0:
            waiting = round(520 * away)
            told["sink"] = SinkCounts(
                "kafka",
                accepted_total=520 * second,
                acknowledged_total=520 * second - waiting,
                errors_total=3,
                queued=waiting,
                queued_bytes=31 * MIB,
                overflow_records=round(waiting * 0.8),
                overflow_bytes=round(waiting * 0.8 * 96),
                acknowledge_seconds=_histogram(second - away, 4),
            )
            text = "no broker answers (_ALL_BROKERS_DOWN): 3/3 brokers are down"
            detail: Any = {"error_type": "_ALL_BROKERS_DOWN", "error": text}
            told["notices"] = (Notice(9, EPOCH + second - away, "sink_error", detail),)
        return told

    return _snapshot(None, hours, changes)


def leaking(hours: float = 9.0) -> Snapshot:
    """Return a soak of a streamer that grows by 12 MiB an hour."""

    def changes(second: int) -> Changes:
        return _report(second, grown_mib=12 * second / HOUR)

    return _snapshot(PROFILES["24h"], hours, changes, grown_mib=lambda at: 12 * at / HOUR)


def many_streams(count: int = 4500, silent: str | None = None) -> Snapshot:
    """Return a service of so many streams, made without the reports that would bring them."""
    names = [(f"S{at:04}USDT", kind) for at in range(count // 3) for kind in (*KINDS, "depth")]
    snapshot = _snapshot(None, 0.01, lambda _: {"streams": (stream(1, "S0000USDT"),)})
    (streamer,) = snapshot.streamers
    assert streamer.report is not None
    counts, shown, totals = [], [], dict[Key, int]()
    for number, (symbol, kind) in enumerate(names):
        silent_seconds = 90.0 if symbol == silent else 0.1 * (number % 50)
        silence = "news" if symbol == silent else None
        counts.append(
            stream(100 * number, symbol, kind, silent_seconds=silent_seconds, silence=silence)
        )
        shown.append(StreamSnapshot(kind, symbol, 100 * number, number / 10, silent_seconds))
        for name in ("events", "duplicates", "gaps", "missing", "repaired", "repaired_gaps"):
            totals[name, kind, symbol] = 0  # so that adding them up costs what it does
        totals["events", kind, symbol] = 100 * number
    streamer = replaced(
        streamer,
        report=report(streamer.report.sequence, streams=tuple(counts)),
        streams=tuple(shown),
        totals=totals,
    )
    return replaced(snapshot, streamers=(streamer,), totals=totals)


def shown_leak(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with ten hours of a leak in its streamer's memory, made up."""
    bins = tuple(
        Bin(at, round((60 + at / 5) * MIB), round((61 + at / 5) * MIB), 60 * MIB, at, 0)
        for at in range(600)
    )
    leak = Assessment(
        score=0.93,
        current_score=0.93,
        slope_mb_per_hour=12.0,
        low=11.1,
        high=12.9,
        pattern="steady",
        reason="a leak: +12.0 MB/h (11.1 to 12.9) over the last 9.8 h",
        elapsed_seconds=36000.0,
        window_seconds=35400.0,
        level_mb=180.0,
    )
    return replaced(
        snapshot,
        elapsed_seconds=36000.0,
        streamers=tuple(replaced(one, bins=bins, leak=leak) for one in snapshot.streamers),
    )


def _snapshot(
    plan: SoakPlan | None,
    hours: float,
    changes: Callable[[int], Changes],
    grown_mib: Callable[[float], float] = lambda _: 0.0,
) -> Snapshot:
    run = Run(plan)
    memory = _memory(grown_mib)
    end = hours * HOUR
    if end > LAST_SECONDS:
        run.seconds(end - LAST_SECONDS, changes, memory, every=10)
        run.now = float(round(end - LAST_SECONDS))
    for _ in range(LAST_SECONDS):
        run.seconds(1, changes, memory)
        run.recorder.own(sample(run.now, 46.3, cpu_seconds=0.0031 * run.now))
    snapshot = run.recorder.snapshot(run.now, EPOCH + run.now)
    disk = DiskSpace(free_bytes=212 << 30, size_bytes=460 << 30)
    return replaced(snapshot, disk=disk, restarts_remaining={"streamer-1": 5})


def _report(second: int, silent_seconds: float = 0.0, grown_mib: float = 0.0) -> Changes:
    """Return a report; `silent_seconds`: for which a stream of it has brought nothing."""
    rates = [120.0 / (1 + at) for at in range(len(SYMBOLS))]
    streams = tuple(
        stream(
            round(rate * second * (2.2 if kind == "bookTicker" else 1)),
            symbol,
            kind,
            silent_seconds=max(silent_seconds, 0.03) if (symbol, kind) == SILENT else 3 / rate,
            silence="news" if silent_seconds > 30 and (symbol, kind) == SILENT else None,
            slot=f"slot-{1 + (at >= 3)}",
            repaired_total=412 if symbol == "BTCUSDT" and kind == "trade" else 0,
            repaired_gaps_total=2 if symbol == "BTCUSDT" and kind == "trade" else 0,
            duplicates_total=second // 90,
        )
        for at, (symbol, rate) in enumerate(zip(SYMBOLS, rates, strict=True))
        for kind in KINDS
    )
    ages = (second % (4 * HOUR), (second + 2 * HOUR) % (4 * HOUR))
    return {
        "streams": streams,
        "slots": tuple(
            slot(f"slot-{at}", float(age), connection_id=at) for at, age in enumerate(ages, 1)
        ),
        "sink": SinkCounts(
            "kafka",
            accepted_total=520 * second + 12,
            acknowledged_total=520 * second,
            queued=12,
            queued_bytes=1100,
            acknowledge_seconds=_histogram(second, 4),
            broker_latency_seconds={"broker-1:9092": 0.004, "broker-2:9092": 0.006},
        ),
        "receive_latency": _histogram(second, 2),
        "memory": {
            "free_heap": MemoryPart(2 * MIB, 32 * MIB),
            "file_pages": MemoryPart(25 * MIB, 48 * MIB),
            "heap_in_use": MemoryPart(11 * MIB),
            "python_objects": MemoryPart(
                round((4 + 20 * (1 - math.exp(-second / 1500)) + grown_mib) * MIB)
            ),
        },
        "clock_offset_seconds": -0.0031,
        "notices": tuple(
            Notice(number, EPOCH + at, kind, detail)
            for number, (at, kind, detail) in enumerate(_NOTICES, 1)
            if at <= second < at + 30
        ),
    }


_HERE = {"slot": "slot-1"}
_NOTICES: tuple[tuple[float, str, Any], ...] = (
    (1, "connection_opened", {**_HERE, "connection_id": 1, "url": "wss://stream.binance.com:9443"}),
    (2, "connection_opened", {"slot": "slot-2", "connection_id": 2}),
    (
        4210,
        "gap_repaired",
        {"stream": "trade", "symbol": "BTCUSDT", "first_id": 81, "last_id": 492, "repaired": 412},
    ),
)


def _histogram(second: float, middle: int) -> Histogram:
    buckets = range(len(LATENCY_BUCKETS_SECONDS) + 1)
    counts = tuple(round(500 * second * math.exp(-abs(one - middle) * 1.6)) for one in buckets)
    return Histogram(counts, sum_seconds=2.0 * second)


def _memory(grown_mib: Callable[[float], float]) -> Callable[[int], Changes]:
    noise = random.Random(7)  # the same run each time

    def in_sample(second: int) -> Changes:
        warm_up = 22 * (1 - math.exp(-second / 1500))
        rss = 41 + warm_up + grown_mib(second) + abs(noise.gauss(0, 0.8))
        return {"rss_mib": rss, "uss_bytes": round((rss - 9) * MIB)}

    return in_sample
