"""What is missing goes on record, in the sink before what comes after it; notices and log tell."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from streamer.data.events import GapRecord
from streamer.data.intervals import candles_between, open_time_at
from streamer.feed_counters import FeedCounters
from streamer.order.candles import CandleGap, CandleSequence
from streamer.order.coverage import Uncovered
from streamer.order.epochs import NEW_EPOCH
from streamer.order.positions import EpochStart, Position
from streamer.order.ranges import RangeSequence
from streamer.order.sequence import EMPTY, ContiguousSequence, Gap
from streamer.repair.gap_tracker import REASONS
from streamer.routes import Route, Routes
from streamer.sinks import Sink

log = logging.getLogger(__name__)


class GapRecords:
    """Writes the gap records of all streams."""

    def __init__(self, routes: Routes, sink: Sink, counters: FeedCounters) -> None:
        self._routes = routes
        self._sink = sink
        self._counters = counters
        # When changes of a book up to an id are lost.
        self.on_book_lost: Callable[[Route, int], None] = lambda _, __: None

    def declare(self, route: Route, gap: Gap) -> None:
        """Tell of a gap: in the log, in a notice, and in the sink before what comes after it."""
        log.warning(
            "gap: %s of %s from %d to %d (%d missing): %s",
            route.stream,
            route.symbol,
            gap.first_id,
            gap.last_id,
            gap.missing,
            REASONS[gap.reason],
        )
        ends = {"first_id": gap.first_id, "last_id": gap.last_id}
        if isinstance(gap, CandleGap):  # ids that are times
            ends = {"from_time": gap.first_id, "to_time": gap.last_id + 1}
        self._counters.notice(
            "gap_empty" if gap.reason == EMPTY else "gap",
            stream=route.stream,
            symbol=route.symbol,
            reason=gap.reason,
            missing=gap.missing,
            **ends,
        )
        if isinstance(route.sequence, RangeSequence):  # of changes to a book
            self._counters.notice(
                "book_lost", stream=route.stream, symbol=route.symbol, after_id=gap.last_id
            )
            self.on_book_lost(route, gap.last_id)
        record = GapRecord(
            gap.first_id,
            route.symbol,
            route.stream,
            gap.reason,
            missing=gap.missing,
            epoch=route.epoch,
            **ends,
        )
        self._sink.put(self._routes.gaps[route.symbol], record, time.time_ns() // 1000)

    def declare_epoch(self, route: Route, start: EpochStart, from_us: int) -> None:
        """Put on record that ids began anew: nothing before can be asked for any more."""
        record = GapRecord(
            from_us,
            route.symbol,
            route.stream,
            NEW_EPOCH,
            from_time=from_us,
            to_time=max(start.started_us, from_us),
            epoch=start.epoch,
        )
        self._sink.put(self._routes.gaps[route.symbol], record, time.time_ns() // 1000)

    def declare_uncovered(self, route: Route, uncovered: Uncovered) -> None:
        """Put on record a time in which events may have been missed, and tell of it."""
        route.sequence.gaps_total += 1
        times = {"from_time": uncovered.from_us, "to_time": uncovered.to_us}
        self._counters.notice(
            "gap", stream=route.stream, symbol=route.symbol, reason="not_repaired", **times
        )
        from_us, symbol, stream = uncovered.from_us, route.symbol, route.stream
        record = GapRecord(from_us, symbol, stream, "not_repaired", epoch=route.epoch, **times)
        self._sink.put(self._routes.gaps[route.symbol], record, uncovered.to_us)

    def declare_unwanted(self, route: Route, left: Position, received_us: int) -> None:
        """Put on record what was not streamed of a route that came back; it is no loss.

        `left` is where it had ended. To be called when its sequence has taken the first event of
        it, and before that is forwarded: a crash may come at any time.
        """
        sequence = route.sequence
        ids: dict[str, int] = {"from_time": left.received_us, "to_time": received_us}
        if isinstance(sequence, (ContiguousSequence, RangeSequence, CandleSequence)):
            first_id, last_id = left.last_id + 1, (sequence.first_id or 0) - 1
            if isinstance(sequence, CandleSequence):  # it may have ended within a candle
                first_id = open_time_at(sequence.interval, first_id, last_id + 1)
            if last_id < first_id:
                return
            ids = {"first_id": first_id, "last_id": last_id, "missing": last_id - first_id + 1}
            if isinstance(sequence, CandleSequence):  # ids that are times
                candles = candles_between(sequence.interval, first_id, last_id + 1)
                ids = {"from_time": first_id, "to_time": last_id + 1, "missing": candles}
        first = next(iter(ids.values()))
        symbol, stream = route.symbol, route.stream
        record = GapRecord(first, symbol, stream, "not_wanted", epoch=route.epoch, **ids)
        self._sink.put(self._routes.gaps[route.symbol], record, received_us)

    def declare_delisted(self, symbol: str, now_us: int) -> None:
        """Put on record that a symbol trades no more: nothing is missing after its last event."""
        for route in self._routes:
            if route.symbol == symbol and not route.leaving:
                since_us = min(route.heard_us or now_us, now_us)
                times = {"from_time": since_us, "to_time": now_us}
                stream, epoch = route.stream, route.epoch
                record = GapRecord(since_us, symbol, stream, "delisted", epoch=epoch, **times)
                self._sink.put(self._routes.gaps[symbol], record, now_us)
