"""Counts that never go back: sums over the generations of a streamer.

Reports are cumulative within a generation and start at 0 with the next one. What is exported is
the sum of the last counts of every generation that is gone, and the latest of the living one. A
lost report costs nothing, a repeated or late one changes nothing, and what a later report no longer
names (a slot that was closed, a stream that was removed) keeps its count. A stream that comes back
starts at 0 again, on top of that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from operator import attrgetter

from monitor.stream_changes import Changed, Streams, changes
from streamer.messages import Histogram, Report, StreamCounts

Key = tuple[str, ...]
"""A count's name and its labels, such as ("events", "trade", "BTCUSDT")."""


class Counters:
    """The counts of all streamers."""

    def __init__(self) -> None:
        self._living: dict[str, dict[Key, int]] = {}  # of the newest generation, by streamer
        self._sums: dict[str, Counter[Key]] = {}
        self._all: Counter[Key] = Counter()
        self._newest: dict[str, tuple[int, int]] = {}  # generation and sequence
        self._streams: dict[str, Streams] = {}  # by the newest report
        self._named: frozenset[Key] | None = None  # None: to be gathered

    def observe(self, report: Report) -> bool:
        """Take a report; return False when it is a copy or older than what is known."""
        name = report.streamer
        newest, known = (report.generation, report.sequence), self._newest.get(name, (0, 0))
        if newest <= known:
            return False
        living = self._living.setdefault(name, {})
        sums = self._sums.setdefault(name, Counter())
        difference = changes(self._streams.get(name, ()), report.streams)
        if difference.is_other_set:
            self._named = None
        if newest[0] > known[0]:
            living.clear()
            difference = changes((), report.streams)
        self._newest[name] = newest
        self._streams[name] = report.streams
        for stream in difference.removed:
            for counted in _COUNTED:
                living.pop((counted, stream.stream, stream.symbol), None)
        for key, count in chain(counts_of_streams(difference.changed), counts_of(report)):
            grown = count - living.get(key, 0)
            if grown > 0 or key not in living:
                living[key] = count
                sums[key] += grown
                self._all[key] += grown
        return True

    def named(self) -> frozenset[Key]:
        """Return the streams that are streamed now, as stream and symbol."""
        if self._named is None:
            self._named = frozenset(
                (one.stream, one.symbol) for streams in self._streams.values() for one in streams
            )
        return self._named

    def of(self, streamer: str) -> Counter[Key]:
        """Return the sums of one streamer; what was never counted is 0."""
        return self._sums.get(streamer, Counter()).copy()

    def all(self) -> Counter[Key]:
        """Return the sums over all streamers."""
        return self._all.copy()


_COUNTED = (
    "events", "duplicates", "gaps", "missing", "repaired", "repaired_gaps", "empty", "epochs",
)  # fmt: skip
"""The counts of a stream that only ever grow within a generation."""

_counts: Callable[[StreamCounts], tuple[int, ...]] = attrgetter(
    *(f"{counted}_total" for counted in _COUNTED)
)

_NO_COUNTS = (-1,) * len(_COUNTED)

_LABELLED = (
    "message_errors", "connection_errors", "reconnects", "rotations", "unsupported",
    "rest_errors", "telemetry_dropped",
)  # fmt: skip
"""The counts of a report that have a label of their own."""


def counts_of_streams(changed: Changed) -> Iterator[tuple[Key, int]]:
    """Yield the counts of streams that are other ones than before; all of a new stream.

    Of a stream that goes on mostly one of them has grown: thousands are looked at each second.
    """
    for before, now in changed:
        old = _counts(before) if before is not None else _NO_COUNTS
        for counted, was, count in zip(_COUNTED, old, _counts(now), strict=True):
            if count != was:
                yield (counted, now.stream, now.symbol), count


def counts_of(report: Report) -> Iterator[tuple[Key, int]]:
    """Yield the counts of a report, but for those of streams, that only ever grow."""
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
