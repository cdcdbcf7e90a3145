"""Counts that never go back: sums over the generations of a streamer.

Reports are cumulative within a generation and start at 0 with the next one. What is exported is
the sum of the last counts of every generation that is gone, and the latest of the living one. A
lost report costs nothing, a repeated or late one changes nothing, and what a later report no longer
names (a slot that was closed, a stream that was removed) keeps its count. A stream that comes back
starts at 0 again, on top of that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from streamer.messages import Histogram, Report

Key = tuple[str, ...]
"""A count's name and its labels, such as ("events", "trade", "BTCUSDT")."""


class Counters:
    """The counts of all streamers."""

    def __init__(self) -> None:
        self._gone: dict[str, Counter[Key]] = {}
        self._living: dict[str, dict[Key, int]] = {}
        self._newest: dict[str, tuple[int, int]] = {}  # generation and sequence
        self._named: dict[str, frozenset[Key]] = {}  # stream and symbol, by the newest report

    def observe(self, report: Report) -> bool:
        """Take a report; return False when it is a copy or older than what is known."""
        name = report.streamer
        newest, known = (report.generation, report.sequence), self._newest.get(name, (0, 0))
        if newest <= known:
            return False
        living = self._living.setdefault(name, {})
        if newest[0] > known[0]:
            self._gone.setdefault(name, Counter()).update(living)
            living.clear()
        self._newest[name] = newest
        named = frozenset((one.stream, one.symbol) for one in report.streams)
        if removed := self._named.get(name, frozenset()) - named:
            gone = self._gone.setdefault(name, Counter())
            for key in [key for key in living if key[1:] in removed]:
                gone[key] += living.pop(key)
        self._named[name] = named
        for key, count in flatten(report):
            if count > living.get(key, -1):
                living[key] = count
        return True

    def named(self) -> frozenset[Key]:
        """Return the streams that are streamed now, as stream and symbol."""
        return frozenset().union(*self._named.values())

    def of(self, streamer: str) -> Counter[Key]:
        """Return the sums of one streamer; what was never counted is 0."""
        totals = Counter(self._gone.get(streamer, {}))
        totals.update(self._living.get(streamer, {}))
        return totals

    def all(self) -> Counter[Key]:
        """Return the sums over all streamers."""
        totals: Counter[Key] = Counter()
        for streamer in self._living:
            totals.update(self.of(streamer))
        return totals


_LABELLED = (
    "message_errors", "connection_errors", "reconnects", "rotations", "unsupported",
    "rest_errors",
)  # fmt: skip
"""The counts of a report that have a label of their own."""


def flatten(report: Report) -> Iterator[tuple[Key, int]]:
    """Yield every count of a report that only ever grows within a generation."""
    for one in report.streams:
        labels = (one.stream, one.symbol)
        yield ("events", *labels), one.events_total
        yield ("duplicates", *labels), one.duplicates_total
        yield ("gaps", *labels), one.gaps_total
        yield ("missing", *labels), one.missing_total
        yield ("repaired", *labels), one.repaired_total
        yield ("repaired_gaps", *labels), one.repaired_gaps_total
        yield ("empty", *labels), one.empty_total
        yield ("epochs", *labels), one.epochs_total
    for slot in report.slots:
        yield ("drops", slot.slot), slot.drops_total
    for name in _LABELLED:
        counts: Mapping[str, int] = getattr(report, name)
        for label, count in counts.items():
            yield (name, label), count
    yield ("rotations_failed",), report.rotations_failed_total
    yield ("pong_timeouts",), report.pong_timeouts_total
    sink = report.sink
    yield ("accepted",), sink.accepted_total
    yield ("acknowledged",), sink.acknowledged_total
    yield ("sink_errors",), sink.errors_total
    yield ("sink_bytes",), sink.bytes_total
    yield ("cache_evictions",), sink.serializer_cache_evictions_total
    yield ("refused",), sink.refused_total
    yield ("produce_retries",), sink.retries_total
    yield ("produce_timeouts",), sink.timeouts_total
    yield ("producers_replaced",), sink.producers_replaced_total
    yield ("shed",), report.shed_total
    yield ("dead_letters",), report.dead_letters_total
    yield ("dead_letters_dropped",), report.dead_letters_dropped_total
    for stream, count in sink.acknowledged_by_stream.items():
        yield ("acknowledged_of", stream), count
    yield from _histogram("receive", report.receive_latency)
    yield from _histogram("acknowledge", sink.acknowledge_seconds)


def _histogram(name: str, histogram: Histogram) -> Iterator[tuple[Key, int]]:
    for index, count in enumerate(histogram.counts):
        yield (name, str(index)), count
    # Whole microseconds: sums of floats over weeks would drift.
    yield (name, "sum_microseconds"), round(histogram.sum_seconds * 1e6)
