"""The metrics that each stream of each symbol has: thousands of series, made without detours.

prometheus_client makes several objects of each series and sorts its labels: a second for what
4,500 streams have. Totals are never limited; symbols beyond the limit are told together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from monitor.counters import Key
from monitor.health import freshness, unavailable
from monitor.series_limit import OTHERS, SeriesLimit
from monitor.snapshot import Snapshot

STREAM_COUNTERS = (
    ("binance_stream_events", "Unique events by stream and symbol.", "events"),
    ("binance_duplicate_messages", "Copies recognised and left out.", "duplicates"),
    ("binance_gaps", "Gaps in the exchange's ids.", "gaps"),
    ("binance_missing_ids", "Ids inside gaps; of klines, candles.", "missing"),
    ("binance_repaired_gaps", "Gaps that REST closed.", "repaired_gaps"),
    ("binance_repaired_ids", "Ids that REST brought.", "repaired"),
    ("binance_id_epochs", "How often the exchange began its ids anew.", "epochs"),
    ("binance_empty_ids", "Skipped ids that do not exist, as REST shows.", "empty"),
)
"""Name without `_total`, help, and the count's name in `monitor.counters`."""

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """Series of one name."""

    name: str  # of a counter without `_total`
    text: str
    kind: Literal["counter", "gauge"]
    label_names: Labels
    values: dict[Labels, float] = field(default_factory=dict)

    def put(self, labels: Labels, value: float) -> None:
        """Set a value."""
        self.values[labels] = value

    def combine(self, labels: Labels, value: float, how: Callable[[float, float], float]) -> None:
        """Set a value, or what becomes of it and the one that is there."""
        known = self.values.get(labels)
        self.values[labels] = value if known is None else how(known, value)


def stream_families(snapshot: Snapshot, limit: SeriesLimit) -> Iterator[Family]:
    """Yield the families; those of streams that were removed are no longer told."""
    reports = [one.report for one in snapshot.streamers if one.report is not None]
    limit.take((one.stream, one.symbol) for report in reports for one in report.streams)
    yield from _counters(snapshot.totals, snapshot.named, limit.omitted)
    yield _silences(snapshot, limit.omitted)
    yield from _health(snapshot, limit.omitted)
    yield from _books(snapshot, limit.omitted)
    omitted = sum(one.symbol in limit.omitted for report in reports for one in report.streams)
    yield Family(
        "vigil_metrics_streams_omitted",
        f"Streams without series of their own: told together as {OTHERS}.",
        "gauge",
        (),
        {(): omitted},
    )


def _counters(
    totals: Mapping[Key, int], named: frozenset[Key], omitted: set[str]
) -> Iterator[Family]:
    families = {
        counted: Family(name, text, "counter", ("stream", "symbol"))
        for name, text, counted in STREAM_COUNTERS
    }
    received: Counter[str] = Counter()
    symbols = {symbol for _, symbol in named}
    for key, count in totals.items():
        family = families.get(key[0])
        if family is None:
            continue
        _, stream, symbol = key
        if symbol in omitted:
            symbol = OTHERS
            family.combine((stream, OTHERS), count, _sum)
        elif key[1:] in named:
            family.put((stream, symbol), count)
        if key[0] == "events" and (symbol is OTHERS or symbol in symbols):
            received[symbol] += count
    # A symbol's sum keeps what its removed streams brought, since a counter must not fall.
    yield Family(
        "binance_messages_received",
        "Unique events, copies excluded; all streams of a symbol.",
        "counter",
        ("symbol",),
        {(symbol,): count for symbol, count in received.items()},
    )
    yield from families.values()


def _silences(snapshot: Snapshot, omitted: set[str]) -> Family:
    family = Family(
        "binance_stream_silent_seconds",
        f"Time since the last event; of {OTHERS} the longest.",
        "gauge",
        ("stream", "symbol"),
    )
    for streamer in snapshot.streamers:
        if streamer.report is None or not streamer.up:
            continue
        for one in streamer.report.streams:
            if not one.leaving:
                symbol = OTHERS if one.symbol in omitted else one.symbol
                family.combine((one.stream, symbol), streamer.report.silent_seconds(one), max)
    return family


def _health(snapshot: Snapshot, omitted: set[str]) -> Iterable[Family]:
    fresh = Family(
        "vigil_stream_fresh",
        "1 when the last event is younger than connection.stale_after, or no news is to be had; "
        f"of {OTHERS} when all are.",
        "gauge",
        ("stream", "symbol"),
    )
    absent = Family(
        "vigil_stream_unavailable",
        "1 for a stream that the exchange does not serve; no series when it serves all; "
        f"of {OTHERS} how many.",
        "gauge",
        ("stream", "symbol", "reason"),
    )
    states = Family("vigil_streams", "Streams by state, all of them.", "gauge", ("state",))
    for state in ("fresh", "stale", "unavailable"):
        states.put((state,), 0.0)
    for streamer in snapshot.streamers:
        for (stream, symbol), good in freshness(streamer, snapshot.stale_after_seconds).items():
            shown = OTHERS if symbol in omitted else symbol
            fresh.combine((stream, shown), float(good), min)
            states.combine(("fresh" if good else "stale",), 1.0, _sum)
        for (stream, symbol), reason in unavailable(streamer).items():
            shown = OTHERS if symbol in omitted else symbol
            absent.combine((stream, shown, reason), 1.0, _sum)
            states.combine(("unavailable",), 1.0, _sum)
    return fresh, absent, states


def _books(snapshot: Snapshot, omitted: set[str]) -> Iterable[Family]:
    lost = Family(
        "vigil_book_lost",
        "1 while changes of an order book are missing and no snapshot makes up for them; no series "
        f"where snapshots are not asked for; of {OTHERS} when of any.",
        "gauge",
        ("stream", "symbol"),
    )
    awaited = Family(
        "vigil_book_awaited",
        "1 from the begin of a stream of changes until its first snapshot is stored; no series "
        f"where snapshots are not asked for; of {OTHERS} how many.",
        "gauge",
        ("stream", "symbol"),
    )
    for streamer in snapshot.streamers:
        for one in streamer.report.streams if streamer.report is not None else ():
            if one.book_lost is not None:
                shown = OTHERS if one.symbol in omitted else one.symbol
                lost.combine((one.stream, shown), float(one.book_lost), max)
                awaited.combine((one.stream, shown), float(one.book_awaited), _sum)
    return lost, awaited


def _sum(one: float, other: float) -> float:
    return one + other
