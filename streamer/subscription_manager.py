"""Which streams are wanted, changed while they run: who joins, who leaves, and when it is gone.

A stream that leaves stays known until nothing of it can come any more: the exchange has taken it
back on every connection, an overlap has passed, and what waits above a gap of it is stored. Until
then its frames are records like any others. One that is wanted again by then goes on as if nothing
had been said; one that was gone begins anew with its first event. What was traded meanwhile is not
asked for, since nobody wanted it, but put on record, so that nobody takes it for a loss.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from streamer.errors import SinkNotReady, StreamerError
from streamer.feed_counters import FeedCounters
from streamer.ingest.ingest import Ingest
from streamer.network.connection_manager import ConnectionManager
from streamer.order.held_back import HeldBack
from streamer.order.positions import Position
from streamer.order.sequence import IncreasingSequence
from streamer.removed_streams import RemovedStreams
from streamer.repair.backfiller import Backfiller
from streamer.report import IdleClock
from streamer.routes import Route
from streamer.sinks import Sink

log = logging.getLogger(__name__)

STORED_WITHIN_SECONDS = 0.2  # at a change: milliseconds, where the sink takes anything at all
NAMES_TOLD = 20  # of the streams that joined or left, where people read it


@dataclass(frozen=True, slots=True)
class Change:
    """What joined and what left: wire names; and which symbols join as soon as the sink can."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"added {listed(self.added)}"] if self.added else []
        parts += [f"removed {listed(self.removed)}"] if self.removed else []
        parts += [f"topics are prepared first for {listed(self.awaited)}"] if self.awaited else []
        return "; ".join(parts) or "nothing to change"


def listed(names: Iterable[str]) -> str:
    """Return names for people: the first ones, and how many more there are."""
    names = tuple(names)
    more = len(names) - NAMES_TOLD
    return ", ".join(names[:NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")


class SubscriptionManager:
    """Owned by the feed's thread; `turn` is to be called about once a second."""

    def __init__(
        self,
        ingest: Ingest,
        connection_manager: ConnectionManager,
        sink: Sink,
        counters: FeedCounters,
        silence: IdleClock,
        backfiller: Backfiller | None,
        *,
        removed_streams: RemovedStreams,
        overlap_seconds: float,
        holds_unknown: bool = False,
    ) -> None:
        """With `holds_unknown`, what comes of a stream that was not here before is held.

        Where it goes on has to be looked up then, as another streamer may have recorded it.
        """
        self._holds_unknown = holds_unknown
        self._ingest = ingest
        self._routes = ingest.routes
        self._connection_manager = connection_manager
        self._sink = sink
        self._counters = counters
        self._idle_clock = silence
        self._backfiller = backfiller
        self._overlap_seconds = overlap_seconds
        self._removed_streams = removed_streams
        self._accepted: dict[Route, int] = {}  # by the sink, when the last of a route was put
        self._free_at: dict[Route, float | None] = {}  # the leaving: when the exchange stopped it

    def change(
        self,
        streams: Iterable[str],
        symbols: Iterable[str],
        now: float,
        *,
        go_on: bool = False,
    ) -> Change:
        """Want these streams of these symbols from now on, and no others.

        With `go_on`, those that join go on after their last records, if there are any: they had not
        left because of the settings, and what came meanwhile is fetched as after a restart.
        Raises SinkUnavailable or SettingsError when the sink cannot take one of them, SinkNotReady
        when it can take all of them later; nothing is changed then.
        """
        symbols = tuple(symbols)
        wanted = {
            f"{symbol.lower()}@{stream}": (stream, symbol)
            for stream in dict.fromkeys(streams)
            for symbol in dict.fromkeys(symbols)
        }
        known = self._routes.by_name
        back = [known[name] for name in wanted if name in known and known[name].leaving]
        fresh = [self._routes.make(*wanted[name]) for name in wanted if name not in known]
        leaving = [r for name, r in known.items() if name not in wanted and not r.leaving]
        self._open_sink(fresh)
        self._removed_streams.join(route.name for route in fresh)
        for route in fresh:
            left = self._removed_streams.take(route.name, go_on=go_on)
            if left is None and go_on:  # a sink may find it once the stream is added
                left = self._sink.positions().get(route.name)
            if left is None and self._holds_unknown:
                route.held = HeldBack()
            self._routes.add(route)
            self._idle_clock.add(route, now)
            if route.held is not None:
                continue
            if self._backfiller is not None:
                self._backfiller.begin(route)
            if left is not None and go_on:
                self._ingest.resume({route.name: left})
            elif left is not None:
                self._ingest.rejoin(route, left)
        for route in back:
            route.leaving = False
            del self._free_at[route]
            self._accepted.pop(route, None)
            self._idle_clock.add(route, now)
            self._interrupt(route)
        self._removed_streams.stay(route.name for route in back)
        for route in leaving:
            route.leaving = True
            self._free_at[route] = None
        if leaving:  # now, too: a crash may come before they are gone
            is_stored = self._sink.flush(STORED_WITHIN_SECONDS) == 0
            # What a kill takes must not be taken for stored: then the sink tells where they end.
            ends = dict(filter(None, map(self._end_of, leaving))) if is_stored else {}
            self._removed_streams.note({route.name: ends.get(route.name) for route in leaving})
        change = Change(
            tuple(route.name for route in (*back, *fresh)),
            tuple(route.name for route in leaving),
        )
        if change.added or change.removed:
            self._connection_manager.change(change.added, change.removed, now)
            self._counters.notice(
                "subscription_changed",
                added=listed(change.added),
                removed=listed(change.removed),
            )
            log.info("streams changed: %s", change)
        return change

    def turn(self, now: float) -> None:
        """Forget what has left, when nothing of it can come any more."""
        for route, free_at in tuple(self._free_at.items()):
            if self._routes.by_name.get(route.name) is not route:
                del self._free_at[route]  # its shard has gone to another machine meanwhile
                self._accepted.pop(route, None)
            elif self._connection_manager.holds(route.name):
                self._free_at[route] = None
            elif free_at is None:
                self._free_at[route] = now
            elif (
                now - free_at >= self._overlap_seconds
                and self._is_settled(route)
                and self._is_stored(route)
            ):
                self._forget(route)

    def _interrupt(self, route: Route) -> None:
        """Have the time be recorded in which the exchange sent nothing of a stream that goes on.

        Where ids tell of gaps, what is missing is found and fetched.
        """
        end = self._end_of(route)
        sequence = route.sequence
        if (
            end
            and isinstance(sequence, IncreasingSequence)
            and not self._connection_manager.holds(route.name)
        ):
            route.left = end[1]
            sequence.interrupt()

    def _is_settled(self, route: Route) -> bool:
        """Return whether nothing waits above a gap; leaving it would be a loss without a record."""
        repairing = self._backfiller is not None and self._backfiller.repairing(route)
        return not route.sequence.pending and not repairing

    def _is_stored(self, route: Route) -> bool:
        """Return whether the sink has acknowledged as much as it had accepted by the last record.

        Where the route ends is remembered then: what a kill takes would be taken for stored.
        """
        counts = self._sink.counts()
        wanted = self._accepted.setdefault(route, counts.accepted_total)
        return counts.acknowledged_total + counts.refused_total >= wanted

    def _forget(self, route: Route) -> None:
        del self._free_at[route]
        del self._accepted[route]
        self._removed_streams.note(dict(filter(None, [self._end_of(route)])))
        self._routes.remove(route)
        self._connection_manager.slots.forget(route.name)
        self._idle_clock.remove(route)
        if self._backfiller is not None:
            self._backfiller.forget(route)
        self._sink.remove(route)
        log.info("%s has left", route.name)

    def _end_of(self, route: Route) -> tuple[str, Position] | None:
        """Return where a route ends: what has come of it, or where it had ended before."""
        if route.sequence.last_id is not None and route.heard_us is not None:
            end = Position(route.sequence.last_id, route.heard_us, route.epoch)
            return route.name, end
        return None if route.left is None else (route.name, route.left)

    def _open_sink(self, routes: Iterable[Route]) -> None:
        """Have the sink take routes and the gaps of their symbols, all of them or none."""
        added: list[Route] = []
        not_ready: SinkNotReady | None = None
        try:
            for route in routes:
                try:
                    self._sink.add(route)
                    added.append(route)
                    self._routes.add_beside(route, self._sink.add)
                except SinkNotReady as reason:  # the others are to be made ready with it
                    not_ready = reason
            if not_ready is not None:
                raise not_ready
        except StreamerError:
            for route in added:
                self._sink.remove(route)
            raise
